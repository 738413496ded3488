"""Exit codes, and everything that is printed: results on stdout, the rest on stderr."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import IntEnum
from io import UnsupportedOperation
from typing import TYPE_CHECKING, Any, TextIO, cast

from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.signals import INTERRUPTED, TERMINATED, Terminated

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

    from jukebox_cli.cli.time_left import TimeLeft
    from jukebox_cli.sampling.job import Advance, StartProgress
    from jukebox_cli.sampling.stages import Stage


class Exit(IntEnum):
    """Exit codes of all commands."""

    DONE = 0
    FAILED = 1
    FIXABLE = 2
    INTERRUPTED = INTERRUPTED  # by SIGINT
    TERMINATED = TERMINATED  # by SIGTERM or SIGHUP


class PlayerClosed(KeyboardInterrupt):
    """What reads the standard output has ended; handled like Ctrl-C."""


def exit_code(interrupt: BaseException) -> Exit:
    """The exit code for a KeyboardInterrupt, or for typer's Abort."""
    return Exit.TERMINATED if isinstance(interrupt, Terminated) else Exit.INTERRUPTED


def open_closed_streams() -> None:
    """Opens the null device for standard streams that are closed, as `>&-` leaves them. What is
    printed would be an error, or go into the next file that is opened, which takes their place."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(null, mode, encoding="utf-8", errors="replace"))


class _ForgivingStream:
    """A stream whose errors are dropped: a full disk or a terminal that is gone stops no work."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        with suppress(OSError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def ignore_stderr_errors() -> None:
    """Lets messages that can't be written be lost, so that they stop no work."""
    sys.stderr = cast(TextIO, _ForgivingStream(sys.stderr))


def print_error(error: InputError) -> None:
    """Prints `error: ...`, a blank line and `hint: ...`."""
    for line in error.message.splitlines():
        print(f"error: {line}", file=sys.stderr)
    if error.hint:
        print(f"\nhint: {error.hint}", file=sys.stderr)


def print_warning(message: str) -> None:
    """Prints `warning: ...`."""
    print(f"warning: {message}", file=sys.stderr)


@contextmanager
def print_warnings_once() -> Iterator[None]:
    """Within the block, print each InputWarning as one line, once; leave others to Python."""
    show_other = warnings.showwarning
    printed: set[str] = set()  # Python forgets what it has shown whenever filters change

    def show(message: Any, category: type[Warning], *more: Any) -> None:
        if not issubclass(category, InputWarning):
            show_other(message, category, *more)
        elif str(message) not in printed:
            printed.add(str(message))
            print_warning(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("default", InputWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def print_note(message: str, quiet: bool = False) -> None:
    """Prints a message unless `quiet`."""
    if not quiet:
        print(message, file=sys.stderr)


def print_result(data: Mapping[str, Any], text: str, as_json: bool) -> None:
    """Prints a result to stdout: as JSON, or as text if there is any."""
    if as_json:
        print(json.dumps(data, ensure_ascii=False))
    elif text:
        print(text)


def format_duration(seconds: float) -> str:
    """`4.2 s`, `38 s`, `2 min 5 s` or `3 h 20 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def discard_stdout() -> None:
    """Drops what is buffered for stdout: Python would try to write it again at exit."""
    with suppress(UnsupportedOperation):  # where it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress(
    quiet: bool, unit: str = "tokens", stages: Sequence[Stage] = ()
) -> Iterator[StartProgress]:
    """Yields a function that starts progress bars, with speed in `unit` (a plural) per second, and
    the time left for all of `stages` and those that are started.

    They are on stderr. If that is not a terminal, the start of each stage is a plain line.
    """
    from rich.console import Console

    from jukebox_cli.sampling.job import no_progress

    console = Console(stderr=True)
    if quiet:
        yield no_progress
    elif console.is_terminal:
        with _bars(console, unit, stages) as start:
            yield start
    else:
        yield _plain_lines(unit)


def _plain_lines(unit: str) -> StartProgress:
    def start(stage: str, done: int, total: int) -> Advance:
        already = f", {done:,} already done" if done else ""
        units = _unit_of(stage, unit)
        counted = units.removesuffix("s") if total == 1 else units
        print(f"{stage}: {total:,} {counted}{already}", file=sys.stderr)
        return lambda count: None

    return start


def _unit_of(stage: str, unit: str) -> str:
    return "samples" if stage.startswith("decode") else unit


@contextmanager
def _bars(console: Console, unit: str, stages: Sequence[Stage]) -> Iterator[StartProgress]:
    from jukebox_cli.cli.time_left import TimeLeft

    time_left = TimeLeft(stages)
    with _job_progress(console, time_left) as bars:
        loading = bars.add_task("load", total=None, unit=unit)  # shown until a stage starts

        def start(stage: str, done: int, total: int) -> Advance:
            bars.update(loading, visible=False)
            stage_unit = _unit_of(stage, unit)
            task = bars.add_task(stage, total=total, completed=done, unit=stage_unit)
            count_steps = time_left.start(stage, total - done)

            def advance(count: int) -> None:
                count_steps(count)
                bars.advance(task, count)

            return advance

        yield start


def _job_progress(console: Console, time_left: TimeLeft) -> Progress:
    """A bar for each stage, and below them the time left for all."""
    from rich.console import RenderableType
    from rich.progress import Progress
    from rich.text import Text

    class JobProgress(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            if seconds := time_left.seconds():
                yield Text(f"time left: {format_duration(seconds)}")

    return JobProgress(*_columns(), console=console)


def _columns() -> list[ProgressColumn]:
    """Stage, bar, percentage, speed, time."""
    from rich import progress
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    return [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        Speed(),
        progress.TimeElapsedColumn(),
    ]
