"""Errors, messages and progress: everything that goes to stderr, and the exit codes."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from jukebox_cli.interfaces.errors import InputError, InputWarning

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Advance, StartProgress


class Exit(IntEnum):
    """What the exit codes mean."""

    DONE = 0
    FAILED = 1
    FIXABLE = 2
    INTERRUPTED = 130


def print_error(error: InputError) -> None:
    """`error: ...`, a blank line, `hint: ...`."""
    for line in error.message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)


def print_warning(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


@contextmanager
def print_warnings_once() -> Iterator[None]:
    """Within it, what plugins warn of is one line, once."""
    usual = warnings.showwarning
    told: set[str] = set()  # Python forgets what it has shown whenever filters change

    def show(message: Any, category: type[Warning], *more: Any) -> None:
        if issubclass(category, InputWarning):
            if str(message) not in told:
                print_warning(str(message))
            told.add(str(message))
        else:
            usual(message, category, *more)

    with warnings.catch_warnings():
        warnings.simplefilter("default", InputWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def print_note(message: str, quiet: bool = False) -> None:
    if not quiet:
        print(message, file=sys.stderr)


def print_result(data: Mapping[str, Any], line: str, as_json: bool) -> None:
    """Data to stdout: as JSON, or the one line that a script wants."""
    print(json.dumps(data, ensure_ascii=False) if as_json else line)


@contextmanager
def progress(quiet: bool, unit: str = "tokens") -> Iterator[StartProgress]:
    """A bar on stderr with units per second and the time left; plain lines when piped."""
    from rich.console import Console

    from jukebox_cli.sampling.job import no_progress

    console = Console(stderr=True)
    if quiet:
        yield no_progress
    elif console.is_terminal:
        with _rich_bar(console, unit) as bar:
            yield bar
    else:
        yield _plain_bar(unit)


def _plain_bar(unit: str) -> StartProgress:
    def begin(what: str, done: int, total: int) -> Advance:
        left = f", {done:,} there already" if done else ""
        print(f"{what}: {total:,} {_unit(what, unit)}{left}", file=sys.stderr)
        return lambda count: None

    return begin


def _unit(what: str, usual: str) -> str:
    return "samples" if what.startswith("decode") else usual


@contextmanager
def _rich_bar(console: Any, unit: str) -> Iterator[StartProgress]:
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        Speed(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:

        def begin(what: str, done: int, total: int) -> Advance:
            name = _unit(what, unit)
            task = bars.add_task(what, total=total, completed=done, unit=name)
            return lambda count: bars.advance(task, count)

        yield begin
