"""Renditions of held-out songs: as recorded, as a codec gives them back, and as a model makes them
when it is told what is known of them. Each is a file in a work folder, made once."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from jukebox_cli.audio.io import Audio, duration_seconds, hash_files, stream_audio, write_audio
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_vqvae
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.checks import validate_job
from jukebox_cli.sampling.job import Advance, Job, StartProgress
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import create_run, new_config, require_same_run
from jukebox_cli.sampling.tokenize import encode_file
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run


@dataclass(frozen=True)
class Renditions:
    """The first `seconds` of songs in a work folder, which may be that of other models too."""

    model: Model
    registry: Registry
    work: Path
    seconds: float
    device: str = "auto"
    seed: int = 0

    @property
    def levels(self) -> int:
        return self.model.config.vqvae.num_levels

    @property
    def rate(self) -> int:
        return self.model.config.vqvae.sample_rate

    @cached_property
    def vqvae(self) -> VQVAE:
        return load_vqvae(self.model, pick_device(self.device))

    def of_codec(self) -> Path:
        """The folder of what depends on the autoencoders."""
        return self._folder("codec", "vqvae-*.safetensors")

    def of_model(self) -> Path:
        """The folder of what depends on any weights, or on what conditioners learned."""
        return self._folder("model", "*.safetensors", "prior-*.json", "config.yaml")

    def _folder(self, kind: str, *patterns: str) -> Path:
        files = sorted(path for pattern in patterns for path in self.model.path.glob(pattern))
        return self.work / f"{kind}-{self.model.name}-{hash_files(files)}"

    def recorded(self, piece: Recording) -> Path:
        """A song as it was recorded, at the model's sample rate."""
        path = self.work / f"recorded-{self.rate}" / self._name(piece)
        if not path.exists():
            write_audio(path, _first(stream_audio(piece.audio, self.rate), self.samples), self.rate)
        return path

    def coded(self, piece: Recording) -> list[Path]:
        """A song as each level of the codec gives it back, level 0 first."""
        folders = [self.of_codec() / f"level-{level}" for level in range(self.levels)]
        paths = [folder / self._name(piece) for folder in folders]
        if not all(path.exists() for path in paths):
            tokens, length = encode_file(self.vqvae, piece.audio, seconds=self.seconds)
            for level, path in enumerate(paths):
                write_audio(path, codec.decode(self.vqvae, level, tokens[level], length), self.rate)
        return paths

    @property
    def samples(self) -> int:
        return round(self.seconds * self.rate)

    def _name(self, piece: Recording) -> str:
        return f"{piece.audio.stem}-{_short(str(piece.audio.resolve()))}-{self.seconds:g}s.wav"

    def generated(self, pieces: Sequence[Recording], what: str) -> list[Path]:
        """Songs as the model makes them, told of everything that it takes. One run, so that they
        are drawn side by side; stopped and begun again, it goes on."""
        songs = [self.told(piece) for piece in pieces]
        items = {number: (self.samples, song) for number, song in enumerate(songs)}
        settings = json.dumps([self.seconds, self.seed, songs], sort_keys=True)
        run = Run(self.of_model() / f"generated-{what}-{_short(settings)}")
        want = Request(self.model.name, self.seconds, tuple(items), self.seed, {})
        config = new_config(self.model, self.registry, want)
        asked = ItemSpecs(self.samples, {}, items)
        job = Job(run, self.model, self.registry, want.items, config, asked, progress=_told(run))
        job = replace(job, device=self.device)
        require_same_run(run, config, asked, want.items)
        validate_job(job)
        create_run(job)
        pipeline.complete_run(job)
        return [run.audio_file(number) for number in items]

    def takes(self, conditioner: str) -> bool:
        """Whether a level of the model knows a conditioner."""
        return any(
            conditioner in self.model.fitted_conditioners(level) for level in range(self.levels)
        )

    def told(self, piece: Recording) -> dict[str, Any]:
        """What a model is told of a song: what it takes of what is known, and how long it is."""
        song = {**piece.song, "total": round(duration_seconds(piece.audio), 2)}
        strange = [c for name, c in self.registry.conditioners.items() if not self.takes(name)]
        unused = {field.name for each in strange for field in fields(each.Input)}
        return {key: value for key, value in song.items() if key not in unused}


def _told(run: Run) -> StartProgress:
    def begin(what: str, *_: int) -> Advance:
        print(f"{run.path}: {what}", file=sys.stderr)
        return lambda count: None

    return begin


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _first(blocks: Iterator[Audio], samples: int) -> Iterator[Audio]:
    """The first `samples` of a stream."""
    for block in blocks:
        yield block[:samples]
        samples -= len(block)
        if samples <= 0:
            return
