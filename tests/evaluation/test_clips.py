"""Clips are evenly placed, the same every time, and never silent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.audio.manifest import Recording
from jukebox_cli.evaluation.clips import (
    Part,
    choose_parts,
    choose_recordings,
    find_parts,
    fit_length,
    load_clips,
    remove_infrasound,
    resample,
)
from jukebox_cli.interfaces.errors import InputError, InputWarning

RATE = 8000
A, B, C = Path("a.wav"), Path("b.wav"), Path("c.wav")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a sound whose parts of a second have these amplitudes."""

    def file(name: str, *amplitudes: float, offset: float = 0) -> Path:
        second = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
        path = tmp_path / name
        soundfile.write(path, np.concatenate([a * second for a in amplitudes]) + offset, RATE)
        return path

    return file


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [Part(C, 0, 12)]),
        (2, [Part(B, 0, 8), Part(C, 0, 12)]),
        (3, [Part(A, 0, 12), Part(B, 0, 8), Part(C, 0, 12)]),
        (
            6,
            [
                *(Part(A, 0, 6), Part(A, 6, 12), Part(B, 0, 4), Part(B, 4, 8)),
                *(Part(C, 0, 6), Part(C, 6, 12)),
            ],
        ),
        (
            12,  # there is room for two in the second file
            [
                *(Part(A, 0, 4), Part(A, 4, 8), Part(A, 8, 12), Part(B, 0, 4), Part(B, 4, 8)),
                *(Part(C, 0, 4), Part(C, 4, 8), Part(C, 8, 12)),
            ],
        ),
    ],
)
def test_clips_are_shared_evenly(count: int, expected: list[Part]) -> None:
    assert choose_parts([(A, 12.0), (B, 8.0), (C, 12.0)], count, 4.0) == expected


def test_a_clip_is_in_the_middle_of_its_part(write: Callable[..., Path]) -> None:
    path = write("a.wav", *[0.5] * 10)
    clips = list(load_clips([Part(path, 0, 5), Part(path, 5, 10)], 2.0))
    assert [(c.start, c.seconds, c.sample_rate) for c in clips] == [(1.5, 2, RATE), (6.5, 2, RATE)]
    assert np.abs(clips[0].audio).max() == pytest.approx(0.5, abs=0.05)


def test_a_silent_place_is_avoided_and_a_silent_part_has_no_clip(
    write: Callable[..., Path],
) -> None:
    path = write("a.wav", 0, 0, 0, 0.5, 0, 0, 0, 0)
    (clip,) = load_clips([Part(path, 0, 4), Part(path, 4, 8)], 1.0)
    assert clip.start == 2.5
    with pytest.raises(InputError, match=r"^the recordings are silent$") as error:
        list(load_clips([Part(path, 4, 8)], 1.0))
    assert error.value.hint == "name recordings that can be heard"


def test_an_offset_is_no_sound(write: Callable[..., Path]) -> None:
    loud, silent = write("a.wav", 0.3, 0.3, offset=0.4), write("b.wav", 0, 0, offset=0.4)
    (clip,) = load_clips([Part(loud, 0, 2), Part(silent, 0, 2)], 2.0)
    assert clip.path == loud
    assert abs(clip.audio.mean()) < 1e-6


def test_infrasound_is_removed_and_nothing_else() -> None:
    time = np.arange(4 * RATE) / RATE
    heard = np.sin(2 * np.pi * 30 * time).astype(np.float32)
    unheard = np.sin(2 * np.pi * 5 * time).astype(np.float32)
    np.testing.assert_allclose(remove_infrasound(heard + unheard, RATE), heard, atol=1e-5)


def test_a_short_file_has_a_short_clip_or_none(write: Callable[..., Path], tmp_path: Path) -> None:
    path, short = write("a.wav", 0.5, 0.5), tmp_path / "short.wav"
    soundfile.write(short, np.full(RATE // 2, 0.1), RATE)
    with pytest.warns(InputWarning, match=r"^left out short\.wav: shorter than 1 s$"):
        parts = find_parts([path, short], 4, 6.0)
    assert [(c.start, c.seconds) for c in load_clips(parts, 6.0)] == [(0, 2)]
    with pytest.raises(InputError, match=r"^no recording has 1 s of audio$"):
        find_parts([short], 4, 6.0)


def test_songs_that_are_held_out_are_chosen_if_there_are_any() -> None:
    recordings = [Recording(A, {}), Recording(B, {}, held_out=True), Recording(C, {})]
    assert choose_recordings(recordings) == [B]
    assert choose_recordings([recordings[0], recordings[2], Recording(A, {})]) == [A, C]


def test_audio_is_resampled_and_fitted() -> None:
    sound = np.ones(RATE, np.float32)
    assert resample(sound, RATE, 2 * RATE).shape == (2 * RATE,)
    assert resample(sound, RATE, RATE, 10).tolist() == [1] * 10
    assert fit_length(np.ones(2, np.float32), 3).tolist() == [1, 1, 0]
