"""The voice: words spoken by flite, and WORLD to give them the pitches and lengths of notes.

A word is spoken and analysed once; singing it again costs a synthesis alone. Consonants stay near
their natural length, vowels are drawn out, and the vowel of a syllable begins where its note does.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from render import RenderError

VOICE_RATE = 16000
FRAMES = 200  # a second
LONGEST_CONSONANTS = 0.16  # seconds, of a cluster
SHARE_OF_CONSONANTS = 0.45  # of a syllable, at most
AUDIBLE_DB = -35.0  # below a word's loudest frame, where it is taken to begin and to end
SHORTEST_VOWEL = 0.04  # seconds of a spoken vowel
EDGE_SECONDS = 0.04  # of a vowel's beginning and end, which are not stretched
GLIDE_SECONDS = 0.05
VIBRATO = 5.5, 0.22  # hertz, semitones
# as flite names them
VOWELS = (
    "aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "ix", "iy", "ow",
    "oy", "uh", "uw",
)  # fmt: skip

Note = tuple[float, float, int]  # start and end in seconds, pitch


@dataclass(frozen=True)
class Spoken:
    """An analysed word: per frame its spectral envelope, aperiodicity and whether it is voiced.

    `vowels` are the first and past-the-last frame of each.
    """

    envelope: np.ndarray
    aperiodicity: np.ndarray
    voiced: np.ndarray
    vowels: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Sung:
    """A line as sound, starting at `start` seconds, and where each word begins and ends."""

    samples: np.ndarray
    start: float
    words: list[tuple[float, float]]


@lru_cache(maxsize=1)
def _world() -> Any:
    """pyworld, which warns of its own import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("pyworld")
    except ImportError as error:
        raise RenderError(
            f"no voice without pyworld ({error}): install it (pip install pyworld 'setuptools<81')"
        ) from error


def check_voice() -> None:
    """Refuse early where something that singing needs is missing."""
    _world()
    if shutil.which("flite") is None:
        raise RenderError("no voice without flite: install it (apt install flite)")


@lru_cache(maxsize=1024)
def speak(word: str) -> Spoken:
    """Speak and analyse a word."""
    samples, phones = _flite(word)
    world = _world()
    pitch, times = world.harvest(samples, VOICE_RATE, frame_period=1000 / FRAMES)
    envelope = world.cheaptrick(samples, pitch, times, VOICE_RATE)
    aperiodicity = world.d4c(samples, pitch, times, VOICE_RATE)
    first, last = _audible(envelope.sum(axis=1), phones)
    kept = slice(first, last)
    vowels = tuple(_vowel(a * FRAMES - first, b * FRAMES - first, last - first) for a, b in phones)
    loudness = np.mean([envelope[kept][int(a) : int(b)].sum(axis=1).mean() for a, b in vowels])
    return Spoken(envelope[kept] / loudness, aperiodicity[kept], pitch[kept] > 0, vowels)


