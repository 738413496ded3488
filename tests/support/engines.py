"""The native engine in tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from jukebox_cli.engine import library
from jukebox_cli.engine.native import NativePrior, NativeWindow
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.prior import Prior
from support.networks import make_prior, without_layers

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
