"""The marks of a spectrogram's axes."""

from __future__ import annotations

import pytest
from jukebox_plugins.report.axes import frequency_marks, time_marks
from jukebox_plugins.report.spectrogram import HEIGHT

from support.report_pages import mel_image, sine


def test_axes_have_round_marks() -> None:
    assert [(m.position, m.text) for m in time_marks(6.0)] == [
        (16.67, "1 s"),
        (33.33, "2 s"),
        (50.0, "3 s"),
        (66.67, "4 s"),
        (83.33, "5 s"),
    ]
    assert [m.text for m in time_marks(150.0)] == ["30 s", "1:00", "1:30", "2:00"]
    assert [m.text for m in time_marks(0.05)] == []
    marks = frequency_marks(mel_image(sine(1000, 1.0, 22050), 22050))
    assert [m.text for m in marks] == ["300 Hz", "1 kHz", "3 kHz"]
    row = mel_image(sine(1000, 1.0, 22050), 22050).decibels[::-1].mean(axis=1).argmax()
    assert marks[1].position == pytest.approx(100 * (row + 0.5) / HEIGHT, abs=1)
