"""The sound of a run's items, and its loudness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log10
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.api import InputError
from jukebox_cli.api.audio import Audio, decode_tokens, stream_audio
from jukebox_cli.api.models import load_codec, pick_device
from jukebox_cli.api.runs import OpenRun, RunItem

if TYPE_CHECKING:
    from jukebox_cli.api.nn import Codec

#: What silence measures, in dB.
FLOOR_DB = -100.0


@dataclass(frozen=True)
class RunSound:
    """The sound of a run's items at one level; `codec` decodes those without an audio file."""

    run: OpenRun
    level: int
    codec: Codec | None

    @classmethod
    def prepare(cls, run: OpenRun, level: int, model: str | None, device: str) -> RunSound:
        """Check that every item can be heard, and load the codec if one must be decoded."""
        if level >= run.num_levels:
            raise InputError(f"there is no level {level}", f"the top level is {run.num_levels - 1}")
        for item in run.items:
            tokens = run.read_tokens(level, item)
            if tokens is None or not tokens.is_complete:
                what = f"item {item.number} of {run.path} is not complete at level {level}"
                raise InputError(what, f"finish it with `jukebox upsample {run.path}`")
        if all(run.audio_file(level, item) for item in run.items):
            return cls(run, level, None)
        return cls(run, level, load_codec(run.find_model(model), pick_device(device)))

    def blocks(self, item: RunItem) -> Iterator[Audio]:
        """The sound of an item at the model's sample rate."""
        path = self.run.audio_file(self.level, item)
        if path:
            return stream_audio(path, self.run.config.sample_rate)
        tokens = self.run.read_tokens(self.level, item)
        assert tokens is not None
        assert self.codec is not None
        return decode_tokens(self.codec, self.level, tokens.tokens, item.num_samples)


def measure(blocks: Iterable[Audio]) -> dict[str, float]:
    """`rms_db` and `peak_db`: the average and the highest level in dB below full scale."""
    power, peak, num_samples = 0.0, 0.0, 0
    for block in blocks:
        power += float(np.square(block, dtype=np.float64).sum())
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        num_samples += len(block)
    mean = power / max(1, num_samples)
    return {"rms_db": _decibels(mean, 10), "peak_db": _decibels(peak, 20)}


def _decibels(value: float, factor: int) -> float:
    return round(factor * log10(value), 2) if value > 0 else FLOOR_DB
