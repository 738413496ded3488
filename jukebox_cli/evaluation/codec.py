"""A model's codec, measured on clips of recordings, beside other codecs.

Metrics compare at the model's sample rate. Judges hear what a person would: they compare with the
original at its own sample rate, so that a codec of 22.05 kHz is judged by what it leaves out too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jukebox_cli.audio.io import Audio
from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.evaluation.clips import Clip, find_parts, load_clips, resample
from jukebox_cli.evaluation.code_use import CodeUse
from jukebox_cli.evaluation.judges import Judge, JudgeFunction
from jukebox_cli.evaluation.metrics import METRICS
from jukebox_cli.evaluation.other_codecs import Encoding, encode_and_decode
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.model.codec import Codec, decode
from jukebox_cli.sampling.job import StartProgress, no_progress

#: What judges are given besides: the clip at the model's sample rate, which no level can surpass.
RESAMPLED = "resampled only"


class Rendition(NamedTuple):
    """What became of a clip.

    level, tokens: a level of the model, and its tokens, int64 (T,); None of anything else.
    num_bits: that another codec took.
    """

    title: str
    audio: Audio
    sample_rate: int
    level: int | None = None
    tokens: np.ndarray | None = None
    num_bits: int | None = None


@dataclass
class RowResult:
    """The results of a level, of another codec, or of resampling only.

    scores: the values of each metric and judge, a value for each clip that has one.
    """

    title: str
    scores: dict[str, list[float]]
    seconds: float = 0.0
    num_bits: int | None = None
    code_use: CodeUse | None = None

    @property
    def bitrate(self) -> float | None:
        """In bit/s: tokens with log2(codebook size) bits each, or what the other codec took."""
        if self.code_use:
            return self.code_use.bitrate
        return None if self.num_bits is None else self.num_bits / self.seconds

    def mean(self, name: str) -> float | None:
        """The mean of a metric or judge over the clips; None if no clip has a value."""
        values = self.scores.get(name)
        return math.fsum(values) / len(values) if values else None


@dataclass
class CodecResult:
    """All rows, in order; the clips; and the renditions of the first clip, the original first."""

    rows: list[RowResult] = field(default_factory=list)
    clips: list[tuple[Path, float, float]] = field(default_factory=list)  # start, seconds
    first_clip: list[Rendition] = field(default_factory=list)


def evaluate_codec(
    codec: Codec,
    recordings: Sequence[Path],
    count: int,
    seconds: float,
    levels: Sequence[int],
    judges: Mapping[str, Judge],
    encodings: Sequence[Encoding] = (),
    progress: StartProgress = no_progress,
) -> CodecResult:
    """Measures some levels and other codecs on `count` clips of `seconds` of the recordings.

    The same clips and numbers every time. Raises InputError as `find_parts` and `load_clips`.
    """
    parts = find_parts(recordings, count, seconds)
    scorer = Scorer(codec.config, {name: (j, j.load()) for name, j in judges.items()})
    result, rows = CodecResult(), dict[str, RowResult]()
    advance = progress("evaluate", 0, len(parts))
    for clip in load_clips(parts, seconds, advance):
        if not result.clips:
            result.first_clip.append(Rendition("original", clip.audio, clip.sample_rate))
        result.clips.append((clip.path, clip.start, clip.seconds))
        for rendition in renditions(clip, codec, levels, encodings):
            if len(result.clips) == 1:
                result.first_clip.append(rendition)
            row = rows.setdefault(rendition.title, RowResult(rendition.title, {}))
            scorer.add(row, clip, rendition)
    result.rows = list(rows.values())
    return result


def renditions(
    clip: Clip, codec: Codec, levels: Sequence[int], encodings: Sequence[Encoding]
) -> Iterator[Rendition]:
    """What becomes of a clip by resampling, by each level, and by each other codec."""
    rate = codec.config.sample_rate
    audio = clip.at(rate)
    yield Rendition(RESAMPLED, audio, rate)
    tokens_by_level = codec.encode([audio])
    for level in levels:
        tokens = tokens_by_level[level]
        decoded = np.concatenate(list(decode(codec, level, tokens, len(audio))))
        yield Rendition(f"level {level}", decoded, rate, level, tokens)
    for encoding in encodings:
        coded = encode_and_decode(clip.audio, clip.sample_rate, encoding)
        yield Rendition(encoding.title, coded.audio, clip.sample_rate, num_bits=coded.num_bits)


class Scorer:
    """Adds what metrics and judges say of a rendition to its row."""

    def __init__(
        self, config: VQVAEConfig, judges: Mapping[str, tuple[Judge, JudgeFunction]]
    ) -> None:
        self.config, self.judges = config, judges

    def add(self, row: RowResult, clip: Clip, rendition: Rendition) -> None:
        row.seconds += clip.seconds
        if rendition.num_bits is not None:
            row.num_bits = (row.num_bits or 0) + rendition.num_bits
        if rendition.level is not None and rendition.tokens is not None:
            row.code_use = row.code_use or CodeUse.of_level(self.config, rendition.level)
            row.code_use.add(rendition.tokens)
        scores = self._judge(clip, rendition)
        if rendition.title != RESAMPLED:  # for the metrics that is the original
            scores = self._measure(clip, rendition) | scores
        for name, value in scores.items():
            row.scores.setdefault(name, []).append(value)

    def _measure(self, clip: Clip, rendition: Rendition) -> dict[str, float]:
        rate = self.config.sample_rate
        target = clip.at(rate)
        audio = resample(rendition.audio, rendition.sample_rate, rate, len(target))
        return {name: each.measure(target, audio, rate) for name, each in METRICS.items()}

    def _judge(self, clip: Clip, rendition: Rendition) -> dict[str, float]:
        """What each judge says; a judge that fails on a clip says nothing, with a warning."""
        scores = {}
        for name, (judge, function) in self.judges.items():
            original = clip.at(judge.sample_rate)
            audio = resample(
                rendition.audio, rendition.sample_rate, judge.sample_rate, len(original)
            )
            try:
                score = function(original, audio)
            except Exception as error:  # another project's code, about this sound
                _warn_no_score(judge, clip, rendition, str(error))
                continue
            if math.isfinite(score):
                scores[name] = score
            else:
                _warn_no_score(judge, clip, rendition, "its score is not a number")
        return scores


def _warn_no_score(judge: Judge, clip: Clip, rendition: Rendition, reason: str) -> None:
    where = f"{rendition.title} of {clip.path.name} at {clip.start:.1f} s"
    message = f"{judge.title} can't judge {where}: {reason}"
    warnings.warn(InputWarning(message), stacklevel=4)
