"""generate, continue, upsample, decode, tokenize: the commands that fill a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.plugin_options import PluginOptions, with_plugin_options
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.sampling.job import Job
from jukebox_cli.cli.options import (
    Batch,
    Device,
    DeviceFlag,
    Format,
    Items,
    Json,
    Kind,
    ModelName,
    Only,
    Out,
    Precision,
    PrecisionFlag,
    Preset,
    Quiet,
    RunFolder,
    Seconds,
    Seed,
    Set,
    Until,
    UntilFlag,
    computed,
)


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the commands on the app."""

    @app.command()
    @with_plugin_options(registry)
    def generate(
        said: PluginOptions,
        preset: Preset = None,
        model: ModelName = None,
        out: Out = None,
        seconds: Seconds = None,
        items: Items = None,
        seed: Seed = None,
        until: UntilFlag = Until.audio,
        device: DeviceFlag = Device.auto,
        precision: PrecisionFlag = Precision.auto,
        batch: Batch = 16,
        set_: Set = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Make a song from nothing but its conditions."""
        from jukebox_cli.sampling.request import build_request
        from jukebox_cli.sampling.run_setup import create_run, start_job

        want = build_request(
            registry,
            preset,
            set_ or [],
            model=model,
            seconds=seconds,
            items=items,
            seed=seed,
            conditions=said.conditions,
            sampler_options=said.sampler_options,
        )
        job = start_job(want, registry, out, _name(preset, said))
        job = replace(job, **computed(device, precision, batch))
        _check(job, until)
        create_run(job)
        _finish(job, until, as_json, quiet)

    @app.command("continue")
    @with_plugin_options(registry)
    def continue_(
        said: PluginOptions,
        run: Annotated[Path | None, typer.Argument(metavar="[RUN]", help="A run to go on.")] = None,
        audio: Annotated[Path | None, typer.Option(help="A recording to go on from.")] = None,
        prime: Annotated[
            float | None, typer.Option(help="Use the first so many seconds of --audio.")
        ] = None,
        seconds: Annotated[float, typer.Option(help="How much longer.")] = 10.0,
        preset: Preset = None,
        model: ModelName = None,
        out: Out = None,
        items: Items = None,
        seed: Seed = None,
        until: UntilFlag = Until.audio,
        device: DeviceFlag = Device.auto,
        precision: PrecisionFlag = Precision.auto,
        batch: Batch = 16,
        set_: Set = None,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Go on from a run, or from a recording."""
        from jukebox_cli.sampling import continuation as continuing
        from jukebox_cli.sampling.request import build_request, require_positive, validate_seed
        from jukebox_cli.sampling.run_setup import reopen_job
        from jukebox_cli.storage.model import find_model

        require_positive("--seconds", seconds)
        if (run is None) == (audio is None):
            raise InputError("continue needs a RUN or --audio, and not both", "see --help")
        if run is not None:
            job = reopen_job(run, registry, items, model)
            if said.sampler_options or preset or set_ or prime is not None:
                hint = "a run keeps its own; start from its audio to change them"
                raise InputError("a RUN goes on with the sampling it began with", hint)
            new_seed = None if seed is None else validate_seed(seed)
            job = replace(job, **computed(device, precision, batch))
            audible = until is Until.audio
            more = continuing.plan_extension(job, seconds, said.conditions, new_seed, out, audible)
            _check(more, until)
            if more is job:
                print_note("it was not whole; this finishes it, the next goes on from there", quiet)
            continuing.extend(job, more)
            job = more
        elif audio is not None:
            if out is None:
                raise InputError("continue --audio needs --out", "name a folder for the run")
            want = build_request(
                registry,
                preset,
                set_ or [],
                model=model,
                seconds=seconds,
                items=items,
                seed=seed,
                conditions=said.conditions,
                sampler_options=said.sampler_options,
            )
            if prime is not None:
                require_positive("--prime", prime)
            found = find_model(want.model)
            job = continuing.from_recording(want, found, registry, audio, prime, out)
            job = replace(job, **computed(device, precision, batch))
            _check(job, until)
            continuing.prime_with_recording(job, audio, prime)
        _finish(job, until, as_json, quiet)

    @app.command()
    def upsample(
        run: RunFolder,
        items: Only = None,
        model: ModelName = None,
        until: UntilFlag = Until.audio,
        device: DeviceFlag = Device.auto,
        precision: PrecisionFlag = Precision.auto,
        batch: Batch = 16,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Finish what a run lacks: its lower levels, then its audio."""
        from jukebox_cli.sampling.run_setup import reopen_job

        job = reopen_job(run, registry, items, model)
        job = replace(job, **computed(device, precision, batch))
        _check(job, until)
        _finish(job, until, as_json, quiet)

    @app.command()
    def decode(
        run: RunFolder,
        level: Annotated[int, typer.Option(min=0, help="The level to hear; 0 is the finest.")] = 0,
        format_: Annotated[Format, typer.Option("--format", help="The kind of file.")] = Format.wav,
        items: Only = None,
        model: ModelName = None,
        device: DeviceFlag = Device.auto,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Turn a level's tokens into audio."""
        from jukebox_cli.sampling.decode import decode_items
        from jukebox_cli.sampling.run_setup import reopen_job

        job = replace(reopen_job(run, registry, items, model), device=device.value)
        if level > job.top_level:
            raise InputError(f"there is no level {level}", f"the top level is {job.top_level}")
        with progress(quiet) as bar:
            files = decode_items(replace(job, progress=bar), level, format_.value)
        print_result({"run": str(run), "audio": files}, "\n".join(files), as_json)

    @app.command()
    def tokenize(
        sources: Annotated[
            list[Path], typer.Argument(metavar="AUDIO...", help="Files, folders, manifests.")
        ],
        out: Annotated[Path, typer.Option(help="Folder of the run or corpus.")],
        model: Annotated[str, typer.Option(help="The model whose codec to use.")] = "mini",
        kind: Annotated[
            Kind | None,
            typer.Option("--as", help="What to make; a corpus when given folders or manifests."),
        ] = None,
        device: DeviceFlag = Device.auto,
        as_json: Json = False,
        quiet: Quiet = False,
    ) -> None:
        """Turn audio into tokens: a corpus to train on, or a run to go on from."""
        from jukebox_cli.audio.manifest import MANIFEST_SUFFIXES

        many = any(s.is_dir() or s.suffix.lower() in MANIFEST_SUFFIXES for s in sources)
        chosen = kind or (Kind.corpus if many else Kind.run)
        _tokenize(registry, sources, out, model, chosen, device, as_json, quiet)


def _name(preset: str | None, said: PluginOptions) -> str:
    """What to call a run that was given no name."""
    if preset:
        return Path(preset).stem
    words = said.conditions.get("genre") or said.conditions.get("artist") or "song"
    return "".join(c if c.isalnum() else "-" for c in str(words).lower())


def _check(job: Job, until: Until) -> None:
    from jukebox_cli.sampling.checks import validate_job

    validate_job(job, until.value)


def _finish(job: Job, until: Until, as_json: bool, quiet: bool) -> None:
    from jukebox_cli.sampling import pipeline

    with progress(quiet) as bar:
        pipeline.complete_run(replace(job, progress=bar), until.value)
    audio = [str(job.run.audio_file(i)) for i in job.items] if until is Until.audio else []
    for path in audio:
        print_note(f"wrote {path}", quiet or as_json)
    data: dict[str, Any] = {
        "run": str(job.run.path),
        "items": list(job.items),
        "seed": job.config.seed,
        "audio": audio,
    }
    print_result(data, str(job.run.path), as_json)


def _tokenize(
    registry: Registry,
    sources: list[Path],
    out: Path,
    model: str,
    kind: Kind,
    device: Device,
    as_json: bool,
    quiet: bool,
) -> None:
    from jukebox_cli.audio.manifest import load_recordings, validate_audio
    from jukebox_cli.sampling.run_setup import recording_run_config
    from jukebox_cli.storage.corpus import Corpus
    from jukebox_cli.storage.model import find_model
    from jukebox_cli.storage.run import Run

    found = find_model(model)
    pieces = load_recordings(registry, sources)
    seconds = validate_audio(pieces)
    run = Run(out)
    config = recording_run_config(run, found, registry, pieces) if kind is Kind.run else None
    if config and run.exists:
        for level in range(found.config.vqvae.num_levels):
            run.require_recorded_tokens(level, range(len(pieces)))
        print_result({kind.value: str(out), "added": 0}, str(out), as_json)
        return

    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_vqvae
    from jukebox_cli.sampling import tokenize as tokenizing

    total = round(seconds * found.config.vqvae.sample_rate)
    vqvae = load_vqvae(found, pick_device(device.value))
    with progress(quiet, "samples") as bar:
        tick = bar("tokenize", 0, total)
        if config is None:
            count = tokenizing.to_corpus(pieces, found, vqvae, Corpus(out), tick)
        else:
            tokenizing.to_run(pieces, found, vqvae, run, config, tick)
            count = len(pieces)
    print_result({kind.value: str(out), "added": count}, str(out), as_json)
