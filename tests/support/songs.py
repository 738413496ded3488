"""Songs of a prior with random weights, window after window."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.engine.engines import Engine
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.sampler import LevelSampler, PartialTokens, sample_windows
from jukebox_cli.sampling.windows import TokenWindow, token_windows
from support.interruptions import CONTEXT_LENGTH, TOTAL, Conditions, Interruption

CODEBOOK_SIZE = 24

#: An item that stands for no conditions.
UNCONDITIONAL = 99


@cache
def one_prior(prefix: int = 0) -> Prior:
    """Random weights, and logits that depend strongly on all that came before."""
    torch.manual_seed(0)
    size: dict[str, Any] = {
        "context_length": CONTEXT_LENGTH,
        "prefix_length": prefix,
        "rows": 4,
        "width": 32,
        "depth": 4,
        "heads": 2,
    }
    patterns = ("row", "column", "previous", "prefix" if prefix else "dense")
    prior = Prior(PriorConfig(**size, attention_patterns=patterns), CODEBOOK_SIZE, {}).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(8.0)
        prior.token_embedding.weight.mul_(4.0)
    return prior


def item_conditions(items: Sequence[int], prefix: int = 0) -> Conditions:
    """Conditions that are a function of the item and the window."""
    embeddings = torch.randn(CODEBOOK_SIZE, 32, generator=torch.Generator().manual_seed(0))

    def one(item: int, window: TokenWindow) -> Conditioning:
        generator = torch.Generator().manual_seed(1000 * item + window.start)
        start, per_token = (torch.randn(1, n, 32, generator=generator) for n in (1, CONTEXT_LENGTH))
        ids = torch.randint(CODEBOOK_SIZE, (1, prefix), generator=generator)
        before = Prefix(ids, 0.6 * embeddings, torch.ones(prefix)) if prefix else None
        return Conditioning(0.3 * start[:, 0], 0.3 * per_token, prefix=before)

    return Conditions(lambda window: stack_conditionings([one(item, window) for item in items]))


def sample_on(
    working: Sequence[PartialTokens],
    primed: int = 0,
    at: int | None = None,
    prefix: int = 0,
    samplers: Sequence[Sampler] = (),
    engine: Engine | None = None,
) -> None:
    """Samples the items' songs, as far as the `at`-th report of new tokens."""
    interruption, windows = Interruption(at), token_windows(TOTAL, CONTEXT_LENGTH, 0.5, primed)
    level = LevelSampler(2, one_prior(prefix), samplers, engine)
    unconditional = [UNCONDITIONAL] * len(working) if level.guidance_samplers else []
    conditions = item_conditions([*(d.item for d in working), *unconditional], prefix)
    try:
        sample_windows(level, working, windows, conditions, interruption.callbacks(working))
    except KeyboardInterrupt:
        assert at is not None


def blank(items: Sequence[int], primer: Sequence[int] = (), seed: int = 3) -> list[PartialTokens]:
    song = np.zeros(TOTAL, np.int64)
    song[: len(primer)] = primer
    return [PartialTokens(item, seed, song.copy(), len(primer)) for item in items]


def tokens_of(working: Sequence[PartialTokens]) -> dict[int, list[int]]:
    return {d.item: d.tokens.tolist() for d in working}
