"""The command `jukebox align`: find when the words of a run are sung."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.api import InputError, Registry
from jukebox_cli.api.commands import (
    Device,
    DeviceFlag,
    Json,
    Only,
    Quiet,
    RunFolder,
    StartProgress,
    print_note,
    print_result,
    progress,
)
from jukebox_cli.api.runs import open_run

if TYPE_CHECKING:
    from .alignment import AlignmentContext, Head

HeadFlag = Annotated[
    str | None,
    typer.Option(
        help="Layer and head of the prior whose attention follows the lyrics, such as 3,1. "
        "By default the one known for the model, or the best for this run.",
        metavar="LAYER,HEAD",
    ),
]
ModelFlag = Annotated[
    str | None, typer.Option(help="Model folder, if it has moved since the run was made.")
]


def add_align(app: typer.Typer) -> None:
    """Add the command `align`."""

    @app.command()
    def align(
        ctx: typer.Context,
        run: RunFolder,
        only: Only = None,
        head: HeadFlag = None,
        model: ModelFlag = None,
        device: DeviceFlag = Device.auto,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Find when the words of a run are sung.

        Writes alignment/item-00.json, and .lrc files with times of lines and of words, into the
        run.
        """
        chosen = None if head is None else _parse_head(head)
        context = _prepare(ctx.obj, run, only, model, device.value)
        with progress(quiet, "items") as start_progress:
            paths = _align_items(context, chosen, start_progress, quiet)
        print_result({"run": str(run), "alignments": paths}, "\n".join(paths), as_json)


def _prepare(
    registry: Registry, path: Path, only: str | None, model_name: str | None, device: str
) -> AlignmentContext:
    """Check that the run's items can be aligned, then load the prior."""
    from jukebox_cli.api.models import load_prior, pick_device

    from .alignment import AlignmentContext, lyrics_level, require_alignable

    run = open_run(registry, path, only)
    model = run.find_model(model_name)
    level, lyrics = lyrics_level(run, model)
    require_alignable(run, level, lyrics)
    prior = load_prior(model, level, registry, pick_device(device))
    return AlignmentContext(run, model, level, lyrics, prior)


def _align_items(
    context: AlignmentContext, chosen: Head | None, start_progress: StartProgress, quiet: bool
) -> list[str]:
    """Align the run's items; returns the paths of the files."""
    from .alignment import align, find_head

    run = context.run
    head = chosen or context.lyrics.alignment_head or find_head(context)
    _require_lyrics_head(context, head)
    print_note(f"aligning with head {head[1]} of layer {head[0]}", quiet)
    advance = start_progress("align", 0, len(run.items))
    paths = []
    for item in run.items:
        paths.append(_write(run.path, item.number, align(context, item, head)))
        advance(1)
    numbers = [item.number for item in run.items]
    run.log_event("aligned", level=context.level, layer=head[0], head=head[1], items=numbers)
    return paths


def _write(run: Path, item: int, alignment: dict[str, Any]) -> str:
    """Write an item's alignment as JSON, and as LRC with times of lines and of words."""
    from jukebox_cli.api.files import json_text, write_text

    from .lrc import alignment_to_lrc
    from .timed_text import alignment_file

    path = alignment_file(run, item)
    write_text(path.with_suffix(".lrc"), alignment_to_lrc(alignment, word_times=False))
    write_text(path.with_suffix(".words.lrc"), alignment_to_lrc(alignment, word_times=True))
    write_text(path, json_text(alignment, indent=1))
    return str(path)


def _parse_head(text: str) -> Head:
    try:
        layer, head = (int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"can't read --head '{text}'", "write layer and head, such as 3,1"
        ) from None
    return layer, head


def _require_lyrics_head(context: AlignmentContext, head: Head) -> None:
    """Raise InputError for a head that does not exist or does not attend to the lyrics."""
    heads = context.prior.transformer.heads
    if head[0] not in context.layers or not 0 <= head[1] < heads:
        layers = ", ".join(map(str, context.layers))
        raise InputError(
            f"head {head[1]} of layer {head[0]} does not attend to lyrics",
            f"choose a head from 0 to {heads - 1} of layer {layers}",
        )
