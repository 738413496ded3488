"""Measurements as rows of a table, and how several are taken so that they can be compared.

Other programs may use the machine, at one time more than at another. So the tasks of a comparison
are measured in turns, and the median of all rounds counts.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from math import sqrt
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One row of a table: a median or mean, and the extremes of what it is taken over."""

    name: str
    value: float
    unit: str
    lowest: float
    highest: float
    count: int


def median_row(name: str, unit: str, values: Sequence[float]) -> Row:
    """The median, with the extremes."""
    return Row(name, statistics.median(values), unit, min(values), max(values), len(values))


def mean_row(name: str, unit: str, values: Sequence[float]) -> Row:
    """The mean, with the extremes."""
    return Row(name, statistics.mean(values), unit, min(values), max(values), len(values))


def single_row(name: str, unit: str, value: float, count: int = 1) -> Row:
    """One value; `count` is over how many things it was computed."""
    return Row(name, value, unit, value, value, count)


def paired_rows(name: str, unit: str, first: Sequence[float], second: Sequence[float]) -> list[Row]:
    """A comparison of two values of each song: the mean of first - second, its standard error, and
    for how many songs the first is higher."""
    differences = [a - b for a, b in zip(first, second, strict=True)]
    count = len(differences)
    error = statistics.stdev(differences) / sqrt(count) if count > 1 else float("nan")
    higher = sum(difference > 0 for difference in differences)
    return [
        mean_row(f"{name}: mean difference", unit, differences),
        single_row(f"{name}: standard error", unit, error, count),
        single_row(f"{name}: songs above 0", "songs", higher, count),
    ]


def measure_in_turns(tasks: Mapping[str, Callable[[], float]], rounds: int, unit: str) -> list[Row]:
    """Run every task once per round; a row of medians for each. A first round only warms up."""
    values: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            print(f"round {number} of {rounds}: {name}", file=sys.stderr)
            value = task()
            if number:
                values[name].append(value)
    return [median_row(name, unit, each) for name, each in values.items()]


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    head = ("measurement", "value", "unit", "lowest", "highest", "count")
    body = [
        (r.name, _short(r.value), r.unit, _short(r.lowest), _short(r.highest), str(r.count))
        for r in rows
    ]
    widths = [max(len(cells[i]) for cells in (head, *body)) for i in range(len(head))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_line(cells, widths) for cells in (head, rule, *body))


def page(title: str, script: str, facts: Iterable[str], notes: str, rows: Iterable[Row]) -> str:
    """A Markdown page: the command that was run, facts about the machine, and the table."""
    command = shlex.join(["python", f"benchmarks/{script}", *sys.argv[1:]])
    lines = [f"* {fact}" for fact in facts]
    heading = f"# {title}, {date.today().isoformat()}"
    return "\n".join([heading, "", f"    {command}", "", *lines, "", notes, "", table(rows), ""])


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `publish` reads."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")


def publish(
    args: argparse.Namespace, machine: Mapping[str, str], rows: Sequence[Row], text: str
) -> None:
    """Print the table; write the rows to --json FILE and the page `text` to --write FILE."""
    print(table(rows))
    if args.json:
        data = {"model": args.model, "machine": machine, "rows": [asdict(r) for r in rows]}
        args.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if args.write:
        args.write.parent.mkdir(parents=True, exist_ok=True)
        args.write.write_text(text, encoding="utf-8")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
