"""What data modules say, once however many processes there are."""

from pytorch_lightning.utilities import rank_zero_only


@rank_zero_only
def say(line: str) -> None:
    """Prints a line, once however many processes there are."""
    print(line, flush=True)


def say_drawn(drawn: str, own: str) -> None:
    """Says that nobody named a folder, so that drawn data are taken, and how one's own are."""
    say(f"data: drawn {drawn}; --data.root DIR takes your own {own}")
