"""Pictures and sound of `jukebox report`."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jukebox_plugins.report import sound, spectrogram
from jukebox_plugins.report.colours import MAGMA
from jukebox_plugins.report.views import pitches, seconds, times
from PIL import Image

from jukebox_cli.audio import mel as mel_scale
from jukebox_cli.audio.io import resample_stream
from jukebox_cli.registry import Registry
from support.report_pages import Reader, likeness
from support.results import Result
from support.run_files import write_chord
from support.tiny_model import make_tiny

Jukebox = Callable[..., Result]


# pictures

COLOURS = np.frombuffer(MAGMA, np.uint8).reshape(-1, 3)


def seen(samples: np.ndarray, rate: int, block: int = 1000) -> spectrogram.Mel:
    mel = spectrogram.MelSpectrogram(rate, len(samples))
    for start in range(0, len(samples), block):
        mel.add(samples[start : start + block].astype(np.float32))
    return mel.finish()


def sine(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def pixels(png: bytes) -> np.ndarray:
    """uint8 (H, W, 3) of a PNG with a palette."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        assert image.mode == "P"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("hertz", [150.0, 440.0, 3000.0])
def test_a_tone_is_a_line_at_its_pitch(rate: int, hertz: float) -> None:
    mel = seen(sine(hertz, 2.0, rate), rate)
    loudest = mel_scale.mel_center_frequencies(rate, spectrogram.HEIGHT)[
        mel.decibels.argmax(axis=0)
    ]
    middle = loudest[5:-5]
    assert np.all(np.abs(mel_scale.hz_to_mel(middle) - mel_scale.hz_to_mel(hertz)) < 40)
    found = re.match(r"most of its power is near ([\d,]+) Hz", mel.words())
    assert found
    assert abs(float(found[1].replace(",", "")) - hertz) < 0.08 * hertz + 10


def test_a_sound_is_seen_when_it_is_heard() -> None:
    quiet = np.zeros(8000)
    mel = seen(np.concatenate([quiet, sine(500, 0.5, 8000), quiet]), 8000)
    loud = mel.decibels.max(axis=0) > mel.decibels.max() - 20
    assert loud.shape == (spectrogram.WIDTH,)
    first, last = np.flatnonzero(loud)[[0, -1]] / spectrogram.WIDTH * 2.5
    assert first == pytest.approx(1.0, abs=0.03)
    assert last == pytest.approx(1.5, abs=0.03)
    assert re.search(r"loudest at 1\.[0-5] s$", mel.words())


@pytest.mark.parametrize("samples", [1, 7, 100, 961, 5000, 300_000])
def test_blocks_do_not_show(samples: int) -> None:
    noise = np.random.default_rng(1).standard_normal(samples)
    whole = seen(noise, 8000, samples).decibels
    assert whole.shape == (spectrogram.HEIGHT, min(samples, spectrogram.WIDTH))
    assert np.allclose(seen(noise, 8000, 333).decibels, whole, atol=1e-3)
    assert (whole > -90).all()  # no column was left out


def test_a_long_sound_takes_no_more_memory_than_a_short_one() -> None:
    mel = spectrogram.MelSpectrogram(8000, 50 * 8000 * 60)
    sizes = set()
    for _ in range(20):
        mel.add(np.zeros(8000, np.float32))
        sizes.add(len(mel._held) <= mel.window)
    assert sizes == {True}
    assert mel._power.shape == (spectrogram.WIDTH, spectrogram.HEIGHT)


def test_a_picture_has_high_above_and_loud_bright() -> None:
    picture = pixels(seen(sine(3500, 1.0, 8000), 8000).png()).astype(int).sum(axis=2)
    assert picture.shape == (spectrogram.HEIGHT, spectrogram.WIDTH)
    assert picture[:20].max() == COLOURS[-1].astype(int).sum()
    assert picture[60:, 20:-20].max() < picture[:20, 20:-20].max() / 2


