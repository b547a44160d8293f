"""What data modules say, once however many processes there are."""

from pytorch_lightning.utilities import rank_zero_only


@rank_zero_only
def say(line: str) -> None:
    """Prints a line, once however many processes there are."""
    print(line, flush=True)
