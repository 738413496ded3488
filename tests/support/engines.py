"""The native engine in tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.engine import library
from jukebox_cli.engine.native import NativeWindow
from jukebox_cli.engine.native_weights import NativePrior
from jukebox_cli.model.conditioning import Conditioning, stack_conditionings
from jukebox_cli.model.prior import Prior
from support.networks import CONTEXT, make_prior, random_conditions, random_tokens, without_layers

#: Marks a test that needs the compiled kernels.
needs_native_engine = pytest.mark.skipif(
    library.load() is None, reason="the native engine is not installed: there was no compiler"
)
#: Runs a test with each set of kernels that this CPU can run.
each_kernels = pytest.mark.parametrize("kernels", library.kernel_names())


def pack(
    prior: Prior, weight_format: str = "fp32", num_threads: int = 1, kernels: str | None = None
) -> NativePrior:
    """A prior's weights for some kernels, by default the fastest."""
    changed = {library.KERNELS_VARIABLE: kernels} if kernels else {}
    with patch.dict(os.environ, changed):
        return NativePrior(prior, weight_format, num_threads)


@torch.inference_mode()
def native_steps(
    weights: NativePrior, conditions: Conditioning, tokens: Tensor, prompt: int = 0
) -> Tensor:
    """Logits (B, T - prompt, K + V) of the positions after a prompt, which is prefilled."""
    window = NativeWindow(weights, conditions, tokens, len(tokens))
    window.prefill(prompt)
    return torch.stack([window.logits(n) for n in range(prompt, tokens.shape[1])], dim=1)


@torch.inference_mode()
def torch_steps(prior: Prior, conditions: Conditioning, tokens: Tensor, prompt: int = 0) -> Tensor:
    """The same of the reference, `Prior.step`."""
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :prompt], conditions, caches)
    steps = [
        prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(prompt, tokens.shape[1])
    ]
    return torch.stack(steps, dim=1)


def prior_with_logits(rows: Sequence[Sequence[float]] | Tensor) -> tuple[Prior, Conditioning]:
    """A prior, and conditions of as many items, whose logits at position 0 are these finite rows to
    the bit: an item's input selects a row of the output layer."""
    logits = torch.as_tensor(rows, dtype=torch.float32)
    count = len(logits)
    prior = without_layers(
        make_prior(
            width=count,
            codebook_size=logits.shape[1],
            depth=1,
            heads=1,
            attention_ratio=1.0,
            tie_embeddings=False,
            final_norm=False,
        )
    )
    assert prior.output is not None
    with torch.no_grad():
        prior.position_embedding.zero_()
        prior.output.weight.copy_(logits)
    return prior, Conditioning(start=torch.eye(count))


def make_mild_prior(**options: Any) -> Prior:
    """A prior with a layer of each pattern, unless `options` say otherwise, which rounding does not
    change much: with the large weights of `make_prior` every layer multiplies it."""
    every = {"depth": len(ATTENTION_PATTERNS), "attention_patterns": ATTENTION_PATTERNS}
    prior = make_prior(**{**every, **options})
    for module in prior.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return prior


def make_inputs(prior: Prior, count: int = 3) -> tuple[Conditioning, Tensor]:
    """Conditions of every kind, and tokens. The second item may attend to nothing."""
    conditions = stack_conditionings(random_conditions(prior, count))
    assert conditions.memory_mask is not None
    conditions.memory_mask[1:2] = False
    encoding = torch.randn(count, CONTEXT, prior.config.width)
    tokens = random_tokens(count, codebook_size=prior.codebook_size)
    return replace(conditions, query_encoding=encoding), tokens


def assert_close(
    actual: Tensor, prior: Prior, conditions: Conditioning, tokens: Tensor, prompt: int = 0
) -> None:
    """Asserts that logits are as near to those in exact arithmetic as the fp32 reference's."""
    exact_inputs = (conditions.to_dtype(torch.float64), tokens, prompt)
    exact = torch_steps(deepcopy(prior).double(), *exact_inputs)
    of_reference = (torch_steps(prior, conditions, tokens, prompt) - exact).abs().max()
    assert of_reference < 0.005
    assert (actual - exact).abs().max() <= 3 * of_reference + 1e-6 * exact.abs().max()
    if exact.shape[2] > 1:
        assert exact.std() > 0.5
