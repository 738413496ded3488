"""Versions of held-out songs: as recorded, as the codec reconstructs them, and as a model generates
them from their conditions. Each version is a file in a work folder and is made once."""

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
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.model.codec import Codec, decode
from jukebox_cli.model.devices import pick_device
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.checks import validate_job
from jukebox_cli.sampling.job import Advance, Job, StartProgress
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import create_run, new_config, new_item, require_same_run
from jukebox_cli.sampling.tokenize import encode_file
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run


@dataclass(frozen=True)
class SongVersions:
    """Versions of the first `seconds` of songs, in a work folder that models can share."""

    model: Model
    registry: Registry
    work: Path
    seconds: float
    device: str = "auto"
    seed: int = 0  # of generated songs

    @property
    def num_levels(self) -> int:
        return self.model.config.vqvae.num_levels

    @property
    def sample_rate(self) -> int:
        return self.model.config.vqvae.sample_rate

    @property
    def num_samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @cached_property
    def codec(self) -> Codec:
        return load_codec(self.model, pick_device(self.device))

    def codec_folder(self) -> Path:
        """The folder of files that depend on the autoencoders alone."""
        return self._folder("codec", "vqvae-*.safetensors")

    def model_folder(self) -> Path:
        """The folder of files that depend on any of the model's weights or conditioners."""
        return self._folder("model", "*.safetensors", "prior-*.json", "config.yaml")

    def _folder(self, kind: str, *patterns: str) -> Path:
        files = sorted(path for pattern in patterns for path in self.model.path.glob(pattern))
        return self.work / f"{kind}-{self.model.name}-{hash_files(files)}"

    def recorded(self, recording: Recording) -> Path:
        """The recording, at the model's sample rate."""
        path = self.work / f"recorded-{self.sample_rate}" / self._file_name(recording)
        if not path.exists():
            blocks = stream_audio(recording.audio, self.sample_rate)
            write_audio(path, _first_samples(blocks, self.num_samples), self.sample_rate)
        return path

    def reconstructed(self, recording: Recording) -> list[Path]:
        """The reconstruction of each level of the codec, level 0 first."""
        folders = [self.codec_folder() / f"level-{level}" for level in range(self.num_levels)]
        paths = [folder / self._file_name(recording) for folder in folders]
        if not all(path.exists() for path in paths):
            tokens, length = encode_file(self.codec, recording.audio, seconds=self.seconds)
            for level, path in enumerate(paths):
                decoded = decode(self.codec, level, tokens[level], length)
                write_audio(path, decoded, self.sample_rate)
        return paths

    def generated(self, recordings: Sequence[Recording], name: str) -> list[Path]:
        """Songs that the model generates from the conditions of recordings.

        They are the items of one run, so that they are sampled side by side. If it is interrupted,
        the next call completes it.
        """
        songs = [self.conditions(recording) for recording in recordings]
        settings = json.dumps([self.seconds, self.seed, songs], sort_keys=True)
        run = Run(self.model_folder() / f"generated-{name}-{_short_hash(settings)}")
        request = Request(self.model.name, self.seconds, tuple(range(len(songs))), self.seed, {})
        config = new_config(self.model, self.registry, request)
        specs = {
            item: new_item(self.model, config, self.num_samples, song)
            for item, song in enumerate(songs)
        }
        job = Job(run, self.model, self.registry, request.items, config, specs)
        job = replace(job, device=self.device, progress=_print_progress(run))
        require_same_run(run, config, specs)
        validate_job(job)
        create_run(job)
        pipeline.complete_run(job)
        return [run.audio_file(number) for number in request.items]

    def uses(self, conditioner: str) -> bool:
        """Whether a level of the model has a conditioner."""
        levels = range(self.num_levels)
        return any(conditioner in self.model.fitted_conditioners(level) for level in levels)

    def conditions(self, recording: Recording) -> dict[str, Any]:
        """The conditions of a recording that the model uses, and its duration."""
        duration = round(duration_seconds(recording.audio), 2)
        song = {**recording.song, "total": duration}
        unused = [c for name, c in self.registry.conditioners.items() if not self.uses(name)]
        unused_fields = {field.name for each in unused for field in fields(each.Input)}
        return {key: value for key, value in song.items() if key not in unused_fields}

    def _file_name(self, recording: Recording) -> str:
        path = recording.audio
        return f"{path.stem}-{_short_hash(str(path.resolve()))}-{self.seconds:g}s.wav"


def _print_progress(run: Run) -> StartProgress:
    """Prints each stage of a run as it begins."""

    def start(stage: str, *_: int) -> Advance:
        print(f"{run.path}: {stage}", file=sys.stderr)
        return lambda count: None

    return start


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


def _first_samples(blocks: Iterator[Audio], num_samples: int) -> Iterator[Audio]:
    """The first `num_samples` of a stream."""
    for block in blocks:
        yield block[:num_samples]
        num_samples -= len(block)
        if num_samples <= 0:
            return
