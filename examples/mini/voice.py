"""The singing voice: words spoken by flite, set to the pitches and durations of notes by WORLD.

A word is spoken and analysed once and can then be synthesised with any notes. Consonants keep about
their natural duration, vowels are stretched, and the vowel of a syllable begins with its note.
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
FRAME_RATE = 200  # frames of WORLD per second
MAX_CONSONANT_SECONDS = 0.16  # of consecutive consonants
MAX_CONSONANT_FRACTION = 0.45  # of a syllable
AUDIBLE_DB = -35.0  # below its loudest frame, a word begins and ends
MIN_VOWEL_SECONDS = 0.04  # of a spoken vowel, before it is stretched
EDGE_SECONDS = 0.04  # beginning and end of a vowel, which are not stretched
GLIDE_SECONDS = 0.05  # between two pitches
VIBRATO = 5.5, 0.22  # rate in Hz, depth in semitones
# by flite's names
VOWELS = (
    "aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "ix", "iy", "ow",
    "oy", "uh", "uw",
)  # fmt: skip

Note = tuple[float, float, int]  # start and end in seconds, MIDI pitch


@dataclass(frozen=True)
class SpokenWord:
    """A spoken word, analysed by WORLD."""

    envelope: np.ndarray  # (frames, bins)
    aperiodicity: np.ndarray  # (frames, bins)
    voiced: np.ndarray  # (frames,)
    vowels: tuple[tuple[float, float], ...]  # start and end of each, in frames


@dataclass(frozen=True)
class RenderedLine:
    """The audio of a sung line."""

    samples: np.ndarray  # (N,) at VOICE_RATE
    start: float  # seconds
    words: list[tuple[float, float]]  # start and end of each, in seconds


@lru_cache(maxsize=1)
def _world() -> Any:
    """pyworld, without the warnings of its import. Raises RenderError if it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("pyworld")
    except ImportError as error:
        raise RenderError(
            f"no voice without pyworld ({error}): install it (pip install pyworld 'setuptools<81')"
        ) from error


def check_voice() -> None:
    """Raise RenderError if a program or library that singing needs is missing."""
    _world()
    if shutil.which("flite") is None:
        raise RenderError("no voice without flite: install it (apt install flite)")


@lru_cache(maxsize=1024)
def speak(word: str) -> SpokenWord:
    """A word, spoken and analysed."""
    samples, phones = _flite(word)
    world = _world()
    pitch, times = world.harvest(samples, VOICE_RATE, frame_period=1000 / FRAME_RATE)
    envelope = world.cheaptrick(samples, pitch, times, VOICE_RATE)
    aperiodicity = world.d4c(samples, pitch, times, VOICE_RATE)
    first, last = _audible(envelope.sum(axis=1), phones)
    kept = slice(first, last)
    vowels = tuple(
        _widened_vowel(a * FRAME_RATE - first, b * FRAME_RATE - first, last - first)
        for a, b in phones
    )
    loudness = np.mean([envelope[kept][int(a) : int(b)].sum(axis=1).mean() for a, b in vowels])
    return SpokenWord(envelope[kept] / loudness, aperiodicity[kept], pitch[kept] > 0, vowels)


def _flite(word: str) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """A spoken word: its samples, and the start and end of its vowels in seconds."""
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
    """The first and past-the-last audible frame, vowels included."""
    audible = np.flatnonzero(power > power.max() * 10 ** (AUDIBLE_DB / 10))
    first = min(int(audible[0]), int(vowels[0][0] * FRAME_RATE))
    return first, max(int(audible[-1]) + 1, int(np.ceil(vowels[-1][1] * FRAME_RATE)))


def _widened_vowel(start: float, end: float, num_frames: int) -> tuple[float, float]:
    """The start and end of a vowel in frames, widened if it is too short to be stretched."""
    missing = max(0.0, MIN_VOWEL_SECONDS * FRAME_RATE - (end - start)) / 2
    return max(0.0, start - missing), min(float(num_frames), end + missing)