def test_silence_is_dark_and_is_called_so() -> None:
    mel = seen(np.zeros(4000), 8000)
    assert mel.words() == "nothing but silence"
    assert (pixels(mel.png()) == COLOURS[0]).all()


def test_a_picture_is_small() -> None:
    noise = np.random.default_rng(0).standard_normal(80_000)
    assert (
        len(seen(noise, 8000).png()) < 0.75 * spectrogram.HEIGHT * spectrogram.WIDTH
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


def test_marks_of_the_axes() -> None:
    assert [(m.at, m.text) for m in times(6.0)] == [
        (16.67, "1 s"),
        (33.33, "2 s"),
        (50.0, "3 s"),
        (66.67, "4 s"),
        (83.33, "5 s"),
    ]
    assert [m.text for m in times(150.0)] == ["30 s", "1:00", "1:30", "2:00"]
    assert [m.text for m in times(0.05)] == []
    marks = pitches(seen(sine(1000, 1.0, 22050), 22050))
    assert [m.text for m in marks] == ["300 Hz", "1 kHz", "3 kHz"]
    row = seen(sine(1000, 1.0, 22050), 22050).decibels[::-1].mean(axis=1).argmax()
    assert marks[1].at == pytest.approx(100 * (row + 0.5) / spectrogram.HEIGHT, abs=1)


@pytest.mark.parametrize(
    ("number", "text"), [(0.52, "0.5 s"), (6.0, "6 s"), (61.2, "1:01 min"), (3600, "60:00 min")]
)
def test_seconds_for_people(number: float, text: str) -> None:
    assert seconds(number) == text


# sound


@pytest.mark.parametrize("rate", sound.RATES)
def test_an_mp3_begins_and_ends_where_the_sound_does(rate: int) -> None:
    samples = np.random.default_rng(0).standard_normal(3 * rate).astype(np.float32) * 0.05
    samples[rate] = 0.9
    mp3 = sound.encode([samples[: rate // 3], samples[rate // 3 :]], rate)
    decoded, decoded_rate = soundfile.read(io.BytesIO(mp3))
    assert decoded_rate == rate
    assert len(decoded) == len(samples)
    assert abs(int(np.abs(decoded).argmax()) - rate) <= 2
    assert b"Info" in mp3[:200]  # constant bit rate: `Xing` if it varies
    assert len(mp3) / 3 * 8 < 130_000


@pytest.mark.parametrize(
    ("rate", "embedded"), [(22050, 22050), (10000, 11025), (44056, 44100), (96000, 48000)]
)
def test_a_rate_that_mp3_can_have(rate: int, embedded: int) -> None:
    assert sound.playable(rate) == embedded
    blocks = np.array_split(sine(300, 2.0, rate).astype(np.float32), 7)
    there = np.concatenate(list(resample_stream(blocks, rate, embedded)))
    assert abs(len(there) - 2 * embedded) <= 1
    assert (
        likeness(
            there[: 2 * embedded - 1], sine(300, 2.0, embedded)[: len(there)][: 2 * embedded - 1]
        )
        > 0.999
    )


def test_a_model_of_an_odd_rate(here: Path, registry: Registry, jukebox: Jukebox) -> None:
    from support.tiny_model import TINY

    model = make_tiny(here / "odd", registry, TINY.replace("8000", "10000"))
    write_chord(here / "a.wav", 1.0, 10000)
    jukebox("tokenize", "a.wav", "--model", model.path, "--out", "heard")
    assert jukebox("report", "heard").code == 0
    page = Reader(Path("heard/report.html"))
    (audio, *_) = page.all("audio")
    mp3 = base64.b64decode(str(audio["src"]).partition("base64,")[2])
    assert soundfile.info(io.BytesIO(mp3)).samplerate == 11025
    assert soundfile.info(io.BytesIO(mp3)).frames == 11025
