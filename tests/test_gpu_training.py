"""On a GPU: training learns what it learns on a CPU, and resumes.

Skipped without a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.config.schema import DecoderSize
from jukebox_cli.registry import Registry
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.adversarial import AdversarialSettings, AdversarialTask
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.prior import prepare_prior_task
from jukebox_cli.train.task import Task
from jukebox_cli.train.trainer import train
from jukebox_cli.train.vqvae import VQVAETask
from support.training import CONFIG, add, losses, new_corpus, new_model, write_sounds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MakeTask = Callable[[Model, torch.device], Task]


@pytest.fixture(params=["vqvae-0", "prior-0"])
def make_task(request: pytest.FixtureRequest, tmp_path: Path, registry: Registry) -> MakeTask:
    """Sets up a training task on a device."""
    model, sounds = new_model(tmp_path / "shape"), write_sounds(tmp_path)
    corpus = new_corpus(tmp_path / "corpus", model)
    for held_out in (False, False, True):
        add(corpus, "Up", np.arange(200) % 8, held_out)

    def make(model: Model, device: torch.device) -> Any:
        if request.param == "prior-0":
            return prepare_prior_task(
                model, 0, corpus, registry, batch_size=2, seed=1, device=device
            )
        crops, held_out = (Crops.from_files(sounds, 512, 8000, seed=n) for n in (1, 2))
        return VQVAETask(
            model.config.vqvae, 0, crops, held_out, batch_size=2, mel_weight=0.2, device=device
        )

    return make


def test_training_learns_what_it_learns_on_the_cpu(make_task: MakeTask, tmp_path: Path) -> None:
    results = []
    for device in (CPU, CUDA):
        model = new_model(tmp_path / device.type)
        config = replace(CONFIG, num_workers=2 * (device == CUDA))
        train(make_task(model, device), model, config)
        measured = [row["held_out"] for row in read_jsonl(model.log) if "held_out" in row]
        results.append((list(losses(model).values()), measured[-1]))
    (cpu_losses, cpu_measured), (gpu_losses, gpu_measured) = results
    assert cpu_losses == pytest.approx(gpu_losses, rel=1e-2)
    assert cpu_measured == pytest.approx(gpu_measured, rel=5e-2)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_training_in_mixed_precision_resumes(
    make_task: MakeTask, tmp_path: Path, is_compiled: bool
) -> None:
    model = new_model(tmp_path / "mixed")
    config = replace(CONFIG, precision="auto", steps=4, compile=is_compiled)
    train(make_task(model, CUDA), model, config)
    train(make_task(model, CUDA), model, replace(config, steps=8, num_workers=1))
    assert list(losses(model)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(np.isfinite(loss) for loss in losses(model).values())


def test_a_decoder_learns_from_discriminators_and_resumes(tmp_path: Path) -> None:
    model, sounds = new_model(tmp_path / "model"), write_sounds(tmp_path)
    crops, held_out = (Crops.from_files(sounds, 512, 8000, seed=n) for n in (1, 2))
    train(VQVAETask(model.config.vqvae, 0, crops, held_out, device=CUDA), model, CONFIG)
    fingerprint = model.fingerprint()
    for steps in (4, 8):
        settings, size = AdversarialSettings(start=2, batch_size=2), DecoderSize(32, 2)
        task = AdversarialTask(model, 0, crops, held_out, settings, size=size, device=CUDA)
        train(task, model, replace(CONFIG, precision="auto", steps=steps, num_workers=1))
    rows = [r for r in read_jsonl(model.log) if r["component"] == "decoder-0" and "loss" in r]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert model.fingerprint() == fingerprint
