"""RenderedLine songs: the band and the voice over it, with the notes and the times of the words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pretty_midi
import soxr

from compose import beat_seconds, perform
from lyrics import spell
from render import SAMPLE_RATE, Renderer, master
from singing import SungLine, SungWord, plan_sung, write_vocal_lines
from song_plan import SongPlan
from voice import VOICE_RATE, Note, RenderedLine, sing

VOICE_NAME = "voice"
VOICE_PROGRAM = 53  # Voice Oohs, counted from 0
VOICE_ABOVE_BAND_DB = 7.5  # at least, for each line


@dataclass(frozen=True)
class TimedWord:
    """A word and when it can be heard, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedLine:
    """A line of the lyrics in time."""

    words: tuple[TimedWord, ...]
    section: str | None  # of the first line of a section, its name


@dataclass(frozen=True)
class SungSong:
    """The notes and lyrics of a song."""

    band: pretty_midi.PrettyMIDI
    lines: list[SungLine]
    notes: list[list[tuple[str, list[Note]]]]  # of each word of each line

    def midi(self) -> pretty_midi.PrettyMIDI:
        """All notes, sung ones as the instrument `voice`; a sung note begins with its vowel."""
        voice = pretty_midi.Instrument(VOICE_PROGRAM, name=VOICE_NAME)
        voice.notes = [
            pretty_midi.Note(100, pitch, start, end)
            for line in self.notes
            for _, word in line
            for start, end, pitch in word
        ]
        whole = pretty_midi.PrettyMIDI(initial_tempo=self.band.get_tempo_changes()[1][0])
        whole.instruments = [voice, *self.band.instruments]
        return whole


def compose_sung(artist: str, seed: int) -> SungSong:
    """A song with lyrics; the same for the same seed."""
    plan = plan_sung(artist, seed)
    lines = write_vocal_lines(plan)
    notes = [[(spell(word.text), _notes(plan, word)) for word in line.words] for line in lines]
    return SungSong(perform(plan), lines, notes)


def _notes(plan: SongPlan, word: SungWord) -> list[Note]:
    """The notes of a word in seconds."""
    return [
        (beat_seconds(plan, tone.start), beat_seconds(plan, tone.start + tone.length), tone.pitch)
        for tone in word.tones
    ]


def render_sung(song: SungSong, renderer: Renderer) -> tuple[np.ndarray, list[TimedLine]]:
    """The song as mono samples at 22.05 kHz, and its lines with the times of the words."""
    mix = renderer.play(song.band)
    sung = [sing(line) for line in song.notes]
    for first, last in _sections(song.lines):
        add_voice(mix, sung[first:last])
    lines = [
        TimedLine(_timed_words(line, sung_line), line.section)
        for line, sung_line in zip(song.lines, sung, strict=True)
    ]
    return master(mix), lines


def _sections(lines: list[SungLine]) -> list[tuple[int, int]]:
    """The first and past-the-last line of each section."""
    firsts = [i for i, line in enumerate(lines) if line.section]
    return list(pairwise([*firsts, len(lines)]))


def add_voice(band: np.ndarray, sung: list[RenderedLine]) -> None:
    """Add the lines of a section to the band, with one gain that raises each of them at least
    VOICE_ABOVE_BAND_DB above the band."""
    lines = [_resampled(line) for line in sung]
    needed = max(_rms(band[at]) / _rms(voice) for at, voice in lines)
    gain = needed * 10 ** (VOICE_ABOVE_BAND_DB / 20)
    for at, voice in lines:
        band[at] += (gain * voice).astype(band.dtype)


def _resampled(line: RenderedLine) -> tuple[slice, np.ndarray]:
    """The samples of the song that a line covers, and the line at the song's sample rate."""
    voice = soxr.resample(line.samples, VOICE_RATE, SAMPLE_RATE)
    first = round(line.start * SAMPLE_RATE)
    return slice(first, first + len(voice)), voice


def _rms(samples: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def _timed_words(line: SungLine, rendered: RenderedLine) -> tuple[TimedWord, ...]:
    """The words of a line with their times."""
    return tuple(
        TimedWord(spell(word.text), start, end)
        for word, (start, end) in zip(line.words, rendered.words, strict=True)
    )


def write_lrc(lines: list[TimedLine]) -> str:
    """Enhanced LRC: a time before each line and each word, and one at the end of a line."""
    rows: list[str] = []
    for line in lines:
        if line.section:
            rows += [""] * bool(rows) + [f"[{line.section}]"]
        words = " ".join(f"<{stamp(word.start)}>{word.text}" for word in line.words)
        rows.append(f"[{stamp(line.words[0].start)}]{words}<{stamp(line.words[-1].end)}>")
    return "\n".join(rows) + "\n"


def stamp(seconds: float) -> str:
    """A time as minutes, seconds and hundredths: 01:02.34."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
