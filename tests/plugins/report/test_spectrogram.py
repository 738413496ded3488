"""Mel spectrograms of sounds."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from jukebox_plugins.report import spectrogram
from jukebox_plugins.report.colours import MAGMA
from PIL import Image

from jukebox_cli.audio import mel as mel_scale
from support.report_pages import mel_image, sine

COLOURS = np.frombuffer(MAGMA, np.uint8).reshape(-1, 3)


def pixels(png: bytes) -> np.ndarray:
    """uint8 (H, W, 3) of a PNG with a palette."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        assert image.mode == "P"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("hertz", [150.0, 440.0, 3000.0])
def test_a_tone_is_a_line_at_its_pitch(rate: int, hertz: float) -> None:
    mel = mel_image(sine(hertz, 2.0, rate), rate)
    loudest = mel_scale.mel_center_frequencies(rate, spectrogram.HEIGHT)[
        mel.decibels.argmax(axis=0)
    ]
    middle = loudest[5:-5]
    assert np.all(np.abs(mel_scale.hz_to_mel(middle) - mel_scale.hz_to_mel(hertz)) < 40)
    found = re.match(r"most of its power is near ([\d,]+) Hz", mel.description())
    assert found
    assert abs(float(found[1].replace(",", "")) - hertz) < 0.08 * hertz + 10


def test_a_sound_is_in_the_columns_of_its_time() -> None:
    quiet = np.zeros(8000)
    mel = mel_image(np.concatenate([quiet, sine(500, 0.5, 8000), quiet]), 8000)
    loud = mel.decibels.max(axis=0) > mel.decibels.max() - 20
    assert loud.shape == (spectrogram.WIDTH,)
    first, last = np.flatnonzero(loud)[[0, -1]] / spectrogram.WIDTH * 2.5
    assert first == pytest.approx(1.0, abs=0.03)
    assert last == pytest.approx(1.5, abs=0.03)
    assert re.search(r"loudest at 1\.[0-5] s$", mel.description())


@pytest.mark.parametrize("samples", [1, 7, 100, 961, 5000, 300_000])
def test_the_size_of_blocks_does_not_matter(samples: int) -> None:
    noise = np.random.default_rng(1).standard_normal(samples)
    whole = mel_image(noise, 8000, samples).decibels
    assert whole.shape == (spectrogram.HEIGHT, min(samples, spectrogram.WIDTH))
    assert np.allclose(mel_image(noise, 8000, 333).decibels, whole, atol=1e-3)
    assert (whole > -90).all()  # no column was left out


def test_memory_does_not_grow_with_length() -> None:
    mel = spectrogram.MelSpectrogram(8000, 50 * 8000 * 60)
    is_bounded = set()
    for _ in range(20):
        mel.add(np.zeros(8000, np.float32))
        is_bounded.add(len(mel._pending) <= mel.window)
    assert is_bounded == {True}
    assert mel._power.shape == (spectrogram.WIDTH, spectrogram.HEIGHT)


def test_high_is_up_and_loud_is_bright() -> None:
    picture = pixels(mel_image(sine(3500, 1.0, 8000), 8000).png()).astype(int).sum(axis=2)
    assert picture.shape == (spectrogram.HEIGHT, spectrogram.WIDTH)
    assert picture[:20].max() == COLOURS[-1].astype(int).sum()
    assert picture[60:, 20:-20].max() < picture[:20, 20:-20].max() / 2


def test_silence_is_black_and_described_as_silence() -> None:
    mel = mel_image(np.zeros(4000), 8000)
    assert mel.description() == "nothing but silence"
    assert (pixels(mel.png()) == COLOURS[0]).all()


def test_the_file_is_small() -> None:
    noise = np.random.default_rng(0).standard_normal(80_000)
    assert (
        len(mel_image(noise, 8000).png()) < 0.75 * spectrogram.HEIGHT * spectrogram.WIDTH
    )  # 6 of 8 bits


def test_louder_is_lighter_in_grey_too() -> None:
    srgb = COLOURS / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(  # L* of CIELAB
        luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, 24389 / 27 * luminance
    )
    steps = np.diff(lightness)
    assert steps.min() > 0
    assert steps.max() < 1.5 * steps.mean()
    assert lightness[0] < 1
    assert lightness[-1] > 95
