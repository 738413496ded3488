"""On a GPU: networks compute what they compute on a CPU, and songs are reproducible.

Skipped without a CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.engine.step import make_step
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.registry import Registry
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.prior import prepare_prior_task
from jukebox_cli.train.task import Task
from jukebox_cli.train.trainer import train
from jukebox_cli.train.vqvae import VQVAETask
from support.golden import LEVELS, Golden, import_golden
from support.networks import conditions_on
from support.results import Result
from support.run_files import all_tokens
from support.training import CONFIG, add, losses, new_corpus, new_model, write_sounds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GENERATE = ("--seconds", 0.1, "--artist", "Ada Vale", "--genre", "rock", "--device", "cuda", "-q")
Jukebox = Callable[..., Result]
Tokens = dict[tuple[int, int], list[int]]
Generate = Callable[..., Tokens]
MakeTask = Callable[[Model, torch.device], Task]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Golden:
    """A model that the original program computed with."""
    return import_golden("1b_lyrics", tmp_path_factory.mktemp("models"), registry)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_codes_and_audio_are_those_of_the_original_program(golden: Golden, level: int) -> None:
    network = load_vqvae(golden.model, CUDA).level(level)
    codes = network.encode(golden["x"].transpose(1, 2).to(CUDA))
    assert torch.equal(codes.cpu(), golden[f"z.{level}"])
    audio = network.decode(golden[f"z.{level}"].to(CUDA)).transpose(1, 2).cpu()
    torch.testing.assert_close(audio, golden[f"decode.{level}"], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("precision", "atol"), [("fp32", 2e-4), ("fp16", 1e-2), ("bf16", 6e-2)])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_are_those_of_the_original_program(
    golden: Golden, level: int, precision: str, atol: float
) -> None:
    prior = load_prior(golden.model, level, golden.registry, CUDA, precision)
    conditions = conditions_on(CUDA, golden.conditions(level))
    conditions = conditions.to_dtype(prior.position_embedding.dtype)
    tokens, total = golden[f"prior.{level}.z"].to(CUDA), prior.config.context_length
    expected = golden[f"prior.{level}.logits"][:, -total:]
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    step = make_step(prior, conditions, caches)
    steps = [step(tokens[:, n - 1], n).clone() for n in range(total)]
    for logits in (torch.stack(steps, 1), prior(tokens, conditions)[:, -total:]):
        actual = golden.order_logits(prior, logits.float().cpu())
        torch.testing.assert_close(actual, expected, atol=atol, rtol=0)


@pytest.fixture
def generate(tiny: Model, tmp_path: Path, jukebox: Jukebox) -> Generate:
    """Generates a run with the tiny model and returns its tokens."""

    def run(name: str, *options: object) -> Tokens:
        words = ("generate", "--model", tiny.path, *GENERATE, *options, "--out", tmp_path / name)
        result = jukebox(*words)
        assert result.code == 0, result.err
        return all_tokens(tmp_path / name)

    return run


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_an_item_does_not_depend_on_its_batch(generate: Generate, precision: str) -> None:
    options = ("--items", 5, "--precision", precision)
    expected = generate("all", *options)
    assert generate("again", *options) == expected
    assert generate("alone", *options, "--batch", 1) == expected
    part = generate("part", *options, "--only", "3,1")
    assert part == {key: expected[key] for key in part}


def test_in_fp32_a_song_is_nearly_that_of_the_cpu(generate: Generate) -> None:
    options = ("--precision", "fp32", "--items", 2)
    on_gpu, on_cpu = generate("gpu", *options), generate("cpu", *options, "--device", "cpu")
    equal = [np.mean(np.equal(on_gpu[key], on_cpu[key])) for key in on_cpu]
    assert min(equal) > 0.9  # a uniform number at the border of two tokens may fall on either side


def test_a_song_is_continued_and_decoded(
    generate: Generate, jukebox: Jukebox, tmp_path: Path
) -> None:
    generate("longer", "--until", "top")
    result = jukebox("continue", tmp_path / "longer", "--seconds", 0.2, "--device", "cuda", "-q")
    assert result.code == 0, result.err
    audio, rate = soundfile.read(tmp_path / "longer" / "audio" / "item-00.wav")
    assert (len(audio), rate) == (2400, 8000)
    assert np.abs(audio).max() > 0


def test_mini_makes_music(jukebox: Jukebox, tmp_path: Path) -> None:
    words = ("generate", "--preset", "rock", "--seconds", 1, "--device", "cuda", "-q")
    result = jukebox(*words, "--out", tmp_path / "rock")
    assert result.code == 0, result.err
    audio, _ = soundfile.read(tmp_path / "rock" / "audio" / "item-00.wav")
    assert 0.01 < np.sqrt((audio**2).mean()) < 0.5
    assert np.abs(audio).max() < 1.0


def test_a_recording_has_the_tokens_it_has_on_the_cpu(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    for device in ("cpu", "cuda"):
        words = ("--model", tiny.path, "--out", tmp_path / device, "--device", device, "-q")
        assert jukebox("tokenize", tone, *words).code == 0
    on_cpu, on_gpu = (all_tokens(tmp_path / device) for device in ("cpu", "cuda"))
    assert min(np.mean(np.equal(on_cpu[key], on_gpu[key])) for key in on_cpu) > 0.99


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


def test_training_in_mixed_precision_resumes(make_task: MakeTask, tmp_path: Path) -> None:
    model = new_model(tmp_path / "mixed")
    config = replace(CONFIG, precision="auto", steps=4)
    train(make_task(model, CUDA), model, config)
    train(make_task(model, CUDA), model, replace(config, steps=8, num_workers=1))
    assert list(losses(model)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(np.isfinite(loss) for loss in losses(model).values())
