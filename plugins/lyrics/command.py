"""The command `align`: when the words of a run are sung."""

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

    from . import Lyrics
    from .alignment import AlignmentContext, Head


def add(app: typer.Typer) -> None:
    """Puts `jukebox align` on the app."""

    @app.command()
    def align(
        ctx: typer.Context,
        run: RunFolder,
        items: Only = None,
        head: Annotated[
            str | None,
            typer.Option(
                help="Layer and head that follow the words, such as 3,1; found if not given.",
                metavar="LAYER,HEAD",
            ),
        ] = None,
        model: Annotated[str | None, typer.Option(help="Where its model is now.")] = None,
        device: DeviceFlag = Device.auto,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Find out when the words of a run are sung.

        Writes alignment/item-00.json, and .lrc files of lines and of words, into the run.
        """
        from jukebox_cli.sampling.run_setup import reopen_job

        from .alignment import lyrics_level, require_alignable

        job = replace(reopen_job(run, ctx.obj, items, model), device=device.value)
        level, lyrics = lyrics_level(job)
        require_alignable(job, level, lyrics)
        job.model.require_weights(f"prior-{level}")
        chosen = None if head is None else _head(head)
        with progress(quiet, "items") as bar:
            made = _align(replace(job, progress=bar), level, lyrics, chosen, quiet)
        print_result({"run": str(run), "alignments": made}, "\n".join(made), as_json)


def _align(job: Job, level: int, lyrics: Lyrics, chosen: Head | None, quiet: bool) -> list[str]:
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_prior

    from .alignment import AlignmentContext, align, find_head

    prior = load_prior(job.model, level, job.registry, pick_device(job.device))
    sung = AlignmentContext(job, level, lyrics, prior)
    best = chosen or lyrics.alignment_head or find_head(sung)
    _refuse_blind(sung, best)
    print_note(f"head {best[1]} of layer {best[0]} follows the words", quiet)
    tick = job.progress("align", 0, len(job.items))
    made = []
    for item in job.items:
        made.append(_write(job.run, item, align(sung, item, best)))
        tick(1)
    job.log_event("aligned", level=level, layer=best[0], head=best[1], items=list(job.items))
    return made


def _write(run: Run, item: int, found: dict[str, Any]) -> str:
    from jukebox_cli.storage.files import write_text

    from .alignment import lrc

    path = run.alignment_file(item)
    write_text(path.with_suffix(".lrc"), lrc(found, words=False))
    write_text(path.with_suffix(".words.lrc"), lrc(found, words=True))
    write_text(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return str(path)


def _head(said: str) -> Head:
    try:
        layer, head = (int(part) for part in said.split(","))
    except ValueError:
        raise InputError(
            f"can't read --head '{said}'", "write layer and head, such as 3,1"
        ) from None
    return layer, head


def _refuse_blind(sung: AlignmentContext, head: Head) -> None:
    heads = sung.prior.transformer.heads
    if head[0] not in sung.layers or not 0 <= head[1] < heads:
        there = ", ".join(map(str, sung.layers))
        hint = f"those that do are layers {there}, with heads 0 to {heads - 1}"
        raise InputError(f"head {head[1]} of layer {head[0]} looks at no lyrics", hint)
