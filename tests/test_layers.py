"""The house's order: imports point down and never round, tasks do not know one another, folders stay small.

From the bottom: the files in modules/; its encoders, decoders and metrics; its tasks; data_prep; pipelines.
"""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("modules", "data_prep", "pipelines")
TASKS = (
    {"captioning", "captions"},
    {"steering", "driving"},
    {"language", "text"},
    {"house_numbers", "glimpses"},
)
DOORS = {"caption": "captioning", "steer": "steering", "text": "language", "house_numbers": "glimpses"}


def tracked() -> list[PurePosixPath]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [PurePosixPath(name) for name in listed.splitlines() if (ROOT / name).is_file()]


FILES = tracked()
SOURCES = {
    ".".join(path.with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
    if path.parts[0] in PACKAGES and path.suffix == ".py"
}


def imported(name: str) -> set[str]:
    """Returns the project's modules that a module imports, in functions too, but not for type checking."""
    found = set()
    for node in running(ast.parse((ROOT / SOURCES[name]).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= members & SOURCES.keys() or {node.module}
    return found & SOURCES.keys() - {name}


def running(node: ast.AST):
    """Yields the nodes below one, but for those that only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield child
            yield from running(child)


IMPORTS = {name: imported(name) for name in SOURCES}


def task_of(name: str) -> int | None:
    """Returns the number of the task whose folder a module lies in, or whose door it is."""
    package, _, rest = name.partition(".")
    folder = DOORS.get(rest, rest) if package == "pipelines" else rest
    return next((number for number, task in enumerate(TASKS) if folder.split(".")[0] in task), None)


def layer_of(name: str) -> tuple[int, int]:
    package = name.split(".")[0]
    if package != "modules":
        return PACKAGES.index(package), 0
    return 0, 2 if task_of(name) is not None else len(SOURCES[name].parts) - 2


def test_imports_point_down_and_to_no_other_task() -> None:
    wrong = []
    for name in SOURCES.keys() - {"modules"}:  # which only gathers the public names
        for other in IMPORTS[name] - {"modules"}:
            is_up = layer_of(other) > layer_of(name)
            if is_up or task_of(other) not in (None, task_of(name)):
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_no_import_goes_round_in_a_circle() -> None:
    TopologicalSorter(IMPORTS).prepare()  # CycleError shows the circle


def test_folders_and_files_are_small() -> None:
    full = {str(folder): count for folder, count in Counter(p.parent for p in FILES).items() if count > 20}
    long = [str(p) for p in FILES if p.suffix == ".py" and (ROOT / p).read_text().count("\n") > 350]
    assert not full and not long


def test_nothing_beside_a_door_hides_a_module() -> None:
    beside = {path.parts[1].removesuffix(".py") for path in FILES if path.parts[0] == "pipelines"}
    assert not beside & sys.stdlib_module_names
    assert not [door for door in DOORS if (ROOT / "pipelines" / door).exists()]


def test_tests_lie_where_what_they_test_lies() -> None:
    """They are called test_NAME.py or test_NAME_more.py, by a module of their folder or by the folder."""
    lost = []
    for path in FILES:
        folder = PurePosixPath(*path.parts[1:-1])
        # those in tests/ itself are of the whole project
        if path.match("tests/**/test_*.py") and folder.parts and folder.parts[0] != "benchmarks":
            names = {p.stem.strip("_") for p in SOURCES.values() if p.parent == folder} | {folder.name}
            if not any(f"{path.stem}_".startswith(f"test_{name}_") for name in names):
                lost.append(str(path))
    assert not lost
