"""The `compare` command: rows of the steering table, each with several seeds, as one table and one page.

Every configuration is fitted once a seed on the same drives. Mean and spread tell whether one is better than
another, and whether its seeds agree. What is finished stands in `compare.jsonl`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from modules.errors import InputError
from modules.steering.units import unit_of
from pipelines.arguments import CONFIGS, Parser, find_config, read_config
from pipelines.reports.page import duration
from pipelines.running.comparisons import compared_rows, listed, of_seed, one_process, seeds_of, settings_of
from pipelines.steering.fit import SteerCLI
from pipelines.steering.report import write_report

LARGEST_SPREAD = 0.15  # of the mean: seeds further apart are no result
SCORES = {"rmse_rad": "RMSE", "r2": "R2", "whiteness_rad_s": "whiteness"}
PARTS = ("recorder", "scores", "baselines", "seconds")  # of metrics.json in a row
RIDGE = "ridge_on_optical_flow"


def compare(argv: Sequence[str]) -> None:
    """Trains what is not trained yet, prints the table and writes the page."""
    own = _parser().parse_args(list(argv[1:]))
    plan = read_config(find_config(own.config) or Path(own.config))
    named = listed(own.configs) if own.configs else plan.get("configs")
    if not named or not isinstance(named, list) or not isinstance(plan.get("options", {}), dict):
        raise InputError(f"{own.config}: needs configs, a list of one a row, and options by name, if any")
    paths = [_config(name) for name in named]
    configs = {path.stem: path for path in paths}
    if len(configs) < len(paths):
        raise InputError(f"configs: {', '.join(map(str, paths))}: two rows would have the same name")
    shared = [word for name, value in plan.get("options", {}).items() for word in (f"--{name}", str(value))]
    root = own.data.root if isinstance(own.data.root, list) else [own.data.root]
    roots = ["--data.root", *map(str, root)] if own.data.root else []
    given = {name: ["fit", "--config", str(path), *shared, *roots] for name, path in configs.items()}
    settings = {name: settings_of(words) for name, words in given.items()}
    seeds = seeds_of(own.seeds)

    def fit(name: str, seed: str, more: list[str]) -> SteerCLI:
        return SteerCLI([*given[name], *one_process(given[name]), *of_seed(seed), *more])

    rows = compared_rows(own.output, "steer", seeds, settings, PARTS, fit)
    chosen = {name: [rows[name, seed] for seed in seeds] for name in configs}
    summary = [summarise(name, of_config) for name, of_config in chosen.items()]
    Console().print(table_of(summary))
    for line in summary:
        if said := remark(line):
            print(f"{line['name']}: {said}")
    first = [Path(of_config[0]["run"]) for of_config in chosen.values()]
    print(write_report(first, own.output / "compare.html", summary))


def _parser() -> Parser:
    parser = Parser(
        prog="steer.py compare",
        description="Fit the rows of the steering table with several seeds; print a table, write a page.",
    )
    parser.add_argument(
        "--config", type=str, default="configs/steer/compare.yaml", help="Rows, and what all fits have alike."
    )
    parser.add_argument(
        "--data.root", type=list[Path] | Path | None, default=None, help="Folder of the drives, or several."
    )
    parser.add_argument("--configs", type=str, default="", help="Rows instead, separated by commas.")
    parser.add_argument("--seeds", type=str, default="0,1,2", help="Seeds, separated by commas.")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/steer/compare"), help="Folder of table, page and fits."
    )
    return parser


def _config(name: Any) -> Path:
    if not isinstance(name, str):
        raise InputError(f"configs: {name!r} is no name of a configuration")
    path = Path(name) if name.endswith(".yaml") else CONFIGS / "steer" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in (CONFIGS / "steer").glob("*.yaml")))
        raise InputError(f"configs: there is no {name!r}; there are {known}, or name a .yaml file")
    return path


def summarise(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns a line of the table: means over the seeds, and how far the RMSE of the seeds lie apart.

    Args:
        name: of the configuration.
        rows: one a seed, as compare.jsonl has them.
    """
    unit = unit_of(rows[0]["recorder"])
    scores = [unit.of_scores(row["scores"]) for row in rows]
    of_seeds = [each["rmse_rad"] for each in scores]
    mean = statistics.mean(of_seeds)
    return {
        "name": name,
        "scores": {key: _mean([each[key] for each in scores]) for key in SCORES},
        "spread": (max(of_seeds) - min(of_seeds)) / mean,
        "seeds": [f"{value:.4f}" for value in of_seeds],
        "ridge": unit.of_scores(rows[0]["baselines"].get(RIDGE, {})).get("rmse_rad"),
        "unit": unit.label,
        "time": duration(statistics.mean(row["seconds"]["fit"] for row in rows)),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known else None


def remark(row: dict[str, Any]) -> str:
    """Returns what is to be said of a line of the table, empty where nothing is."""
    said = []
    if row["ridge"] is not None and row["scores"]["rmse_rad"] >= row["ridge"]:
        said.append("no better than ridge")
    if row["spread"] > LARGEST_SPREAD:
        said.append("seeds disagree")
    return ", ".join(said)


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """Returns the lines as a table that fits a terminal of 80 columns."""
    table = Table(
        title=f"Means over the seeds ({rows[0]['unit']})", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("", no_wrap=True)
    for column in (*SCORES.values(), "spread", "each seed", "ridge", "fit"):
        table.add_column(column, justify="right", no_wrap=column != "each seed")
    for row in rows:
        numbers = [*(row["scores"][name] for name in SCORES), row["ridge"]]
        *scores, ridge = ("-" if number is None else f"{number:.4f}" for number in numbers)
        cells = [f"{row['spread']:.0%}", " ".join(row["seeds"]), ridge, row["time"]]
        table.add_row(row["name"], *scores, *cells)
    table.caption = "spread: largest less smallest RMSE of the seeds, as a share of the mean"
    return table
