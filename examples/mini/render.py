"""Renders MIDI with a General MIDI soundfont to mono audio of a common loudness.

The synthesiser runs at 44.1 kHz, the rate of the soundfont's samples, and its output is resampled.
It interpolates linearly, so that at 22.05 kHz high notes would alias.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pretty_midi
import soxr

SAMPLE_RATE = 22050
SYNTH_RATE = 44100
LOUDNESS_DB = -17.0  # root mean square of a song, below full scale
CEILING = 0.88  # peak amplitude
TAIL_SECONDS = 1.6  # after the last note
FADE_SECONDS = 0.6  # at the end
DRUM_CHANNEL = 9
ENV_SOUNDFONT = "MINI_SOUNDFONT"
DEFAULT_SOUNDFONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
)


class RenderError(RuntimeError):
    """Something needed to render is missing; the message says what and how to get it."""


def find_soundfont(path: str | Path | None = None) -> Path:
    """The soundfont at `path`, or else at $MINI_SOUNDFONT, or else where Linux installs it.

    Raises RenderError if there is none.
    """
    named = path or os.environ.get(ENV_SOUNDFONT)
    candidates = (Path(named),) if named else DEFAULT_SOUNDFONTS
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise RenderError(
        f"no soundfont at {candidates[0]}: install one (apt install fluid-soundfont-gm) "
        f"or name one with --soundfont or ${ENV_SOUNDFONT}"
    )


class Renderer:
    """Renders songs with a soundfont."""

    def __init__(self, soundfont: str | Path | None = None) -> None:
        """Load the soundfont that `find_soundfont` finds."""
        path = find_soundfont(soundfont)
        try:
            from tinysoundfont import _tinysoundfont as engine
        except ImportError as error:
            raise RenderError(
                "tinysoundfont is missing: pip install --no-deps tinysoundfont"
            ) from error
        self._font = engine.SoundFont(str(path))
        self._font.set_output(engine.OutputMode.Mono, SYNTH_RATE, -12.0)

    def render(self, midi: pretty_midi.PrettyMIDI) -> np.ndarray:
        """A song as float32 mono samples at 22.05 kHz."""
        return master(self.play(midi))

    def play(self, midi: pretty_midi.PrettyMIDI) -> np.ndarray:
        """A song before mastering."""
        raw = self._synthesise(midi)
        samples: np.ndarray = soxr.resample(raw, SYNTH_RATE, SAMPLE_RATE, quality="HQ")
        return samples

    def _synthesise(self, midi: pretty_midi.PrettyMIDI) -> np.ndarray:
        """A song at the rate of the synthesiser."""
        channels = _channels(midi)
        for channel, instrument in zip(channels, midi.instruments, strict=True):
            self._font.channel_set_preset_number(channel, instrument.program, instrument.is_drum)
            for change in instrument.control_changes:
                self._font.channel_midi_control(channel, change.number, change.value)
        end = int((midi.get_end_time() + TAIL_SECONDS) * SYNTH_RATE)
        samples = np.zeros(end, dtype=np.float32)
        now = 0
        for at, _, channel, pitch, velocity in _timeline(midi, channels):
            if at > now:
                self._font.render(samples[now:at].data.cast("B"), False)
                now = at
            if velocity:
                self._font.channel_note_on(channel, pitch, velocity / 127)
            else:
                self._font.channel_note_off(channel, pitch)
        self._font.render(samples[now:].data.cast("B"), False)
        self._fall_silent(channels)
        return samples

    def _fall_silent(self, channels: list[int]) -> None:
        """Silence all notes and their reverberation, which the next song would begin with."""
        for channel in channels:
            self._font.channel_sounds_off(channel)
        self._font.render(memoryview(bytearray(4 * SYNTH_RATE)), False)


def _channels(midi: pretty_midi.PrettyMIDI) -> list[int]:
    """A MIDI channel for each instrument; drums have the tenth."""
    free = (c for c in range(16) if c != DRUM_CHANNEL)
    return [DRUM_CHANNEL if i.is_drum else next(free) for i in midi.instruments]


def _timeline(
    midi: pretty_midi.PrettyMIDI, channels: list[int]
) -> list[tuple[int, int, int, int, int]]:
    """Sorted events (sample, 1 on or 0 off, channel, pitch, velocity); off has velocity 0."""
    events = []
    for channel, instrument in zip(channels, midi.instruments, strict=True):
        for note in instrument.notes:
            start, end = int(note.start * SYNTH_RATE), int(note.end * SYNTH_RATE)
            events.append((start, 1, channel, note.pitch, note.velocity))
            events.append((max(end, start + 1), 0, channel, note.pitch, 0))
    return sorted(events)


def master(samples: np.ndarray) -> np.ndarray:
    """A song at the common loudness, with limited peaks and a fade at the end."""
    samples = remove_rumble(samples)
    target = 10 ** (LOUDNESS_DB / 20)
    for _ in range(3):  # limiting lowers the loudness a little
        level = float(np.sqrt(np.mean(samples**2)))
        samples = limit(samples * (target / max(level, 1e-9)))
    fade = int(FADE_SECONDS * SAMPLE_RATE)
    samples[-fade:] *= np.linspace(1.0, 0.0, fade) ** 2
    return samples.astype(np.float32)


def remove_rumble(samples: np.ndarray, cutoff: float = 25.0) -> np.ndarray:
    """The samples without frequencies below `cutoff` Hz; some of the soundfont's have an offset."""
    size = 1 << (len(samples) - 1).bit_length()  # a power of two, which transforms fastest
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = frequencies**2 / (frequencies**2 + cutoff**2)
    return np.fft.irfft(np.fft.rfft(samples, size) * gain, size)[: len(samples)]


def limit(samples: np.ndarray, block: int = 64, reach: int = 8) -> np.ndarray:
    """A look-ahead limiter: the gain falls smoothly around peaks, instead of clipping them."""
    blocks = -(-len(samples) // block)
    padded = np.zeros(blocks * block, dtype=np.float64)
    padded[: len(samples)] = samples
    peaks = np.abs(padded).reshape(blocks, block).max(axis=1)
    gain = np.minimum(1.0, CEILING / np.maximum(peaks, 1e-9))
    padded_gain = np.pad(gain, 2 * reach, mode="edge")
    lowest = np.lib.stride_tricks.sliding_window_view(padded_gain, 2 * reach + 1).min(axis=1)
    window = np.hanning(2 * reach + 1)[1:-1]
    smooth = np.convolve(lowest, window / window.sum(), mode="same")[reach:-reach]
    centres = (np.arange(blocks) + 0.5) * block
    curve = np.interp(np.arange(len(samples)), centres, smooth)
    return np.clip(samples * curve, -CEILING, CEILING)
