"""What a measurement is, and how several are taken so that they can be compared.

The machine may be busy with other things, and busier at one time than at another. So what is
compared is measured by turns, and the median of the rounds is what counts.
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


@dataclass(frozen=True)
class Row:
    """A line of the table: a middle value, the lowest and highest, and how many there were."""

    what: str
    value: float
    unit: str
    low: float
    high: float
    runs: int


def row(what: str, unit: str, values: Sequence[float]) -> Row:
    """The median of several runs."""
    return Row(what, statistics.median(values), unit, min(values), max(values), len(values))


def by_turns(tasks: Mapping[str, Callable[[], float]], rounds: int, unit: str) -> list[Row]:
    """Every task once, then every task again: a row each. A first round warms up, uncounted."""
    values: dict[str, list[float]] = {what: [] for what in tasks}
    for number in range(rounds + 1):
        for what, task in tasks.items():
            print(f"round {number} of {rounds}: {what}", file=sys.stderr)
            value = task()
            if number:
                values[what].append(value)
    return [row(what, unit, each) for what, each in values.items()]


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table."""
    head = ("what", "median", "unit", "lowest", "highest", "runs")
    body = [
        (r.what, _short(r.value), r.unit, _short(r.low), _short(r.high), str(r.runs)) for r in rows
    ]
    widths = [max(len(cells[i]) for cells in (head, *body)) for i in range(len(head))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_line(cells, widths) for cells in (head, rule, *body))


def page(title: str, program: str, facts: Iterable[str], about: str, rows: Iterable[Row]) -> str:
    """The table with all one must know to believe it: the command, facts, what the rows are."""
    command = shlex.join(["python", f"benchmarks/{program}", *sys.argv[1:]])
    lines = [f"* {fact}" for fact in facts]
    heading = f"# {title}, {date.today().isoformat()}"
    return "\n".join([heading, "", f"    {command}", "", *lines, "", about, "", table(rows), ""])


def keep(
    given: argparse.Namespace, machine: Mapping[str, str], rows: Sequence[Row], text: str
) -> None:
    """Prints the table; keeps the rows in --json FILE, and the page in --write FILE."""
    print(table(rows))
    if given.json:
        data = {"model": given.model, "machine": machine, "rows": [asdict(r) for r in rows]}
        given.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if given.write:
        given.write.parent.mkdir(parents=True, exist_ok=True)
        given.write.write_text(text, encoding="utf-8")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _short(value: float) -> str:
    """Three digits that mean something, without an exponent."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"
