"""The clips of recordings that are measured: the same ones every time, none of them silent."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jukebox_cli.audio.io import Audio, duration_seconds, open_audio
from jukebox_cli.audio.manifest import Recording, unique_recordings
from jukebox_cli.config.suggest import join_names
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.sampling.job import Advance

#: Clips below this root mean square are silent: measures that divide by the signal mean nothing.
SILENCE_RMS = 1e-3
#: Recordings that are shorter than this, in seconds, are left out: judges need some sound.
MIN_SECONDS = 1.0
#: Below the first there is no sound in clips, from the second on all of it; in Hz.
INFRASOUND_HZ = (10.0, 20.0)
#: A warning names so many files at most.
MAX_NAMES = 5


@dataclass(frozen=True)
class Clip:
    """A part of a recording, mono, at the recording's own sample rate, without infrasound."""

    path: Path
    start: float  # in the recording, in seconds
    audio: Audio
    sample_rate: int

    @property
    def seconds(self) -> float:
        return len(self.audio) / self.sample_rate

    def at(self, sample_rate: int) -> Audio:
        """The clip resampled to `sample_rate` Hz."""
        return resample(self.audio, self.sample_rate, sample_rate)


class Part(NamedTuple):
    """A part of a recording that one clip is taken from, in seconds."""

    path: Path
    start: float
    end: float


def choose_recordings(recordings: Sequence[Recording]) -> list[Path]:
    """The audio files of recordings, each once: those that are held out, or all if none is."""
    unique = unique_recordings(recordings)
    return [each.audio for each in unique if each.held_out] or [each.audio for each in unique]


def resample(audio: Audio, orig_sr: int, target_sr: int, length: int | None = None) -> Audio:
    """Audio (N,) at `orig_sr` Hz, resampled to `target_sr` Hz; cut or padded to `length`."""
    import soxr

    changed = audio if orig_sr == target_sr else soxr.resample(audio, orig_sr, target_sr)
    return np.asarray(changed if length is None else fit_length(changed, length), np.float32)


def remove_infrasound(audio: Audio, sample_rate: int) -> Audio:
    """Audio (N,) without what lies below 10 Hz, and faded out from 20 Hz on, with linear phase.

    Nobody hears it, but some recordings have an offset that is louder than their music. Measures
    that divide by the signal would be about that alone, and Opus and MP3 leave it out.
    """
    low, high = INFRASOUND_HZ
    spectrum = np.fft.rfft(audio)
    frequencies = np.fft.rfftfreq(len(audio), 1 / sample_rate)
    gain = np.sin(np.pi / 2 * np.clip((frequencies - low) / (high - low), 0, 1)) ** 2
    return np.fft.irfft(spectrum * gain, len(audio)).astype(np.float32)


def fit_length(audio: Audio, length: int) -> Audio:
    """Audio (N,) cut, or padded with silence at its end, to `length` samples."""
    return np.pad(audio[:length], (0, max(0, length - len(audio))))


def choose_parts(durations: Sequence[tuple[Path, float]], count: int, seconds: float) -> list[Part]:
    """The parts of recordings that `count` clips of `seconds` are taken from, in order.

    Clips are shared evenly among the recordings, and the parts of a recording are equally long and
    cover it. If there are fewer clips than recordings, every n-th has one. A recording that is too
    short for its clips has fewer.
    """
    total = len(durations)
    counts = [(number + 1) * count // total - number * count // total for number in range(total)]
    parts = []
    for (path, duration), wanted in zip(durations, counts, strict=True):
        number = min(wanted, max(1, int(duration / seconds)))
        length = duration / max(1, number)
        parts += [Part(path, n * length, (n + 1) * length) for n in range(number)]
    return parts


def find_parts(paths: Sequence[Path], count: int, seconds: float) -> list[Part]:
    """The parts of audio files that `count` clips are taken from, as `choose_parts` has them.

    Raises InputError for a file that can't be read, and if all are too short; warns of those that
    are.
    """
    durations = [(path, duration_seconds(path)) for path in paths]
    short = [path.name for path, length in durations if length < MIN_SECONDS]
    if len(short) == len(durations):
        message = f"no recording has {MIN_SECONDS:g} s of audio"
        raise InputError(message, "name longer recordings")
    if short:
        names = join_names(short, MAX_NAMES)
        message = f"left out {names}: shorter than {MIN_SECONDS:g} s"
        warnings.warn(InputWarning(message), stacklevel=2)
    return choose_parts([each for each in durations if each[1] >= MIN_SECONDS], count, seconds)


def load_clips(
    parts: Sequence[Part], seconds: float, advance: Advance = lambda _: None
) -> Iterator[Clip]:
    """A clip of each part, one at a time: `seconds` long, or as long as the part is.

    It is the one nearest to the middle that is not silent; a part that is silent has none. Raises
    InputError, at the end, if all are.
    """
    found = False
    for part in parts:
        clip = _clip_of_part(part, seconds)
        if clip:
            found = True
            yield clip
        advance(1)
    if not found:
        raise InputError("the recordings are silent", "name recordings that can be heard")


def _clip_of_part(part: Part, seconds: float) -> Clip | None:
    """The clip nearest to the middle of a part that is not silent; None if there is none."""
    for start in _starts(part, seconds):
        clip = _read_clip(part.path, start, seconds)
        if np.sqrt(np.square(clip.audio).mean()) > SILENCE_RMS:
            return clip
    return None


def _starts(part: Part, seconds: float) -> list[float]:
    """Where clips of a part may start: in its middle, then ever further away."""
    middle = max(part.start, (part.start + part.end - seconds) / 2)
    steps = math.floor((middle - part.start) / seconds)
    around = [middle + step * seconds for step in range(-steps, steps + 1)]
    return sorted(around, key=lambda start: abs(start - middle))


def _read_clip(path: Path, start: float, seconds: float) -> Clip:
    from jukebox_cli.audio.sound_file import read_frames

    with open_audio(path) as file:
        rate = int(file.samplerate)
        audio = read_frames(file, round(seconds * rate), round(start * rate))
    return Clip(path, start, remove_infrasound(audio, rate), rate)
