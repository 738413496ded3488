"""run list, run show, run check, run rm: the runs on disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.completion import complete_runs
from jukebox_cli.cli.console import print_note, print_result, print_warning
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.options import Json, Quiet, RunFolder
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.files import disk_errors

if TYPE_CHECKING:
    from jukebox_cli.sampling.run_summary import RunSummary
    from jukebox_cli.storage.run import Run


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `run` to the app."""
    group = command_group(app, "run", "Runs: list, inspect, and remove them.")
    group.command("list")(list_runs)
    group.command()(show)
    group.command()(check)
    group.command("rm")(remove)


def list_runs(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder whose runs are listed.")
    ] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List the runs in a folder: model, items, length, progress and size."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "make a run with `jukebox generate`")
    runs = list(_summaries(folder, ctx.obj))
    print_result({"runs": [_row(each) for each in runs]}, _table(runs), as_json)


def _summaries(folder: Path, registry: Registry) -> Iterator[RunSummary]:
    """The runs in a folder, with a warning for each that can't be read."""
    from jukebox_cli.sampling.run_summary import summarize_run
    from jukebox_cli.storage.run import find_runs

    for run in find_runs(folder):
        try:
            yield summarize_run(run, registry)
        except InputError as error:
            print_warning(error.message)


def _row(run: RunSummary) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "model": run.model,
        "items": list(run.items),
        "seconds": list(run.seconds),
        "progress": run.progress,
        "bytes": run.num_bytes,
    }


def _table(runs: Sequence[RunSummary]) -> str:
    """A line for each run, in aligned columns."""
    rows = [
        (
            str(run.path),
            run.model,
            f"{len(run.items)} item{'' if len(run.items) == 1 else 's'}",
            f"{max(run.seconds, default=0.0):g} s",
            f"{run.num_bytes / 1e6:.1f} MB",
            run.progress,
        )
        for run in runs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def show(ctx: typer.Context, run: RunFolder, as_json: Json = False) -> None:
    """Show a run: each item's length, progress and segments.

    A segment is the part of an item that one command added, with its seed, conditions and sampling
    options.
    """
    from jukebox_cli.sampling.run_details import run_details, run_text
    from jukebox_cli.storage.run import Run

    details = run_details(Run(run), ctx.obj)
    print_result(details, run_text(details, ctx.obj), as_json)


def check(run: RunFolder, as_json: Json = False) -> None:
    """Read the items and tokens of a run through, and list the files that are damaged."""
    from jukebox_cli.storage.run import Run
    from jukebox_cli.storage.whole import check_run

    found = Run(run)
    _ = found.config  # raises InputError if it is not a run
    count = check_run(found)
    print_result({"run": str(run), "files": count}, f"{run}: {count} files are whole", as_json)


def remove(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs.", autocompletion=complete_runs),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    quiet: Quiet = False,
) -> None:
    """Remove runs and everything in their folders."""
    from jukebox_cli.storage.run import Run

    found = [Run(path) for path in runs]
    for run in found:
        _ = run.config  # raises InputError if it is not a run
        if run.path.is_symlink():
            raise InputError(f"{run.path} is a link to a run", "remove the link, or name the run")
    if not yes and not _confirm(found):
        print_note("nothing was removed", quiet)
        return
    for run in found:
        with disk_errors(run.path):
            shutil.rmtree(run.path)
        print(run.path)


def _confirm(runs: Sequence[Run]) -> bool:
    """Asks on stderr. Raises InputError if stdin gives no answer."""
    names = ", ".join(str(run.path) for run in runs)
    print(f"remove {names}? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        hint = "add --yes to remove without asking"
        raise InputError("no answer on the standard input, so nothing was removed", hint)
    return answer.strip().lower() in ("y", "yes")
