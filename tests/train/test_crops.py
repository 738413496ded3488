"""Random crops of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.train.crops import Crops


def test_a_batch_is_a_function_of_seed_and_step(sounds: list[Path]) -> None:
    crops, again, other = (Crops.from_files(sounds, 512, 8000, seed=seed) for seed in (5, 5, 6))
    again.batch(0, 3)
    assert crops.batch(7, 3).shape == (3, 1, 512)
    assert torch.equal(crops.batch(7, 3), again.batch(7, 3))
    assert not torch.equal(crops.batch(7, 3), crops.batch(8, 3))
    assert not torch.equal(crops.batch(7, 3), other.batch(7, 3))


def test_crops_are_consecutive_samples_of_files_drawn_by_duration(tmp_path: Path) -> None:
    files, lengths = [tmp_path / "long.flac", tmp_path / "short.flac"], (6000, 2000)
    for file, length, sign in zip(files, lengths, (1, -1), strict=True):
        soundfile.write(file, sign * np.arange(1, length + 1) / 2**15, 8000, "PCM_16")
    crops = Crops.from_files(files, 100, 8000)
    rows = torch.cat([crops.batch(step, 20) for step in range(20)])[:, 0] * 2**15
    torch.testing.assert_close(rows[:, 1:] - rows[:, :-1], rows[:, :1].sign().expand(-1, 99))
    assert 0.68 < (rows[:, 0] > 0).double().mean() < 0.82


def test_a_file_shorter_than_a_crop_is_padded_with_silence(sounds: list[Path]) -> None:
    row = Crops.from_files(sounds[2:], 5000, 8000).batch(0, 1)[0, 0]
    assert row[:4000].any()
    assert not row[4000:].any()


def test_no_files_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        Crops.from_files([], 512, 8000)
    assert caught.value.message == "no audio to train on"
    assert caught.value.hint == "name audio files, folders or a manifest"