def sing(words: list[tuple[str, list[Note]]]) -> RenderedLine:
    """A line of words and their notes, one for each vowel, as audio."""
    spoken = [speak(word) for word, _ in words]
    notes = [mine for _, mine in words]
    times = _word_times(spoken, notes)
    parts = [_time_stretch(*each) for each in zip(spoken, notes, times, strict=True)]
    envelope, aperiodicity, voiced = (np.concatenate(part) for part in zip(*parts, strict=True))
    first = round(times[0][0] * FRAME_RATE)
    tune = _pitch_contour([note for mine in notes for note in mine], first, len(voiced))
    pitch = np.where(voiced, tune, 0.0)
    samples = _world().synthesize(pitch, envelope, aperiodicity, VOICE_RATE, 1000 / FRAME_RATE)
    return RenderedLine(samples, first / FRAME_RATE, times)


def _word_times(spoken: list[SpokenWord], notes: list[list[Note]]) -> list[tuple[float, float]]:
    """The start and end of each word in seconds: each ends where the next begins, the last with its
    note."""
    onsets = [_word_start(spoken[0], notes[0][0][0], None)]
    for word, mine, before in zip(spoken[1:], notes[1:], notes, strict=False):
        onsets.append(_word_start(word, mine[0][0], before[-1][0]))
    return list(zip(onsets, [*onsets[1:], notes[-1][-1][1]], strict=True))


def _word_start(spoken: SpokenWord, vowel: float, before: float | None) -> float:
    """When a word begins, so that its first consonants end where its vowel begins."""
    room = MAX_CONSONANT_SECONDS if before is None else MAX_CONSONANT_FRACTION * (vowel - before)
    return vowel - min(spoken.vowels[0][0] / FRAME_RATE, MAX_CONSONANT_SECONDS, room)


def _time_stretch(
    spoken: SpokenWord, notes: list[Note], times: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The envelope, aperiodicity and voicing of a word, stretched to its time."""
    song_seconds, word_frames = _time_map(spoken, notes, times)
    numbers = np.arange(*(round(seconds * FRAME_RATE) for seconds in times))
    place = np.interp((numbers + 0.5) / FRAME_RATE, song_seconds, word_frames) - 0.5
    place = place.clip(0, len(spoken.voiced) - 1)
    low = place.astype(int)
    high = np.minimum(low + 1, len(spoken.voiced) - 1)
    weight = (place - low)[:, None]
    envelope = spoken.envelope[low] ** (1 - weight) * spoken.envelope[high] ** weight
    aperiodicity = spoken.aperiodicity[low] * (1 - weight) + spoken.aperiodicity[high] * weight
    return envelope, aperiodicity, spoken.voiced[np.rint(place).astype(int)]


def _time_map(
    spoken: SpokenWord, notes: list[Note], times: tuple[float, float]
) -> tuple[list[float], list[float]]:
    """Corresponding points of the sung word (seconds) and the spoken one (frames)."""
    begin, end = times
    song_seconds, word_frames = [begin], [0.0]
    onsets = [note[0] for note in notes]
    following = [vowel[0] for vowel in spoken.vowels[1:]] + [float(len(spoken.voiced))]
    for (a, b), start, until, next_one in zip(
        spoken.vowels, onsets, [*onsets[1:], end], following, strict=True
    ):
        room = until - start
        tail = min(
            (next_one - b) / FRAME_RATE, MAX_CONSONANT_SECONDS, MAX_CONSONANT_FRACTION * room
        )
        edge = min((b - a) / FRAME_RATE / 3, EDGE_SECONDS, (room - tail) / 3)
        song_seconds += [start, start + edge, until - tail - edge, until - tail]
        word_frames += [a, a + edge * FRAME_RATE, b - edge * FRAME_RATE, b]
    return [*song_seconds, end], [*word_frames, float(len(spoken.voiced))]


def _pitch_contour(notes: list[Note], first: int, length: int) -> np.ndarray:
    """The pitch of every frame in Hz, with glides between notes and vibrato on long ones."""
    times = (first + np.arange(length)) / FRAME_RATE
    onsets = np.array([start for start, _, _ in notes])
    which = np.searchsorted(onsets[1:], times + GLIDE_SECONDS / 2, "right")
    width = int(GLIDE_SECONDS * FRAME_RATE)
    semitones = np.array([float(pitch) for _, _, pitch in notes])[which]
    semitones = np.convolve(np.pad(semitones, width, mode="edge"), np.ones(width) / width, "same")
    rate, depth = VIBRATO
    since = times - onsets[which]
    wave = depth * np.sin(2 * np.pi * rate * since) * np.clip((since - 0.25) * 4, 0, 1)
    hertz: np.ndarray = 440 * 2 ** ((semitones[width:-width] + wave - 69) / 12)
    return hertz
