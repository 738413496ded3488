"""continue: extend a run or a recording."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.completion import complete_runs
from jukebox_cli.cli.console import print_note
from jukebox_cli.cli.job import begin_job, build_request, complete_job, prepare_job
from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.cli.options import (
    ComputeOptions,
    OutputOptions,
    RequestOptions,
    ResultOptions,
    Until,
    validate_out,
)
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job


@dataclass(frozen=True)
class ContinueOptions(RequestOptions):
    """What to continue, and how."""

    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the new run: a copy of RUN, or that of --audio, which needs one.",
            metavar="FOLDER",
            callback=validate_out,
        ),
    ] = None
    seconds: Annotated[float, typer.Option(help="Seconds to add.")] = 10.0
    seed: Annotated[
        int | None,
        typer.Option(
            help="Random seed.", show_default="the RUN's; with --audio the preset's, or 0"
        ),
    ] = None
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="The run to extend.", autocompletion=complete_runs),
    ] = None
    audio: Annotated[
        Path | None, typer.Option(help="A recording to continue instead of a run.")
    ] = None
    prime: Annotated[
        float | None, typer.Option(help="Use only the first seconds of --audio.", metavar="SECONDS")
    ] = None


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command("continue")(with_option_groups(registry)(continue_))


def continue_(
    ctx: typer.Context,
    *,
    options: ContinueOptions,
    result: ResultOptions,
    compute: ComputeOptions,
    output: OutputOptions,
    plugins: PluginOptions,
) -> None:
    """Continue a run, or a recording.

    A run is extended in place, or in a copy with --out. A recording becomes the beginning of a new
    run.
    """
    from jukebox_cli.sampling.request import require_positive

    require_positive("--seconds", options.seconds)
    if (options.run is None) == (options.audio is None):
        raise InputError("continue needs a RUN or --audio, and not both", "see --help")
    if options.run is not None:
        job = _extend_run(ctx.obj, options.run, options, plugins, compute, result, output)
    elif options.audio is not None:
        job = _continue_recording(ctx.obj, options.audio, options, plugins, compute, result, output)
    complete_job(job, result, output)


def _extend_run(
    registry: Registry,
    path: Path,
    options: ContinueOptions,
    plugins: PluginOptions,
    compute: ComputeOptions,
    result: ResultOptions,
    output: OutputOptions,
) -> Job:
    """Extends a run or a copy of it; the new tokens are not sampled yet."""
    from jukebox_cli.sampling.continuation import OutdatedPlanError, extend, plan_extension
    from jukebox_cli.sampling.intents import reopen_pending_job
    from jukebox_cli.sampling.request import validate_seed

    _validate_run_options(path, options, plugins, result)
    seed = None if options.seed is None else validate_seed(options.seed)
    addition = (options.seconds, plugins.conditions, seed, options.out)
    while True:  # until no other command changes the run meanwhile
        job = reopen_pending_job(path, registry, options.only, options.model)
        extended = plan_extension(job, *addition, result.until is Until.audio)
        prepared = prepare_job(extended, compute, result, output)
        if extended is job:
            note = (
                "the run is incomplete: this finishes it; run the same command again to extend it"
            )
            print_note(note, output.quiet)
            return begin_job(prepared, result, lambda job: None)
        with suppress(OutdatedPlanError):
            return begin_job(prepared, result, partial(extend, job, until=result.until.value))


def _validate_run_options(
    path: Path, options: ContinueOptions, plugins: PluginOptions, result: ResultOptions
) -> None:
    """Raises InputError for options that only a new run can have."""
    fixed = (options.preset, options.overrides, options.prime, plugins.sampler_options or None)
    if any(option is not None for option in fixed):
        raise InputError(
            "a RUN continues with the sampling options that it began with",
            "leave out --preset, --set, --prime and the sampling options, or use --audio",
        )
    if options.items is not None:
        raise InputError("a RUN has its items already", "choose some of them with --only")
    if result.shard and (options.out is None or options.out.resolve() == path.resolve()):
        raise InputError(
            "continue RUN --shard needs --out: a task that is repeated would extend the run again",
            "name a folder for the longer copy; or extend the run with `continue --until top`, "
            "then use `upsample --shard`",
        )


def _continue_recording(
    registry: Registry,
    audio: Path,
    options: ContinueOptions,
    plugins: PluginOptions,
    compute: ComputeOptions,
    result: ResultOptions,
    output: OutputOptions,
) -> Job:
    """Makes a run that begins with a recording; the tokens after it are not sampled yet."""
    from jukebox_cli.sampling.continuation import from_recording, prime_with_recording
    from jukebox_cli.sampling.request import require_positive
    from jukebox_cli.storage.model import find_model

    if options.out is None:
        raise InputError("continue --audio needs --out", "name a folder for the run")
    request = build_request(registry, options, plugins)
    if options.prime is not None:
        require_positive("--prime", options.prime)
    model = find_model(request.model)
    job = from_recording(request, model, registry, audio, options.prime, options.out)
    job = prepare_job(job, compute, result, output)
    begin = partial(prime_with_recording, path=audio, until=result.until.value)
    return begin_job(job, result, begin)
