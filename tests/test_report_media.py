"""Pictures and sound of `jukebox report`."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import Result, make_tiny
from jukebox_plugins.report import pictures, sound
from jukebox_plugins.report.views import pitches, seconds, times
from report_pages import Reader, likeness
from run_files import write_chord

from jukebox_cli.audio import mel as mel_scale
from jukebox_cli.registry import Registry

Jukebox = Callable[..., Result]


# pictures


def seen(samples: np.ndarray, rate: int, block: int = 1000) -> pictures.Mel:
    mel = pictures.MelSpectrogram(rate, len(samples))
    for start in range(0, len(samples), block):
        mel.add(samples[start : start + block].astype(np.float32))
    return mel.finish()


def sine(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def pixels(png: bytes) -> np.ndarray:
    """uint8 (H, W, 3) of a PNG as it is written here, its checksums checked."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        body, (check,) = png[at + 4 : at + 8 + size], struct.unpack(">I", png[at + 8 + size :][:4])
        assert zlib.crc32(body) == check
        chunks[body[:4]] = body[4:]
        at += 12 + size
    width, height, *how = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert how == [8, 3, 0, 0, 0]
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)[rows[:, 1:]]


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("hertz", [150.0, 440.0, 3000.0])
def test_a_tone_is_a_line_at_its_pitch(rate: int, hertz: float) -> None:
    mel = seen(sine(hertz, 2.0, rate), rate)
    loudest = mel_scale.centres(rate, pictures.HEIGHT)[mel.decibels.argmax(axis=0)]
    middle = loudest[5:-5]
    assert np.all(np.abs(mel_scale.mel(middle) - mel_scale.mel(hertz)) < 40)
    found = re.match(r"most of its power is near ([\d,]+) Hz", mel.words())
    assert found
    assert abs(float(found[1].replace(",", "")) - hertz) < 0.08 * hertz + 10


def test_a_sound_is_seen_when_it_is_heard() -> None:
    quiet = np.zeros(8000)
    mel = seen(np.concatenate([quiet, sine(500, 0.5, 8000), quiet]), 8000)
    loud = mel.decibels.max(axis=0) > mel.decibels.max() - 20
    assert loud.shape == (pictures.WIDTH,)
    first, last = np.flatnonzero(loud)[[0, -1]] / pictures.WIDTH * 2.5
    assert first == pytest.approx(1.0, abs=0.03)
    assert last == pytest.approx(1.5, abs=0.03)
    assert re.search(r"loudest at 1\.[0-5] s$", mel.words())


@pytest.mark.parametrize("samples", [1, 7, 100, 961, 5000, 300_000])
def test_blocks_do_not_show(samples: int) -> None:
    noise = np.random.default_rng(1).standard_normal(samples)
    whole = seen(noise, 8000, samples).decibels
    assert whole.shape == (pictures.HEIGHT, min(samples, pictures.WIDTH))
    assert np.allclose(seen(noise, 8000, 333).decibels, whole, atol=1e-3)
    assert (whole > -90).all()  # no column was left out


def test_a_long_sound_takes_no_more_memory_than_a_short_one() -> None:
    mel = pictures.MelSpectrogram(8000, 50 * 8000 * 60)
    sizes = set()
    for _ in range(20):
        mel.add(np.zeros(8000, np.float32))
        sizes.add(len(mel._held) <= mel.window)
    assert sizes == {True}
    assert mel._power.shape == (pictures.WIDTH, pictures.HEIGHT)


def test_a_picture_has_high_above_and_loud_bright() -> None:
    picture = pixels(seen(sine(3500, 1.0, 8000), 8000).png()).astype(int).sum(axis=2)
    assert picture.shape == (pictures.HEIGHT, pictures.WIDTH)
    assert picture[:20].max() == 3 * 255 - (3 * 255 - pictures.palette(64)[-1].astype(int).sum())
    assert picture[60:, 20:-20].max() < picture[:20, 20:-20].max() / 2


def test_silence_is_dark_and_is_called_so() -> None:
    mel = seen(np.zeros(4000), 8000)
    assert mel.words() == "nothing but silence"
    assert (pixels(mel.png()) == pictures.palette(pictures.SHADES)[0]).all()


def test_colours_go_from_dark_to_light_in_even_steps() -> None:
    srgb = pictures.palette(64) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_cones = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    lightness = np.cbrt(linear @ to_cones.T) @ [0.2104542553, 0.7936177850, -0.0040720468]
    steps = np.diff(lightness)
    assert steps.min() > 0.5 * steps.mean()
    assert steps.max() < 1.6 * steps.mean()
    assert lightness[0] < 0.2
    assert lightness[-1] > 0.95


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
    assert marks[1].at == pytest.approx(100 * (row + 0.5) / pictures.HEIGHT, abs=1)


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
    there = np.concatenate(list(sound.resampled(blocks, rate, embedded)))
    assert abs(len(there) - 2 * embedded) <= 1
    assert (
        likeness(
            there[: 2 * embedded - 1], sine(300, 2.0, embedded)[: len(there)][: 2 * embedded - 1]
        )
        > 0.999
    )


def test_a_model_of_an_odd_rate(here: Path, registry: Registry, jukebox: Jukebox) -> None:
    from conftest import TINY

    model = make_tiny(here / "odd", registry, TINY.replace("8000", "10000"))
    write_chord(here / "a.wav", 1.0, 10000)
    jukebox("tokenize", "a.wav", "--model", model.path, "--out", "heard")
    assert jukebox("report", "heard").code == 0
    page = Reader(Path("heard/report.html"))
    (audio, *_) = page.all("audio")
    mp3 = base64.b64decode(str(audio["src"]).partition("base64,")[2])
    assert soundfile.info(io.BytesIO(mp3)).samplerate == 11025
    assert soundfile.info(io.BytesIO(mp3)).frames == 11025
