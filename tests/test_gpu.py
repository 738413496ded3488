"""On a GPU: what the CPU computes is computed there too, and songs are no more a matter of chance.

Skipped where there is no CUDA device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.engine.step import make_step
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.registry import Registry
from jukebox_cli.storage.files import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.prior import prepare_prior_task
from jukebox_cli.train.task import Task
from jukebox_cli.train.trainer import train
from jukebox_cli.train.vqvae import VQVAETask
from support.golden import LEVELS, Golden, import_golden
from support.results import Result
from support.run_files import all_tokens
from support.training import CONFIG, add, losses, new_corpus, new_model, write_sounds

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
Jukebox = Callable[..., Result]
MAKE = ("--seconds", 0.1, "--artist", "Ada Vale", "--genre", "rock", "--device", "cuda", "-q")


@pytest.fixture(scope="module")
def golden(tmp_path_factory, registry) -> Golden:
    """One that OpenAI's program computed with."""
    models = tmp_path_factory.mktemp("models")
    return import_golden("1b_lyrics", models, registry)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_codes_and_audio_are_those_of_the_original_program(golden, level):
    network = load_vqvae(golden.model, CUDA).level(level)
    codes = network.encode(golden["x"].transpose(1, 2).to(CUDA))
    assert torch.equal(codes.cpu(), golden[f"z.{level}"])
    audio = network.decode(golden[f"z.{level}"].to(CUDA)).transpose(1, 2).cpu()
    torch.testing.assert_close(audio, golden[f"decode.{level}"], atol=1e-3, rtol=0)


def on(device: torch.device, conditions: Conditioning) -> Conditioning:
    """Conditions that were made elsewhere."""
    tensors = {
        field.name: part.to(device)
        for field in fields(Conditioning)
        if isinstance(part := getattr(conditions, field.name), torch.Tensor)
    }
    prefix = conditions.prefix
    if prefix is not None:
        parts = {field.name: getattr(prefix, field.name) for field in fields(prefix)}
        prefix = Prefix(**{n: None if p is None else p.to(device) for n, p in parts.items()})
    return Conditioning(**tensors, prefix=prefix)


@pytest.mark.parametrize(("precision", "near"), [("fp32", 2e-4), ("fp16", 1e-2), ("bf16", 6e-2)])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_are_those_of_the_original_program(golden, level, precision, near):
    prior = load_prior(golden.model, level, golden.registry, CUDA, precision)
    conditions = on(CUDA, golden.conditions(level)).to_dtype(prior.position_embedding.dtype)
    tokens = golden[f"prior.{level}.z"].to(CUDA)
    wanted = golden[f"prior.{level}.logits"][:, -prior.config.context_length :]
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    total = prior.config.context_length
    step = make_step(prior, conditions, caches)
    steps = [step(tokens[:, n - 1], n).clone() for n in range(total)]
    for logits in (torch.stack(steps, 1), prior(tokens, conditions)[:, -total:]):
        logits = logits.float().cpu()
        ours = torch.cat(
            [logits[..., prior.codebook_size :], logits[..., : prior.codebook_size]], dim=2
        )
        torch.testing.assert_close(ours, wanted, atol=near, rtol=0)


