"""What tests of reports share: a page as a browser takes it, and learning curves to show on it."""

from html.parser import HTMLParser
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


def log(run: Path, points: dict[str, dict[int, float]], suffix: str = "") -> None:
    with SummaryWriter(str(run), filename_suffix=suffix) as writer:
        for tag, values in points.items():
            for step, value in values.items():
                writer.add_scalar(tag, value, step)


class Page(HTMLParser):
    """What a browser would take from the page: elements, addresses, text; and whether every tag is closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.html = path.read_text(encoding="utf-8")
        self.feed(self.html)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def images(self, kind: str) -> list[dict]:
        return [attrs for tag, attrs in self.tags if tag == "img" and kind in attrs["alt"]]
