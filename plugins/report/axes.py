"""The marks of a spectrogram's axes."""

from __future__ import annotations

from dataclasses import dataclass

from jukebox_cli.api.audio import hz_to_mel

from .spectrogram import HEIGHT, MelImage

#: Frequencies that are marked, in Hz.
FREQUENCIES = (300, 1000, 3000, 10000)
#: Distances between marks of time, in seconds.
INTERVALS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)
MAX_TIME_MARKS = 7


@dataclass(frozen=True)
class Mark:
    """A mark of an axis: its position in per cent of the axis, and its text."""

    position: float
    text: str


def time_marks(seconds: float) -> list[Mark]:
    """The marks below an image of a sound of this length."""
    interval = next((s for s in INTERVALS if seconds / s <= MAX_TIME_MARKS), INTERVALS[-1])
    times = [number * interval for number in range(1, int(seconds / interval) + 1)]
    inside = [time for time in times if time < 0.97 * seconds]  # a mark needs room for its text
    return [Mark(round(100 * time / seconds, 2), _clock(time)) for time in inside]


def _clock(time: float) -> str:
    return f"{time:g} s" if time < 60 else f"{int(time // 60)}:{int(time % 60):02}"


def frequency_marks(image: MelImage) -> list[Mark]:
    """The marks beside an image."""
    nyquist = image.sample_rate / 2
    marks = []
    for hertz in FREQUENCIES:
        if hertz < 0.8 * nyquist:
            band = float(hz_to_mel(hertz) / hz_to_mel(nyquist)) * (HEIGHT + 1) - 0.5
            text = f"{hertz} Hz" if hertz < 1000 else f"{hertz // 1000} kHz"
            marks.append(Mark(round(100 * (1 - band / HEIGHT), 2), text))
    return marks