@torch.inference_mode()
def test_steps_that_are_recorded_are_those_that_are_not(golden):
    prior = load_prior(golden.model, 2, golden.registry, CUDA, "fp32")
    conditions = on(CUDA, golden.conditions(2))
    tokens, total = golden["prior.2.z"].to(CUDA), prior.config.context_length
    for begun in (0, 1, total // 3):
        each = [prior.make_caches(len(tokens), conditions) for _ in range(2)]
        for caches in each:
            prior.prefill(tokens[:, :begun], conditions, caches)
        step = make_step(prior, conditions, each[0])
        for n in range(begun, total):
            plain = prior.step(tokens[:, n - 1], n, conditions, each[1])
            torch.testing.assert_close(step(tokens[:, n - 1], n), plain, atol=1e-4, rtol=0)


@pytest.fixture
def song(tiny: Model, tmp_path: Path, jukebox: Jukebox) -> Callable[..., dict]:
    """Makes a run with the tiny model; gives its tokens."""

    def make(name: str, *words: object) -> dict:
        result = jukebox("generate", "--model", tiny.path, *MAKE, *words, "--out", tmp_path / name)
        assert result.code == 0, result.err
        return all_tokens(tmp_path / name)

    return make


@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_a_song_does_not_depend_on_what_it_is_drawn_with(song, precision):
    chosen = ("--precision", precision)
    whole = song("all", "--items", 5, *chosen)
    alone = song("alone", "--items", 5, "--batch", 1, *chosen)
    part = song("part", "--items", 5, "--only", "3,1", *chosen)
    assert whole == alone
    assert part == {key: whole[key] for key in part}
    assert song("again", "--items", 5, *chosen) == whole


def test_in_full_precision_the_song_is_that_of_the_cpu(song):
    there = song("there", "--precision", "fp32", "--items", 2)
    here = song("here", "--precision", "fp32", "--items", 2, "--device", "cpu")
    same = [np.mean(np.equal(there[key], here[key])) for key in here]
    assert min(same) > 0.9  # a number on the very border of two tokens may fall to either side


def test_a_song_is_made_longer_as_it_would_have_been_and_sounds(song, jukebox, tmp_path):
    song("longer", "--until", "top")
    result = jukebox("continue", tmp_path / "longer", "--seconds", 0.2, "--device", "cuda", "-q")
    assert result.code == 0, result.err
    audio, rate = soundfile.read(tmp_path / "longer" / "audio" / "item-00.wav")
    assert (len(audio), rate) == (2400, 8000)
    assert np.abs(audio).max() > 0


def test_mini_makes_music(jukebox, tmp_path):
    make = ("generate", "--preset", "rock.yaml", "--seconds", 1, "--device", "cuda", "-q")
    result = jukebox(*make, "--out", tmp_path / "rock")
    assert result.code == 0, result.err
    audio, _ = soundfile.read(tmp_path / "rock" / "audio" / "item-00.wav")
    assert 0.01 < np.sqrt((audio**2).mean()) < 0.5
    assert np.abs(audio).max() < 1.0


def test_a_recording_is_tokenized_as_on_the_cpu(tiny, tone, jukebox, tmp_path):
    for device in ("cpu", "cuda"):
        words = ("--model", tiny.path, "--out", tmp_path / device, "--device", device, "-q")
        assert jukebox("tokenize", tone, *words).code == 0
    one, other = (all_tokens(tmp_path / device) for device in ("cpu", "cuda"))
    assert min(np.mean(np.equal(one[key], other[key])) for key in one) > 0.99


@pytest.fixture(params=["vqvae-0", "prior-0"])
def make(request, tmp_path, registry: Registry) -> Callable[..., Task]:
    """Sets up a task on a device."""
    model, sounds = new_model(tmp_path / "shape"), write_sounds(tmp_path)
    corpus = new_corpus(tmp_path / "corpus", model)
    for held_out in (False, False, True):
        add(corpus, "Up", np.arange(200) % 8, held_out)

    def new(model: Model, device: torch.device) -> Task:
        if request.param == "prior-0":
            return prepare_prior_task(
                model, 0, corpus, registry, batch_size=2, seed=1, device=device
            )
        crops, held_out = (Crops.from_files(sounds, 512, 8000, seed=n) for n in (1, 2))
        return VQVAETask(
            model.config.vqvae, 0, crops, held_out, batch_size=2, mel_weight=0.2, device=device
        )

    return new


def test_training_learns_what_it_learns_on_the_cpu(make, tmp_path):
    each = []
    for device in (CPU, CUDA):
        model = new_model(tmp_path / device.type)
        train(make(model, device), model, replace(CONFIG, num_workers=2 * (device == CUDA)))
        measured = [row["held_out"] for row in read_jsonl(model.log) if "held_out" in row]
        each.append((list(losses(model).values()), measured[-1]))
    assert each[0][0] == pytest.approx(each[1][0], rel=1e-2)
    assert each[0][1] == pytest.approx(each[1][1], rel=5e-2)


def test_training_in_mixed_precision_goes_on_after_a_stop(make, tmp_path):
    model = new_model(tmp_path / "mixed")
    plan = replace(CONFIG, precision="auto", steps=4)
    train(make(model, CUDA), model, plan)
    train(make(model, CUDA), model, replace(plan, steps=8, num_workers=1))
    assert list(losses(model)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(np.isfinite(loss) for loss in losses(model).values())
