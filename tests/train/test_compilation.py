"""Compiled layers compute what they compute otherwise, and the flag reaches them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.model.transformer import Transformer, TransformerLayer
from jukebox_cli.storage.model import Model
from jukebox_cli.train import trainer
from jukebox_cli.train.compilation import compile_layers
from jukebox_cli.train.trainer import train
from support.networks import random_tensor
from support.training import CONFIG, MakeTask


def small_transformer() -> Transformer:
    torch.manual_seed(0)
    sizes = {"width": 16, "depth": 2, "heads": 2, "attention_width": 8, "mlp_width": 16}
    return Transformer(context_length=24, rows=4, attention_patterns=("row",), **sizes)


def output_and_gradients(network: nn.Module, x: Tensor) -> list[Tensor]:
    network.zero_grad()
    out = network(x)
    out.square().mean().backward()
    return [out.detach(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)]


def test_each_transformer_layer_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(TransformerLayer, "compile", lambda layer: compiled.append(layer))
    network = small_transformer()
    assert compile_layers(network) == 2
    assert compiled == list(network.layers)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler, which torch.compile uses")
@pytest.mark.filterwarnings("ignore")  # of torch's compiler
def test_compiled_layers_give_the_same_outputs_and_gradients() -> None:
    network, x = small_transformer(), random_tensor(2, 24, 16).float()
    before = output_and_gradients(network, x)
    compile_layers(network)
    for old, new in zip(before, output_and_gradients(network, x), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)


def test_training_compiles_if_asked(
    make_task: MakeTask, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(trainer, "compile_layers", compiled.append)
    task = make_task(model)
    train(task, model, CONFIG)
    assert compiled == []
    train(make_task(model), model, replace(CONFIG, steps=6, compile=True))
    assert len(compiled) == 1