def _flite(word: str) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """A spoken word's samples, and the start and end in seconds of its vowels."""
    command = ["flite", "-voice", "slt", "-psdur", "-t", word, "-o"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "word.wav"
        done = subprocess.run([*command, str(path)], check=True, capture_output=True, text=True)
        samples, _ = soundfile.read(path)
    vowels, before = [], 0.0
    for phone in done.stdout.split():
        name, _, end = phone.partition(":")
        if name in VOWELS:
            vowels.append((before, float(end)))
        before = float(end)
    return np.ascontiguousarray(samples), vowels


def _audible(power: np.ndarray, vowels: list[tuple[float, float]]) -> tuple[int, int]:
    """The first and past-the-last frame that can be heard, around the vowels."""
    heard = np.flatnonzero(power > power.max() * 10 ** (AUDIBLE_DB / 10))
    first = min(int(heard[0]), int(vowels[0][0] * FRAMES))
    return first, max(int(heard[-1]) + 1, int(np.ceil(vowels[-1][1] * FRAMES)))


def _vowel(start: float, end: float, frames: int) -> tuple[float, float]:
    """A vowel's frames, widened if there is too little of it to draw out."""
    spare = max(0.0, SHORTEST_VOWEL * FRAMES - (end - start)) / 2
    return max(0.0, start - spare), min(float(frames), end + spare)


def sing(words: list[tuple[str, list[Note]]]) -> Sung:
    """Sing words that follow each other, a note to each of their vowels."""
    spoken = [speak(word) for word, _ in words]
    notes = [mine for _, mine in words]
    times = _word_times(spoken, notes)
    parts = [_stretch(*each) for each in zip(spoken, notes, times, strict=True)]
    envelope, aperiodicity, voiced = (np.concatenate(part) for part in zip(*parts, strict=True))
    first = round(times[0][0] * FRAMES)
    tune = _tune([note for mine in notes for note in mine], first, len(voiced))
    pitch = np.where(voiced, tune, 0.0)
    samples = _world().synthesize(pitch, envelope, aperiodicity, VOICE_RATE, 1000 / FRAMES)
    return Sung(samples, first / FRAMES, times)


def _word_times(spoken: list[Spoken], notes: list[list[Note]]) -> list[tuple[float, float]]:
    """When words begin and end: each lasts until the next begins, the last as long as its note."""
    begins = [_begin(spoken[0], notes[0][0][0], None)]
    for word, mine, before in zip(spoken[1:], notes[1:], notes, strict=False):
        begins.append(_begin(word, mine[0][0], before[-1][0]))
    return list(zip(begins, [*begins[1:], notes[-1][-1][1]], strict=True))


def _begin(spoken: Spoken, vowel: float, before: float | None) -> float:
    """When a word starts, so that its consonants are over as its vowel begins."""
    room = LONGEST_CONSONANTS if before is None else SHARE_OF_CONSONANTS * (vowel - before)
    return vowel - min(spoken.vowels[0][0] / FRAMES, LONGEST_CONSONANTS, room)


def _stretch(
    spoken: Spoken, notes: list[Note], times: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A word's frames in the time that it has: consonants as they are, vowels drawn out."""
    here, there = _warp(spoken, notes, times)
    frames = np.arange(*(round(seconds * FRAMES) for seconds in times))
    place = np.interp((frames + 0.5) / FRAMES, here, there) - 0.5
    place = place.clip(0, len(spoken.voiced) - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, len(spoken.voiced) - 1)
    share = (place - low)[:, None]
    envelope = spoken.envelope[low] ** (1 - share) * spoken.envelope[high] ** share
    aperiodicity = spoken.aperiodicity[low] * (1 - share) + spoken.aperiodicity[high] * share
    return envelope, aperiodicity, spoken.voiced[np.rint(place).astype(int)]


def _warp(
    spoken: Spoken, notes: list[Note], times: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Where places of the sung word (seconds) lie in the spoken one (frames)."""
    begin, end = times
    here, there = [begin], [0.0]
    starts = [note[0] for note in notes]
    following = [vowel[0] for vowel in spoken.vowels[1:]] + [float(len(spoken.voiced))]
    for (a, b), start, until, next_one in zip(
        spoken.vowels, starts, [*starts[1:], end], following, strict=True
    ):
        room = until - start
        tail = min((next_one - b) / FRAMES, LONGEST_CONSONANTS, SHARE_OF_CONSONANTS * room)
        edge = min((b - a) / FRAMES / 3, EDGE_SECONDS, (room - tail) / 3)
        here += [start, start + edge, until - tail - edge, until - tail]
        there += [a, a + edge * FRAMES, b - edge * FRAMES, b]
    return [*here, end], [*there, float(len(spoken.voiced))]


def _tune(notes: list[Note], first: int, length: int) -> np.ndarray:
    """The pitch in hertz of every frame: notes, gliding into each other, with vibrato when long."""
    times = (first + np.arange(length)) / FRAMES
    starts = np.array([start for start, _, _ in notes])
    which = np.searchsorted(starts[1:], times + GLIDE_SECONDS / 2, "right")
    width = int(GLIDE_SECONDS * FRAMES)
    semitones = np.array([float(pitch) for _, _, pitch in notes])[which]
    semitones = np.convolve(np.pad(semitones, width, mode="edge"), np.ones(width) / width, "same")
    rate, depth = VIBRATO
    since = times - starts[which]
    wave = depth * np.sin(2 * np.pi * rate * since) * np.clip((since - 0.25) * 4, 0, 1)
    hertz: np.ndarray = 440 * 2 ** ((semitones[width:-width] + wave - 69) / 12)
    return hertz
