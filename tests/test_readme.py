"""The README files tell the truth: commands parse, options, paths and links exist, snippets run."""

import re
import shlex
import tomllib
from functools import cache
from xml.etree import ElementTree

import pytest
import yaml

from pipelines.arguments import option_names
from tests.commands import DOORS, ROOT, parse, parser_of

FOLDERS = ("configs", "data_prep", "modules", "pipelines", "tests")
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *(page for name in FOLDERS for page in sorted((ROOT / name).rglob("README.md"))),
    *sorted((ROOT / ".github").glob("*.md")),
]
MOST_WORDS, MOST_LINES = 25, 130
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")
_PATH = re.compile(rf"(?<![\w/.])((?:{'|'.join(FOLDERS)}|\.github|\.ci)/[\w./-]*\w)")
_OPTION = re.compile(
    r"(?!data\.txt)(?:model|data|decoding|trainer|checkpoint|early_stopping)(?:\.\w+)+(?: \S+)?"
)
_PROGRAMS = ("python", "pip", "torchrun", "seqsight")


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


# ---- what a page holds


def spans(text):
    """Returns the code spans outside of fences; the bar of a cell has its backslash removed."""
    return [span.replace(r"\|", "|") for span in _SPAN.findall(_FENCE.sub("", text))]


def commands(text):
    """Returns every command of a page as a line: those of shell fences and those in the text."""
    fences = [body for language, body in _FENCE.findall(text) if language == "bash"]
    lines = [line for body in fences for line in body.splitlines()]
    lines += [span for span in spans(text) if span.split()[0] in _PROGRAMS and " " in span]
    return list(dict.fromkeys(part for line in lines for part in re.split(r"\s*&&\s*", line)))


def words_of(command):
    """Returns the words of a command, with what is optional and the first of its alternatives."""
    command = re.sub(r"(?<=\s)\[([^\]]*)\]", r"\1", command)
    return [re.sub(r"^(\w+)(\|\w+)+$", r"\1", word) for word in shlex.split(command, comments=True)]


def sentences(text):
    """Returns the sentences of a page; a cell of a table and an item of a list end one."""
    lines = _FENCE.sub("\n", text).splitlines()
    blocks = [""]
    for line in lines:
        line = _LINK.sub(r"\1", _SPAN.sub("Code", line)).strip()
        if line.startswith("|"):
            blocks += [*line.split("|"), ""]
        elif not line or line.startswith("#"):
            blocks += [line, ""]
        elif re.match(r"([-*]|\d+\.) ", line):
            blocks.append(line)
        else:
            blocks[-1] += f" {line}"
    return [sentence for block in blocks for sentence in re.split(r"(?<=[.!?])\*?\s+(?=[^a-z])", block)]


def anchors(text):
    """Returns what links can name on a page: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@cache
def known_options():
    """Returns every option of every command."""
    modules = [["-m", f"data_prep.{name}", "DIR"] for name in ("captions", "driving", "text")]
    doors = [[f"pipelines/{door}.py", command] for door in DOORS for command in DOORS[door].COMMANDS]
    return {name for words in (*doors, *modules) for name in option_names(parser_of(words))}


def project():
    """Returns what pyproject.toml says of the project."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# ---- what can be wrong with it


def wrong_commands(page, text):
    extras = project()["optional-dependencies"]
    for command in commands(text):
        words = words_of(command)
        if words[0] == "pip":
            named = re.findall(r"\.\[([\w,]+)\]", command)
            yield from (
                f"{command}: no extra {name}"
                for group in named
                for name in group.split(",")
                if name not in extras
            )
            continue
        if words[:3] == ["python", "-m", "pytest"] or words[0] in ("ruff", "mypy"):
            continue  # their paths are looked at as all others are
        if words[0] == "torchrun":
            words = words[[word.startswith("pipelines/") for word in words].index(True) :]
        elif words[0] == "seqsight":
            words = [f"pipelines/{words[1]}.py", *words[2:]]
        elif words[0] == "python":
            words = words[1:]
        try:
            parse(words)
        except ValueError as error:
            yield str(error)


