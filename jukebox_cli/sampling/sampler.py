"""Sampling a level: window after window, token after token (paper, section 5).

Everything that is computed is a function of the item alone: no sum mixes items, prefixes are
prefilled item by item, and a window that was left half drawn is replayed token by token. So a
song comes out the same to the bit on one machine, whatever it was batched with and however often
it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.engine.step import make_step
from jukebox_cli.interfaces.sampler import GuidanceSampler, Sampler
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.rng import draw_tokens, uniform_numbers
from jukebox_cli.sampling.sampler_calls import (
    LogitMaxima,
    apply_samplers,
    raise_for_invalid_logits,
)
from jukebox_cli.sampling.windows import TokenWindow

#: Conditions of a batch for one window; called once per window, before its first token. Where a
#: level is guided, those of a batch twice as large: as it is told, and told nothing.
WindowConditioning = Callable[[TokenWindow], Conditioning]


@dataclass
class PartialTokens:
    """The tokens of one item at one level, and how many of them are settled."""

    item: int
    tokens: np.ndarray  # int64 (total,)
    num_done: int


@dataclass(frozen=True)
class LevelSampler:
    """What is the same for all items of a level."""

    number: int
    prior: Prior
    samplers: Sequence[Sampler]
    seed: int

    @cached_property
    def guidance_samplers(self) -> list[GuidanceSampler]:
        """Those that want to see what comes where nothing is told."""
        return [
            s for s in self.samplers if isinstance(s, GuidanceSampler) and s.needs_unconditional
        ]

    def duplicate_for_guidance(self, tokens: Tensor) -> Tensor:
        """The tokens of a batch as the prior takes them: once more where it is told nothing."""
        return torch.cat([tokens, tokens]) if self.guidance_samplers else tokens


@dataclass(frozen=True)
class ProgressCallbacks:
    """Who is told how far it is: `tick(tokens drawn)` often, `save()` at most every `seconds`."""

    on_tokens: Callable[[int], None] = lambda _: None
    save: Callable[[], None] = lambda: None
    save_interval: float = 5.0
    every: int = 32  # tokens between looks at the clock


@torch.inference_mode()
def sample_windows(
    level: LevelSampler,
    drafts: Sequence[PartialTokens],
    stretches: Sequence[TokenWindow],
    conditions: WindowConditioning,
    pulse: ProgressCallbacks,
) -> None:
    """Draws what the drafts (of equal length) lack, saving as it goes.

    Whatever stops it, the drafts hold all that was drawn; saving that is up to the caller.
    """
    for stretch in stretches:
        if all(draft.num_done >= stretch.end for draft in drafts):
            continue
        _sample_window(level, drafts, stretch, conditions(stretch), pulse)
        pulse.save()


def _sample_window(
    level: LevelSampler,
    drafts: Sequence[PartialTokens],
    stretch: TokenWindow,
    conditions: Conditioning,
    pulse: ProgressCallbacks,
) -> None:
    prior, start = level.prior, stretch.start
    device = prior.position_embedding.device
    prefix, length = stretch.sample_from - start, stretch.end - start
    settled = [max(stretch.sample_from, min(d.num_done, stretch.end)) - start for d in drafts]
    known = np.stack([d.tokens[start : stretch.end] for d in drafts])
    tokens = torch.from_numpy(known).to(device)  # (B, length)
    limits = torch.tensor(settled, device=device)
    wide = torch.float32 if device.type == "mps" else torch.float64
    numbers = _uniforms(level, drafts, stretch).to(device, wide)  # (B, length - prefix)
    before = level.duplicate_for_guidance(tokens[:, :prefix])
    caches = prior.make_caches(len(before), conditions)
    prior.prefill(before, conditions, caches)
    step = make_step(prior, conditions, caches)

    maxima = LogitMaxima(len(drafts), length - prefix, device)

    def settle(upto: int) -> None:
        if (invalid := maxima.first_invalid(upto - prefix)) is not None:
            at = prefix + invalid
            logits = step(level.duplicate_for_guidance(tokens[:, at - 1]), at)
            chain = level.samplers, level.guidance_samplers
            raise_for_invalid_logits(*chain, logits, tokens[:, :at])
        drawn = tokens[:, :upto].cpu().numpy()
        if upto == length:  # a letter of a prefix has no sound; within the window it is heard
            drawn = np.where(drawn < prior.codebook_size, drawn, 0)
        for draft, row in zip(drafts, drawn, strict=True):
            if draft.num_done < start + upto:
                draft.tokens[start : start + upto] = row
                draft.num_done = start + upto

    n, told, saved = prefix, prefix, monotonic()
    try:
        while n < length:
            logits = step(level.duplicate_for_guidance(tokens[:, n - 1]), n)
            if n >= min(settled):  # before that it is a replay, to fill the caches
                chain = level.samplers, level.guidance_samplers
                logits = apply_samplers(*chain, logits, tokens[:, :n])
                maxima.record(n - prefix, logits)
                token = draw_tokens(logits, numbers[:, n - prefix])
                tokens[:, n] = torch.where(n < limits, tokens[:, n], token)
            n += 1
            if n % pulse.every == 0 or n == length:
                pulse.on_tokens(sum(n - max(told, min(n, at)) for at in settled))
                told = n
                if monotonic() - saved > pulse.save_interval:
                    settle(n)
                    pulse.save()
                    saved = monotonic()
    finally:
        settle(n)


def _uniforms(level: LevelSampler, drafts: Sequence[PartialTokens], stretch: TokenWindow) -> Tensor:
    rows = [
        uniform_numbers(level.seed, d.item, level.number, stretch.sample_from, stretch.end)
        for d in drafts
    ]
    return torch.from_numpy(np.stack(rows).astype(np.float64))
