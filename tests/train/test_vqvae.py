"""Training autoencoders: entropy of the codebook's use, evaluation, and learning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.trainer import TrainingConfig, train
from jukebox_cli.train.vqvae import VQVAETask, entropy_bits
from support.training import CODEC, CONFIG


@pytest.mark.parametrize(
    ("counts", "bits"),
    [([5, 5, 5, 5], 2), ([7, 0, 0, 0], 0), ([1, 1, 2, 0], 1.5), ([0, 0, 0, 0], 0)],
)
def test_entropy_is_in_bits(counts: list[int], bits: float) -> None:
    assert entropy_bits(torch.tensor(counts, dtype=torch.float)).item() == pytest.approx(bits)


def test_nothing_is_evaluated_without_held_out_songs(sounds: list[Path], model: Model) -> None:
    task = VQVAETask(CODEC, 0, Crops.from_files(sounds, 512, 8000), None, batch_size=1)
    assert train(task, model, replace(CONFIG, steps=1)) == {}


def test_the_loss_is_the_weighted_sum_of_its_logged_terms(sounds: list[Path]) -> None:
    crops = Crops.from_files(sounds, 512, 8000)
    task = VQVAETask(CODEC, 1, crops, None, batch_size=2, commit_weight=0.5, mel_weight=0.25)
    loss, terms = task.loss(0, task.batch_source(0))
    expected = (
        terms["waveform_loss"]
        + terms["spectral_loss"]
        + 0.25 * terms["log_mel_loss"]
        + 0.5 * terms["commit_loss"]
    )
    torch.testing.assert_close(loss.detach(), expected)


@pytest.mark.slow
def test_an_autoencoder_learns_to_reconstruct_sines(tmp_path: Path, model: Model) -> None:
    time = np.arange(8000) / 8000
    for name, frequency in (("low", 220), ("high", 440), ("held-out", 330)):
        soundfile.write(tmp_path / f"{name}.wav", 0.5 * np.sin(2 * np.pi * frequency * time), 8000)
    known = [tmp_path / "low.wav", tmp_path / "high.wav"]
    crops = Crops.from_files(known, 1024, 8000)
    held_out = Crops.from_files([tmp_path / "held-out.wav"], 1024, 8000)
    task = VQVAETask(CODEC, 0, crops, held_out, batch_size=8)
    config = TrainingConfig(steps=400, learning_rate=3e-3, warmup_steps=10, weight_decay=0.0)
    metrics = train(task, model, config)
    first = next(row for row in read_jsonl(model.log) if "loss" in row)
    assert metrics["spectral_convergence_db"] < first["spectral_convergence_db"] - 3
    assert metrics["codes_used"] > 4
