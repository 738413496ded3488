"""Networks from a model's folder: their weights, dtypes and alignment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.loader import (
    ALIGNMENT,
    build_prior,
    is_large,
    load_prior,
    load_vqvae,
    load_weights,
)
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors
from support.results import Result, refusal
from support.run_files import all_tokens

CPU = torch.device("cpu")
Jukebox = Callable[..., Result]


def test_a_loaded_prior_has_the_weights_of_its_file(tiny: Model, registry: Registry) -> None:
    prior, stored = load_prior(tiny, 0, registry, CPU), load_tensors(tiny.weights("prior-0"))
    weights = prior.state_dict()
    assert weights.keys() == stored.keys()
    assert all(torch.equal(weights[name], stored[name]) for name in stored)
    assert all(p.data_ptr() % ALIGNMENT == 0 for p in prior.parameters())
    assert not prior.training


def test_the_loaded_autoencoders_have_the_weights_of_their_files(tiny: Model) -> None:
    vqvae = load_vqvae(tiny, CPU)
    assert not vqvae.training
    for level in range(3):
        stored = load_tensors(tiny.weights(f"vqvae-{level}"))
        weights = vqvae.level(level).state_dict()
        assert weights.keys() == stored.keys()
        assert all(torch.equal(weights[name], stored[name]) for name in stored)


def test_weights_of_another_shape_are_an_error(tiny: Model) -> None:
    vqvae, stored = load_vqvae(tiny, CPU), load_tensors(tiny.weights("vqvae-0"))
    stored["codebook.vectors"] = torch.zeros(3, 8)
    message, hint = refusal(load_weights, vqvae.level(0), stored, tiny)
    assert message.startswith("the weights of model 'tiny' do not fit: size mismatch for codebook")
    assert hint == "its config.yaml and its weights are not of one model"


def test_on_meta_only_the_networks_of_conditioners_have_memory(
    tiny: Model, registry: Registry
) -> None:
    conditioners = {"artist": registry.make_conditioner("artist", {"names": ["Ada"]})}
    prior = build_prior(tiny.config, 0, conditioners, on_meta=True)
    in_memory = {name for name, p in prior.named_parameters() if not p.is_meta}
    assert in_memory == {"conditioners.artist.embedding.weight"}


def test_on_a_cpu_fp16_is_for_the_weights_of_linear_layers(tiny: Model, registry: Registry) -> None:
    prior = load_prior(tiny, 0, registry, CPU, "fp16")
    linear = {id(m.weight) for m in prior.modules() if isinstance(m, BatchInvariantLinear)}
    dtypes = {(id(p) in linear, p.dtype) for p in prior.parameters()}
    assert dtypes == {(True, torch.float16), (False, torch.float32)}


def test_a_prior_is_large_by_its_parameters(
    tiny: Model, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = load_prior(tiny, 0, registry, CPU)
    count = sum(p.numel() for p in prior.parameters())
    for threshold, expected in ((count, True), (count + 1, False)):
        monkeypatch.setattr("jukebox_cli.model.loader.LARGE_PARAMETERS", threshold)
        assert is_large(prior) is expected


@pytest.mark.slow
def test_a_run_is_sampled_in_the_chosen_precision(
    tiny: Model, tmp_path: Path, jukebox: Jukebox
) -> None:
    command = ("generate", "--model", tiny.path, "--seconds", 0.2, "--items", 2)
    for name, options in {
        "default": (),
        "fp32": ("--precision", "fp32"),
        "fp16": ("--precision", "fp16"),
        "fp16-alone": ("--precision", "fp16", "--batch", 1),
    }.items():
        run = tmp_path / name
        assert jukebox(*command, "--until", "tokens", *options, "--out", run, "-q").code == 0
    tokens = {path.name: all_tokens(path) for path in tmp_path.iterdir() if path.is_dir()}
    assert tokens["default"] == tokens["fp32"] != tokens["fp16"] == tokens["fp16-alone"]


def test_a_precision_that_a_cpu_lacks_is_an_error_before_anything_is_written(
    tiny: Model, here: Path, jukebox: Jukebox
) -> None:
    options = ("--model", tiny.path, "--precision", "bf16", "--device", "cpu", "--out", "run")
    result = jukebox("generate", *options)
    error = (
        "error: a CPU samples in fp32, fp16 or int8, not in bf16\n\nhint: use --precision fp16\n"
    )
    assert result == Result(2, "", error)
    assert not Path("run").exists()


def test_loading_a_prior_does_not_import_torch_s_compiler(tiny: Model) -> None:
    code = f"""
import sys, torch
from pathlib import Path
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import Model
load_prior(Model(Path({str(tiny.path)!r})), 0, load_installed(print), torch.device("cpu"))
print("torch._dynamo" in sys.modules, "sympy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
