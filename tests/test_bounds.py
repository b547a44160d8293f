"""The oldest dependencies that the workflow installs are the ones that pyproject.toml lets in."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_lower_bound_is_one_that_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = chain(project["dependencies"], *project["optional-dependencies"].values())
    bounds = dict(re.findall(r"^([\w-]+).*?>=([\d.]+)", "\n".join(wanted), re.MULTILINE))
    lines = (ROOT / ".github" / "oldest.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert bounds.keys() - tested.keys() == {"ruff", "mypy"}  # no code runs with them
    for name, version in tested.items():
        assert f"{version}.".startswith(f"{bounds[name]}."), f"{name} {version}, {bounds[name]} is let in"
