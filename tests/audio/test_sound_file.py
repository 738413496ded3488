"""Audio files whose headers say too much, too little or nothing of their length."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.audio.io import duration_seconds, read_audio, read_crop
from jukebox_cli.audio.sound_file import count_frames, open_audio
from jukebox_cli.interfaces.errors import InputWarning
from support.results import refusal
from support.run_files import chord

RATE = 22050


def write_sound(path: Path, seconds: float = 2.0, **options: object) -> Path:
    """Writes a chord as libsndfile does, whose lengths are right."""
    soundfile.write(path, chord(seconds, RATE)[:, 0], RATE, **options)
    return path


def put(path: Path, offset: int, *values: bytes) -> None:
    """Replaces bytes of a file."""
    data = bytearray(path.read_bytes())
    for value in values:
        data[offset : offset + len(value)] = value
    path.write_bytes(data)


def unknown_flac(path: Path) -> None:
    """A FLAC file from a pipe: STREAMINFO says 0 samples (36 bits from byte 21 on)."""
    write_sound(path)
    data = path.read_bytes()
    put(path, 21, bytes([data[21] & 0xF0]) + bytes(4))


def crashed_wav(riff: int, data: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        write_sound(path)
        put(path, 4, struct.pack("<I", riff))
        put(path, 40, struct.pack("<I", data))

    return make


def crashed_aiff(path: Path) -> None:
    write_sound(path)
    put(path, path.read_bytes().index(b"SSND") + 4, struct.pack(">I", 8))
    put(path, 22, bytes(4))  # frames, in the COMM chunk


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("piped.flac", unknown_flac),
        ("a.wav", crashed_wav(36, 0)),
        ("a.wav", crashed_wav(0, 0)),
        ("a.wav", crashed_wav(8, 0)),
        ("a.wav", crashed_wav(0xFFFFFFFF, 0xFFFFFFFF)),
        ("a.wav", crashed_wav(88236, 0)),
        ("a.aiff", crashed_aiff),
    ],
)
def test_a_header_without_the_length_is_no_harm(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / name
    make(path)
    assert count_frames(path) == (2 * RATE, RATE)
    audio = read_audio(path, RATE)
    np.testing.assert_allclose(audio, chord(2.0, RATE)[:, 0], atol=1e-3)
    crop = read_crop(path, 1.0, 100, RATE)
    np.testing.assert_array_equal(crop, audio[-100:])


def without_xing(path: Path, picture: int = 0, seconds: float = 4.0) -> Path:
    """An MP3 without its first frame, which says how many follow, but maybe with a picture before
    all."""
    write_sound(path, seconds)
    data = path.read_bytes()
    first = next(i for i in range(4, len(data)) if data[i : i + 2] == data[:2])
    assert b"Xing" in data[:first] or b"Info" in data[:first]
    sizes = bytes((picture >> shift) & 127 for shift in (21, 14, 7, 0))
    tag = b"ID3\x03\x00\x00" + sizes + bytes(picture) if picture else b""
    path.write_bytes(tag + data[first:])
    return path


@pytest.mark.parametrize("picture", [0, 300_000])
def test_an_mp3_is_as_long_as_what_is_decoded(picture: int, tmp_path: Path) -> None:
    path = without_xing(tmp_path / "a.mp3", picture)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seconds = duration_seconds(path)
    assert seconds == pytest.approx(4.0, abs=0.15)  # mp3 adds some silence
    assert seconds == len(read_audio(path, RATE)) / RATE
    crop = read_crop(path, 1.0, RATE, RATE, seconds)
    assert np.abs(crop[:16000]).reshape(-1, 10).max(axis=1).min() > 0  # sound, no padding


def test_an_mp3_of_variable_bit_rate_is_read_to_its_end(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 4 * RATE).astype(np.float32)
    loud_first = np.concatenate([noise, np.zeros(12 * RATE, np.float32)])  # the guess is too short
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(path, "w", RATE, 1, bitrate_mode="VARIABLE") as file:
        file.write(loud_first)
    data = path.read_bytes()
    place = data.index(b"Xing")
    path.write_bytes(data[:place] + b"none" + data[place + 4 :])
    assert soundfile.info(path).duration < 12
    assert duration_seconds(path) == pytest.approx(16, abs=0.2)


def test_a_file_that_was_cut_off_is_as_long_as_what_is_there(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.mp3", 6.0)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.warns(InputWarning) as caught:
        seconds = duration_seconds(path)
    assert [str(w.message) for w in caught] == [
        f"{path} says 6.0 s, holds {seconds:.1f} s: was it copied completely?"
    ]
    assert 2.5 < seconds < 3.2
    assert len(read_audio(path, RATE)) == round(seconds * RATE)


def test_a_flac_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.flac")
    path.write_bytes(path.read_bytes()[:-3000])
    problem = f"{path} is damaged: flac decoder lost sync", "restore it from a copy"
    assert refusal(duration_seconds, path) == problem


@pytest.mark.parametrize("rate", [1, 999, 20_000_000])
def test_a_sample_rate_that_no_recorder_has_is_refused(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(1000), rate)
    problem = f"{path} has a sample rate of {rate:,} Hz"
    hint = "use files of 1,000 to 10,000,000 Hz; is the header right?"
    assert refusal(open_audio, path) == (problem, hint)


def test_many_channels_are_read_in_small_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((3000, 256), 0.25), RATE)
    np.testing.assert_allclose(read_audio(path, RATE), 0.25, atol=1e-4)
    assert count_frames(path) == (3000, RATE)
