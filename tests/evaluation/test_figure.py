"""The figure of mel spectrograms."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.audio.mel import mel_center_frequencies
from jukebox_cli.evaluation import figure
from jukebox_cli.evaluation.codec import Rendition
from jukebox_cli.evaluation.figure import (
    NUM_MEL_BANDS,
    mel_spectrogram_db,
    validate_figure,
    write_figure,
)
from jukebox_cli.interfaces.errors import InputError

RATE = 16000
TONE = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)


def test_a_tone_is_a_line_at_its_frequency() -> None:
    found = mel_spectrogram_db(TONE, RATE)
    assert found.shape == (NUM_MEL_BANDS, 1 + RATE // figure.HOP_LENGTH)
    middle = found[:, found.shape[1] // 2]
    centers = mel_center_frequencies(RATE, NUM_MEL_BANDS)
    assert centers[middle.argmax()] == pytest.approx(1000, rel=0.05)


def test_mistakes_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^can't draw a\.jpg: not a \.png file$"):
        validate_figure(Path("a.jpg"))
    monkeypatch.setattr(figure, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^--figure needs matplotlib$") as error:
        validate_figure(Path("a.png"))
    assert error.value.hint == "pip install 'jukebox-cli[evaluate]'"


@pytest.mark.skipif(not find_spec("matplotlib"), reason="needs matplotlib")
def test_a_figure_is_the_same_png_each_time(tmp_path: Path) -> None:
    validate_figure(tmp_path / "a.png")
    sounds = [Rendition("original", TONE, RATE), Rendition("level 0", TONE[::2], RATE // 2)]
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, sounds)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert data == (tmp_path / "b.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]
