"""tokenize: audio to a run or a corpus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.completion import complete_models
from jukebox_cli.cli.console import print_note, print_result, progress
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import (
    AudioSources,
    Device,
    DeviceFlag,
    Engine,
    EngineFlag,
    OutputOptions,
    validate_out,
)
from jukebox_cli.interfaces.command_options import pluralize
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import DEFAULT_MODEL

if TYPE_CHECKING:
    from jukebox_cli.audio.manifest import Recording
    from jukebox_cli.model.codec import Codec
    from jukebox_cli.sampling.job import Advance
    from jukebox_cli.storage.corpus import Corpus
    from jukebox_cli.storage.model import Model
    from jukebox_cli.storage.run import Run

    Encoder = Callable[[], AbstractContextManager[tuple[Codec, Advance]]]


class Kind(str, Enum):
    """What `tokenize` writes."""

    run = "run"
    corpus = "corpus"


@dataclass(frozen=True)
class TokenizeOptions:
    """Where the tokens go, and which model makes them."""

    out: Annotated[
        Path,
        typer.Option(help="Folder of the run or corpus.", metavar="FOLDER", callback=validate_out),
    ]
    model: Annotated[
        str,
        typer.Option(
            help="Model whose codec is used.", metavar="NAME", autocompletion=complete_models
        ),
    ] = DEFAULT_MODEL
    kind: Annotated[
        Kind | None,
        typer.Option(
            "--as",
            help="What to write. Default: a corpus for folders or manifests, a run for files.",
        ),
    ] = None
    device: DeviceFlag = Device.auto
    engine: EngineFlag = Engine.auto


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(tokenize))


def tokenize(
    ctx: typer.Context,
    *,
    sources: AudioSources,
    options: TokenizeOptions,
    output: OutputOptions,
) -> None:
    """Turn audio into tokens: a corpus for training, or a run to continue."""
    from jukebox_cli.audio.manifest import load_recordings, validate_audio
    from jukebox_cli.sampling.disk_space import require_disk_space
    from jukebox_cli.storage.corpus import Corpus
    from jukebox_cli.storage.model import find_model
    from jukebox_cli.storage.run import Run

    found = find_model(options.model)
    recordings = load_recordings(ctx.obj, sources)
    seconds = validate_audio(recordings)
    encoder = partial(_encoder, found, seconds, options.device, options.engine, output.quiet)
    kind, out = options.kind or _default_kind(sources), options.out
    require_disk_space(out, _token_bytes(found, seconds))
    if kind is Kind.run:
        counts = {"added": _tokenize_to_run(ctx.obj, recordings, found, Run(out), encoder)}
    else:
        counts = _tokenize_to_corpus(recordings, found, Corpus(out), encoder)
        if updated := counts["updated"]:
            songs = pluralize(updated, "song")
            print_note(f"updated the conditions of {songs} that the corpus had", output.quiet)
    print_result({kind.value: str(out), **counts}, str(out), output.as_json)


def _token_bytes(model: Model, seconds: float) -> int:
    """Bytes of the tokens of so much audio, at all levels."""
    config = model.config.vqvae
    return round(sum(2 * seconds * config.sample_rate / each for each in config.hop_lengths))


def _default_kind(sources: Sequence[Path]) -> Kind:
    """A run for audio files; a corpus if there is a folder or a manifest."""
    from jukebox_cli.audio.manifest import MANIFEST_SUFFIXES

    several = any(s.is_dir() or s.suffix.lower() in MANIFEST_SUFFIXES for s in sources)
    return Kind.corpus if several else Kind.run


@contextmanager
def _encoder(
    model: Model, seconds: float, device: Device, engine: Engine, quiet: bool
) -> Iterator[tuple[Codec, Advance]]:
    """The model's codec, and a function that advances a progress bar of `seconds` of audio."""
    from jukebox_cli.engine.loader import load_codec
    from jukebox_cli.model.devices import pick_device

    codec = load_codec(model, pick_device(device.value), engine.value)
    with progress(quiet, "samples") as bar:
        yield codec, bar("tokenize", 0, round(seconds * model.config.vqvae.sample_rate))


def _tokenize_to_run(
    registry: Registry, recordings: Sequence[Recording], model: Model, run: Run, encoder: Encoder
) -> int:
    """Writes a run with an item for each recording. Returns the number of new items."""
    from jukebox_cli.sampling.run_setup import recording_run_config

    config = recording_run_config(run, model, registry, recordings)
    if run.exists:
        for level in range(model.config.vqvae.num_levels):
            run.require_recorded_tokens(level, range(len(recordings)))
        return 0
    from jukebox_cli.sampling.tokenize import to_run

    with encoder() as (codec, advance):
        to_run(recordings, model, codec, run, config, advance)
    return len(recordings)


def _tokenize_to_corpus(
    recordings: Sequence[Recording], model: Model, corpus: Corpus, encoder: Encoder
) -> dict[str, int]:
    """Adds the recordings that a corpus lacks. Returns how many songs were added and updated."""
    from jukebox_cli.sampling.tokenize import to_corpus, validate_corpus

    validate_corpus(corpus, model)  # before the codec is loaded
    with encoder() as (codec, advance):
        return to_corpus(recordings, model, codec, corpus, advance)._asdict()
