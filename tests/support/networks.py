"""Small networks with random weights, and random inputs for them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import ATTENTION_PATTERNS, PriorConfig
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.cross_attention import Memory
from jukebox_cli.model.kv_cache import Layout
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import Transformer

Network = TypeVar("Network", bound=nn.Module)

#: 24 positions, of which `prefix` layers attend to the first 8.
LAYOUT = Layout(rows=4, columns=6, prefix_length=5)
POSITIONS = LAYOUT.rows * LAYOUT.columns
SELF_ATTENTION_PATTERNS = tuple(p for p in ATTENTION_PATTERNS if p != "cross_attention")

CODEBOOK_SIZE, WIDTH, CONTEXT = 20, 16, 24

MEMORY_LENGTH = 7
#: What an item may attend to of its memory: all of it, a part, nothing.
MASKS = torch.tensor([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0, 0]]).bool()

#: Sizes of priors whose batches might round differently.
PRIOR_SIZES: dict[str, dict[str, Any]] = {
    "as in presets": {"width": 64, "codebook_size": 64},
    "odd MLP width": {"width": 40, "codebook_size": 64},
    "odd head size": {"width": 200, "codebook_size": 64},
    "odd codebook size": {
        "width": 36,
        "codebook_size": 37,
        "heads": 3,
        "tie_embeddings": False,
    },
    "wide": {"width": 256, "codebook_size": 512, "heads": 4, "mlp_ratio": 2.0},
    "prefix": {"width": 40, "codebook_size": 37, "prefix_length": 8},
}


def random_tensor(*shape: int, seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def random_tokens(
    batch: int = 2, total: int = CONTEXT, codebook_size: int = CODEBOOK_SIZE
) -> Tensor:
    return torch.randint(codebook_size, (batch, total), generator=torch.Generator().manual_seed(1))


def random_inputs(batch: int, total: int) -> Tensor:
    """(B, T, W) float64; the first positions do not depend on the batch."""
    return random_tensor(batch, total, WIDTH, seed=total)


def make_memory(*masks: int) -> Memory:
    """A memory with an item for each of these rows of `MASKS`."""
    return Memory(random_inputs(len(masks), MEMORY_LENGTH), MASKS[list(masks)])


def scale_weights(network: Network, factor: float = 10.0) -> Network:
    """Multiply all weights: with the initial ones, of size 0.02, mistakes pass for rounding."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(factor)
    return network


def randomize(network: Network) -> Network:
    """Draw all weights from a standard normal distribution, in float64."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network.double()


def make_transformer(*patterns: str) -> Transformer:
    """A transformer in float64 over `LAYOUT`, with a layer for each pattern."""
    torch.manual_seed(0)
    transformer = Transformer(
        context_length=POSITIONS - LAYOUT.prefix_length,
        prefix_length=LAYOUT.prefix_length,
        rows=LAYOUT.rows,
        width=WIDTH,
        depth=len(patterns),
        heads=2,
        attention_width=8,
        mlp_width=16,
        attention_patterns=patterns,
    )
    return scale_weights(transformer).double()


def make_prior(
    conditioners: dict[str, nn.Module] | None = None,
    strides: tuple[int, ...] | None = None,
    *,
    width: int = WIDTH,
    codebook_size: int = CODEBOOK_SIZE,
    **options: object,
) -> Prior:
    """A prior in float32 with a context of 24 tokens; `options` override its config."""
    torch.manual_seed(0)
    config = {"context_length": CONTEXT, "rows": 4, "depth": 3, "heads": 2, **options}
    prior = Prior(
        PriorConfig(width=width, **config),  # type: ignore[arg-type]
        codebook_size,
        conditioners or {},
        strides,
    )
    return scale_weights(prior).eval()


def without_layers(prior: Prior) -> Prior:
    """A prior whose transformer is the identity."""
    for layer in prior.transformer.layer_list():
        layer.residual_scale = 0.0
    return prior


def make_full_prior(**options: object) -> Prior:
    """A prior with a layer of each pattern."""
    every = {"depth": len(ATTENTION_PATTERNS), "attention_patterns": ATTENTION_PATTERNS}
    return make_prior(**{**every, **options})  # type: ignore[arg-type]


def random_conditions(prior: Prior, count: int) -> list[Conditioning]:
    """Conditions of every kind for single items; each may attend to a part of its memory."""
    torch.manual_seed(1)
    width, embeddings = prior.config.width, torch.randn(9, prior.config.width)
    return [
        Conditioning(
            start=torch.randn(1, width),
            per_token=torch.randn(1, CONTEXT, width),
            memory=torch.randn(1, 11, width),
            memory_mask=torch.rand(1, 11) < 0.5,
            prefix=_random_prefix(prior.config.prefix_length, embeddings),
        )
        for _ in range(count)
    ]


def _random_prefix(length: int, embeddings: Tensor) -> Prefix | None:
    ids = torch.randint(len(embeddings), (1, length))
    return Prefix(ids, embeddings, torch.ones(length)) if length else None


def conditions_on(device: torch.device, conditions: Conditioning) -> Conditioning:
    """A copy of conditions on a device."""
    prefix = conditions.prefix
    return replace(
        conditions,
        **_tensors_on(device, conditions),
        prefix=None if prefix is None else replace(prefix, **_tensors_on(device, prefix)),
    )


def _tensors_on(device: torch.device, conditions: Conditioning | Prefix) -> dict[str, Any]:
    values = {field.name: getattr(conditions, field.name) for field in fields(conditions)}
    return {name: x.to(device) for name, x in values.items() if isinstance(x, Tensor)}
