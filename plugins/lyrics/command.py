"""The command `jukebox align`: find when the words of a run are sung."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.api import InputError
from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.options import Device, DeviceFlag, Json, Only, Quiet, RunFolder

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.storage.run import Run

    from .alignment import AlignmentContext, Head
    from .conditioner import Lyrics

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
        items: Only = None,
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
        from jukebox_cli.sampling.run_setup import reopen_job

        from .alignment import lyrics_level, require_alignable

        job = replace(reopen_job(run, ctx.obj, items, model), device=device.value)
        level, lyrics = lyrics_level(job)
        require_alignable(job, level, lyrics)
        job.model.require_weights(f"prior-{level}")
        chosen = None if head is None else _parse_head(head)
        with progress(quiet, "items") as bar:
            paths = _align_items(replace(job, progress=bar), level, lyrics, chosen, quiet)
        print_result({"run": str(run), "alignments": paths}, "\n".join(paths), as_json)


def _align_items(
    job: Job, level: int, lyrics: Lyrics, chosen: Head | None, quiet: bool
) -> list[str]:
    """Align the job's items; returns the paths of the files."""
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_prior

    from .alignment import AlignmentContext, align, find_head

    prior = load_prior(job.model, level, job.registry, pick_device(job.device))
    context = AlignmentContext(job, level, lyrics, prior)
    head = chosen or lyrics.alignment_head or find_head(context)
    _require_lyrics_head(context, head)
    print_note(f"aligning with head {head[1]} of layer {head[0]}", quiet)
    advance = job.progress("align", 0, len(job.items))
    paths = []
    for item in job.items:
        paths.append(_write(job.run, item, align(context, item, head)))
        advance(1)
    job.log_event("aligned", level=level, layer=head[0], head=head[1], items=list(job.items))
    return paths


def _write(run: Run, item: int, alignment: dict[str, Any]) -> str:
    """Write an item's alignment as JSON, and as LRC with times of lines and of words."""
    from jukebox_cli.storage.files import write_text

    from .lrc import alignment_to_lrc

    path = run.alignment_file(item)
    write_text(path.with_suffix(".lrc"), alignment_to_lrc(alignment, word_times=False))
    write_text(path.with_suffix(".words.lrc"), alignment_to_lrc(alignment, word_times=True))
    write_text(path, json.dumps(alignment, indent=1, ensure_ascii=False) + "\n")
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
