"""Whether the steps of a prior are those of the reference, however they are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from gpu_shapes import ShapedPrior
from torch import Tensor

from jukebox_cli.engine.engines import Engine, TorchEngine
from jukebox_cli.engine.fused_step import choose_transformer_step
from jukebox_cli.engine.step import StepFunction
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.kv_cache import LayerCache
from jukebox_cli.model.prior import Prior, TransformerStep
from jukebox_cli.sampling.windows import TokenWindow

#: Tokens of the prompt, which differ from row to row; tokens that are chosen after it; rows.
PROMPT, NUM_TOKENS, ROWS = 8, 24, 16


def make_eager_step(
    prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]
) -> StepFunction:
    """The operations that a CUDA graph records, one by one."""
    return partial(_eager_step, prior, conditions, caches, choose_transformer_step(prior))


def _eager_step(
    prior: Prior,
    conditions: Conditioning,
    caches: Sequence[LayerCache],
    transformer_step: TransformerStep,
    last: Tensor,
    n: int,
) -> Tensor:
    if n == 0:
        return prior.step(last, n, conditions, caches)
    position = torch.full((1,), n, device=last.device)
    return prior.step_batch(last, position, conditions, caches, transformer_step)


def _make_reference_step(
    prior: Prior, conditions: Conditioning, caches: Sequence[LayerCache]
) -> StepFunction:
    return lambda last, n: prior.step(last, n, conditions, caches)


class StepCheck:
    """Greedy tokens of a prior and their logits, computed in several ways."""

    def __init__(self, shaped: ShapedPrior, quick: bool) -> None:
        self.prior, self.rows = shaped.prior, 4 if quick else ROWS
        self.count = 8 if quick else NUM_TOKENS
        self.length = shaped.context_length
        conditions = shaped.song_conditions({})
        self.single = conditions.conditioning(TokenWindow(0, 0, self.length))
        generator = torch.Generator().manual_seed(1)
        shape = (self.rows, PROMPT)
        prompts = torch.randint(self.prior.codebook_size, shape, generator=generator)
        self.prompts = prompts.to(shaped.device)

    @torch.inference_mode()
    def results(self) -> Mapping[str, float]:
        """By name: 1 or 0 for what is equal or not, shares of equal tokens, differences."""
        everyone, ends = list(range(self.rows)), [0, self.rows - 1]
        graph = TorchEngine(self.prior)
        tokens, logits = self._choose(graph, everyone)
        eager = self._choose(TorchEngine(self.prior, make_eager_step), everyone)
        alone = [self._choose(graph, [row]) for row in ends]
        turned = self._choose(graph, everyone[::-1])[1].flip(0)
        batch = f"of a batch of {self.rows} and of 1 are equal"
        return {
            "greedy tokens without a graph are equal": _equal(eager[0], tokens),
            "logits without a graph are equal to the bit": _equal(eager[1], logits),
            f"greedy tokens {batch}": _equal(torch.cat([t for t, _ in alone]), tokens[ends]),
            f"logits {batch} to the bit": _equal(torch.cat([x for _, x in alone]), logits[ends]),
            "logits of rows in another order are equal to the bit": _equal(turned, logits),
            **self._compare_with_reference(tokens[:1], logits[:1]),
        }

    def _compare_with_reference(self, tokens: Tensor, logits: Tensor) -> Mapping[str, float]:
        """How `Prior.step` goes on after the tokens (1, N) of the first row."""
        reference = TorchEngine(self.prior, _make_reference_step)
        expected, exact = self._choose(reference, [0], follow=tokens)
        equal = (expected == tokens).double().mean()
        return {
            "share of greedy tokens that the reference chooses": float(equal),
            "largest difference of a logit from the reference": float((exact - logits).abs().max()),
            "standard deviation of logits": float(logits.std()),
        }

    def _choose(
        self, engine: Engine, rows: Sequence[int], follow: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Greedy tokens (R, N) of some rows, and the logits (R, N, K) in fp32. `follow` (R, N):
        the tokens to go on with instead."""
        index = torch.zeros(len(rows), dtype=torch.int64, device=self.prompts.device)
        tokens = index.new_zeros(len(rows), self.length)
        tokens[:, :PROMPT] = self.prompts[list(rows)]
        conditions = self.single.rows(index)
        window = engine.open_window(conditions, tokens, len(rows), PROMPT, PROMPT)
        chosen, logits = [], []
        for number in range(self.count):
            logits.append(window.logits(PROMPT + number).float().clone())
            chosen.append(logits[-1][:, : self.prior.codebook_size].argmax(1))
            tokens[:, PROMPT + number] = chosen[-1] if follow is None else follow[:, number]
        return torch.stack(chosen, 1), torch.stack(logits, 1)


def _equal(actual: Tensor, expected: Tensor) -> float:
    return float(torch.equal(actual, expected))