def wrong_options(page, text):
    for span in spans(text):
        if _OPTION.fullmatch(span):
            words = [f"--{span.split()[0]}", *span.split()[1:]]
        elif span.startswith("--"):
            words = shlex.split(span)
        else:
            continue
        names = [word[2:].partition("=")[0] for word in words if word.startswith("--")]
        if unknown := [name for name in names if name not in known_options()]:
            yield f"{span}: no command has {', '.join(unknown)}"
        elif (
            len(words) > len(names)
            and all("." in name for name in names)
            and not re.search(r"\b[A-Z]+\b", span)
        ):
            said = []
            for door in DOORS:
                try:
                    parse([f"pipelines/{door}.py", "fit", *words])
                except ValueError as error:
                    said.append(str(error))
                else:
                    break  # one command takes it
            else:
                yield f"{span}: {said}"


def wrong_paths(page, text):
    for path in _PATH.findall(text):
        if (
            not re.search(r"(^|/)[A-Z]+(\.\w+)?(/|$)", path.replace("README.md", ""))
            and not (ROOT / path).exists()
        ):
            yield f"{path}: no such file"
    for span in spans(text):
        if re.fullmatch(r"test_\w+\.py", span) and not (page.parent / span).exists():
            yield f"{span}: no such file beside {page.name}"


def wrong_links(page, text):
    for _, target in _LINK.findall(_FENCE.sub("", text)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        if not file.exists():
            yield f"{target}: no such file"
        elif anchor and anchor not in anchors(text if file == page else file.read_text()):
            yield f"{target}: no such heading"


def long_sentences(page, text):
    for sentence in sentences(text):
        if (count := sum(any(c.isalnum() for c in word) for word in sentence.split())) > MOST_WORDS:
            yield f"{count} words: {sentence.strip()}"


CHECKS = (wrong_commands, wrong_options, wrong_paths, wrong_links, long_sentences)


# ---- tests


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_page_says_nothing_wrong(page, check):
    assert not list(check(page, page.read_text()))


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (wrong_commands, "```bash\npython pipelines/caption.py fit --data.rot DIR   # a word\n```"),
        (wrong_commands, "```bash\npip install -e . && python pipelines/caption.py scroe\n```"),
        (wrong_commands, "`python pipelines/steer.py drive --ckpt_path CKPT --roads many`"),
        (wrong_commands, "`python pipelines/steer.py fit --config configs/steer/pilot.yaml`"),
        (wrong_commands, "| `python -m data_prep.driving draw DIR [--drivs 3]` |"),
        (wrong_commands, "`python -m data_prep.photos DIR`"),
        (wrong_commands, '`pip install -e ".[rosbag]"`'),
        (wrong_commands, "`torchrun --nnodes 2 pipelines/caption.py fit --trainer.nodes 2`"),
        (wrong_options, "with `--mirror true`"),
        (wrong_options, "with `--model.decoder.cell lstn`"),
        (wrong_options, "with `decoding.beams 5`"),
        (wrong_paths, "see modules/cell.py."),
        (wrong_paths, "see `modules/metrics/languages.py`"),
        (wrong_paths, "see `test_speed_of_nothing.py`"),
        (wrong_links, "[a](CHANGES.md)"),
        (wrong_links, "![a](.github/no.jpg)"),
        (wrong_links, "[a](configs/README.md#scene)"),
        (wrong_links, "# A b\n[a](#a-c)"),
        (long_sentences, f"Short one. {'word ' * 26}."),
        (long_sentences, f"| {'word ' * 13} `a b c` {'word ' * 13} | short |"),
    ],
)
def test_what_is_wrong_is_found(check, text):
    assert len(list(check(ROOT / "README.md", text))) == 1


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES


def test_the_recipe_for_sidecars_writes_one_for_every_caption_and_overwrites_none(tmp_path, monkeypatch):
    page = (ROOT / "data_prep" / "captions" / "README.md").read_text()
    recipe = next(body for language, body in _FENCE.findall(page) if language == "python")
    photos = tmp_path / "photos"
    (photos / "a b").mkdir(parents=True)
    rows = ["image,caption,score,error", "a b/1.jpg,one & <two>,-1,", "kept.jpg,new,-1,", "bad.jpg,,,cut"]
    (photos / "captions.csv").write_text("\r\n".join(rows))
    (photos / "kept.jpg.xmp").write_text("mine")
    monkeypatch.chdir(tmp_path)
    exec(recipe, {})
    written = {path.name: path.read_text() for path in photos.rglob("*.xmp")}
    assert set(written) == {"1.jpg.xmp", "kept.jpg.xmp"} and written["kept.jpg.xmp"] == "mine"
    (text,) = [e.text for e in ElementTree.fromstring(written["1.jpg.xmp"]).iter() if (e.text or "").strip()]
    assert text == "one & <two>"


def test_citation_and_changelog_know_the_version():
    version = project()["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()
