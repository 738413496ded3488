"""Audio files: read in blocks, resampled as one stream, cropped, hashed and written."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.audio.io import (
    BLOCK_SIZE,
    FORMATS,
    duration_seconds,
    hash_files,
    open_audio,
    read_audio,
    read_crop,
    resample_stream,
    stream_audio,
    to_int16,
    wav_header,
    write_audio,
)
from support.results import refusal
from support.run_files import chord, write_chord


def ramp(path: Path, length: int, sample_rate: int = 8000) -> np.ndarray:
    """Writes a rising line as 32-bit floats, and returns it."""
    samples = np.linspace(-0.5, 0.5, length, dtype=np.float32)
    soundfile.write(path, samples, sample_rate, subtype="FLOAT")
    return samples


# reading


@pytest.mark.parametrize("length", [1, 1000, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_a_file_is_read_whole_however_many_blocks_it_has(length: int, tmp_path: Path) -> None:
    samples = ramp(tmp_path / "a.wav", length)
    blocks = list(stream_audio(tmp_path / "a.wav", 8000))
    assert max(map(len, blocks)) <= BLOCK_SIZE
    np.testing.assert_array_equal(np.concatenate(blocks), samples)
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav", 8000), samples)


def test_channels_are_mixed_down_to_mono(tmp_path: Path) -> None:
    stereo = chord(0.1, channels=2)
    soundfile.write(tmp_path / "a.wav", stereo, 8000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 8000), stereo.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("target_sr", [6000, 8000, 44100])
def test_audio_is_resampled(target_sr: int, tmp_path: Path) -> None:
    audio = read_audio(write_chord(tmp_path / "a.wav", 0.5), target_sr)
    assert audio.dtype == np.float32
    assert abs(len(audio) - 0.5 * target_sr) <= 1
    expected = chord(0.5, target_sr)[:, 0]
    inner = slice(target_sr // 20, -target_sr // 20)
    np.testing.assert_allclose(audio[inner], expected[: len(audio)][inner], atol=2e-3)


@pytest.mark.parametrize("size", [7, 100, 799, 800])
def test_resampling_does_not_depend_on_the_blocks(size: int) -> None:
    samples = chord(0.1)[:, 0]
    blocks = [samples[i : i + size] for i in range(0, len(samples), size)]
    (whole,) = resample_stream([samples], 8000, 11025)
    np.testing.assert_array_equal(np.concatenate([*resample_stream(blocks, 8000, 11025)]), whole)


def test_resampling_no_blocks_yields_none() -> None:
    assert list(resample_stream([], 8000, 11025)) == []


def test_the_duration_is_in_seconds(tmp_path: Path) -> None:
    assert duration_seconds(write_chord(tmp_path / "a.flac", 0.25, 44100)) == 0.25


def nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "problem", "hint"),
    [
        (nothing, "no file {}", "check the path"),
        (Path.mkdir, "{} is a folder, not an audio file", "name the files in it"),
        (Path.touch, "{} is empty", "was it copied completely?"),
        (
            lambda path: path.write_text("hello"),
            "{} is not audio that can be read",
            "use wav, flac, ogg, opus, mp3, aiff and more",
        ),
        (
            lambda path: soundfile.write(path, [], 8000),
            "{} has no audio",
            "it has a header but no samples",
        ),
    ],
)
def test_a_file_without_audio_is_refused(
    make: Callable[[Path], object], problem: str, hint: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    make(path)
    assert refusal(open_audio, path) == (problem.format(path), hint)
    assert refusal(duration_seconds, path) == (problem.format(path), hint)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 8000, subtype="FLOAT")
    problem = f"{path} has samples that are not numbers", "export it again"
    assert refusal(read_audio, path, 8000) == problem


def test_damaged_data_are_refused(tmp_path: Path) -> None:
    path = write_chord(tmp_path / "cut.flac", 5)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    message, hint = refusal(read_audio, path, 8000)
    assert message.startswith(f"{path} is damaged: flac decoder lost sync")
    assert hint == "restore it from a copy"


# crops


@pytest.mark.parametrize(("position", "start"), [(0.0, 0), (0.5, 450), (1.0, 900)])
def test_a_crop_lies_between_the_ends_of_a_file(
    position: float, start: int, tmp_path: Path
) -> None:
    samples = ramp(tmp_path / "a.wav", 1000)
    crop = read_crop(tmp_path / "a.wav", position, 100, 8000)
    np.testing.assert_array_equal(crop, samples[start : start + 100])


def test_a_crop_is_resampled_to_its_length(tmp_path: Path) -> None:
    crop = read_crop(write_chord(tmp_path / "a.wav", 1.0), 0.3, 999, 11025)
    assert crop.shape == (999,)
    assert crop.dtype == np.float32
    assert crop.std() > 0.1


def test_a_short_file_is_padded_with_silence(tmp_path: Path) -> None:
    samples = ramp(tmp_path / "a.wav", 60)
    crop = read_crop(tmp_path / "a.wav", 0.9, 100, 8000)
    np.testing.assert_array_equal(crop, np.pad(samples, (0, 40)))


# hashes


def test_a_hash_is_of_contents_and_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (BLOCK_SIZE + 1))
    (tmp_path / "b").write_bytes(b"x" * (BLOCK_SIZE + 1))
    a, b = tmp_path / "a", tmp_path / "b"
    assert len(hash_files([a])) == 16
    assert hash_files([a]) == hash_files([b])
    assert len({hash_files([a]), hash_files([a, b]), hash_files([a], "word"), hash_files([])}) == 4


# writing


@pytest.mark.parametrize("suffix", FORMATS)
def test_written_audio_can_be_read(suffix: str, tmp_path: Path) -> None:
    path, samples = tmp_path / f"a.{suffix}", chord(0.5)[:, 0]
    write_audio(path, np.split(samples, 4), 8000)
    audio = read_audio(path, 8000)
    assert duration_seconds(path) == pytest.approx(0.5, abs=0.1)  # mp3 adds some silence
    assert np.abs(audio).max() == pytest.approx(np.abs(samples).max(), rel=0.15)
    if suffix in ("wav", "flac"):
        np.testing.assert_allclose(audio, samples, atol=2**-15)


def test_samples_outside_the_range_are_clipped(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", [np.array([2.0, -2.0], np.float32)], 8000)
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", 8000), [1, -1], atol=2**-14)


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_chord(tmp_path / "a.wav", 0.1)
    before = path.read_bytes()

    def broken() -> Iterator[np.ndarray]:
        yield np.zeros(10, np.float32)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_audio(path, broken(), 8000)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_full_disk_is_an_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    from jukebox_cli.audio.io import _ErrorKeepingFile

    with open("/dev/full", "wb", buffering=0) as file:
        sink = _ErrorKeepingFile(file)
        assert sink.write(b"x") == 0
        assert sink.write(b"y") == 0
    assert sink.error is not None
    assert sink.error.errno == errno.ENOSPC


def test_16_bit_samples_and_the_header_are_those_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, -1.0, 1.5, -2.0, 1e-6, -1e-6, 0.5 / 32768, -0.5 / 32768]
    audio = np.concatenate([values, rng.uniform(-1.1, 1.1, 10_000)]).astype(np.float32)
    path = tmp_path / "a.wav"
    write_audio(path, [audio], 22050)
    expected = wav_header(len(audio), 22050) + to_int16(audio).tobytes()
    assert path.read_bytes() == expected


def test_a_length_beyond_32_bits_is_the_largest_there_is() -> None:
    header = wav_header(1 << 32, 22050)
    assert (header[4:8], header[40:44]) == (b"\xff" * 4, b"\xff" * 4)
