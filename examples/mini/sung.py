"""Sung songs: the band and the voice over it, with the notes and the times of the words."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pretty_midi
import soxr

from compose import perform, seconds_at
from lyrics import spell
from render import SAMPLE_RATE, Renderer, master
from singing import SungLine, SungWord, plan_sung, sing_song
from song_plan import Plan
from voice import VOICE_RATE, Note, Sung, sing

VOICE_NAME = "voice"
VOICE_PROGRAM = 53  # Voice Oohs, counted from 0
ABOVE_BAND_DB = 7.5


@dataclass(frozen=True)
class TimedWord:
    """A word and when it is heard, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedLine:
    """The words of a line in time; `section` is named by the first line of one."""

    words: tuple[TimedWord, ...]
    section: str | None


@dataclass(frozen=True)
class Song:
    """A song's notes, sung ones too, and what is sung when; `voice` is the notes of each word."""

    band: pretty_midi.PrettyMIDI
    lines: list[SungLine]
    notes: list[list[tuple[str, list[Note]]]]

    def midi(self) -> pretty_midi.PrettyMIDI:
        """All notes; a sung one begins as its vowel does."""
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


def compose_sung(artist: str, seed: int) -> Song:
    """A song with words, the same one every time."""
    plan = plan_sung(artist, seed)
    lines = sing_song(plan)
    notes = [[(spell(word.text), _notes(plan, word)) for word in line.words] for line in lines]
    return Song(perform(plan), lines, notes)


def _notes(plan: Plan, word: SungWord) -> list[Note]:
    """The notes of a word in seconds."""
    return [
        (seconds_at(plan, tone.start), seconds_at(plan, tone.start + tone.length), tone.pitch)
        for tone in word.tones
    ]


def render_sung(song: Song, renderer: Renderer) -> tuple[np.ndarray, list[TimedLine]]:
    """A song as samples like the other songs', and when its words are heard."""
    mix = renderer.play(song.band)
    sung = [sing(line) for line in song.notes]
    for first, last in _sections(song.lines):
        add_voice(mix, sung[first:last])
    lines = [
        TimedLine(_timed(line, heard), line.section)
        for line, heard in zip(song.lines, sung, strict=True)
    ]
    return master(mix), lines


def _sections(lines: list[SungLine]) -> list[tuple[int, int]]:
    """The first and past-the-last line of each section."""
    starts = [i for i, line in enumerate(lines) if line.section]
    return list(pairwise([*starts, len(lines)]))


def add_voice(band: np.ndarray, sung: list[Sung]) -> None:
    """Add a section's lines to the band, so loud that none is closer to it than it should be."""
    placed = [_placed(line) for line in sung]
    needed = max(_level(band[at]) / _level(voice) for at, voice in placed)
    gain = needed * 10 ** (ABOVE_BAND_DB / 20)
    for at, voice in placed:
        band[at] += (gain * voice).astype(band.dtype)


def _placed(line: Sung) -> tuple[slice, np.ndarray]:
    """Which of the song's samples a line is in, and the line at their rate."""
    voice = soxr.resample(line.samples, VOICE_RATE, SAMPLE_RATE)
    first = round(line.start * SAMPLE_RATE)
    return slice(first, first + len(voice)), voice


def _level(samples: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(samples**2)))


def _timed(line: SungLine, heard: Sung) -> tuple[TimedWord, ...]:
    """The words of a line with the times at which they are heard."""
    return tuple(
        TimedWord(spell(word.text), start, end)
        for word, (start, end) in zip(line.words, heard.words, strict=True)
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
    """Minutes, seconds and hundredths."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
