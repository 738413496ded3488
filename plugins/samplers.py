"""The built-in samplers, in the order they run: guidance, temperature, truncation, greedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jukebox_cli.api import GuidanceSampler, Sampler, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


def _set_only(**fields: float | None) -> Mapping[str, float]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


#: The largest guidance scale. Beyond it the conditional logits decide alone, and at some scale
#: the logits are no longer finite numbers (in fp16 early).
MAX_GUIDANCE = 100.0


@dataclass(frozen=True)
class Guidance(GuidanceSampler):
    """Classifier-free guidance: extrapolate from the unconditional to the conditional logits.

    `cond + (guidance - 1) * (cond - uncond)`: Ho and Salimans 2022 (arXiv 2207.12598), equation 6,
    on logits, with w = guidance - 1. A scale of 1 changes nothing, 0 gives unconditional samples.
    """

    name: ClassVar[str] = "guidance"
    order: ClassVar[int] = 5
    guidance: Annotated[
        float | None,
        "Classifier-free guidance scale. 1 is off; higher follows the conditions more closely "
        "and takes up to twice as long.",
    ] = None

    def __post_init__(self) -> None:
        if self.guidance is not None and not 0 <= self.guidance <= MAX_GUIDANCE:
            raise ValueError(f"must be from 0 to {MAX_GUIDANCE:g}", "try 3")

    @property
    def needs_unconditional(self) -> bool:
        return self.guidance not in (None, 1.0)

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(guidance=self.guidance)

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        if self.guidance is None:
            return cond_logits
        return cond_logits + (self.guidance - 1) * (cond_logits - uncond_logits)


@dataclass(frozen=True)
class Temperature(Sampler):
    """Divide the logits by a temperature (Ackley, Hinton and Sejnowski 1985)."""

    name: ClassVar[str] = "temperature"
    order: ClassVar[int] = 10
    temperature: Annotated[
        float | None, "Sampling temperature. Below 1 is safer, above 1 is wilder."
    ] = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0.001 <= self.temperature < float("inf"):
            hint = "for the most likely token use --greedy"
            raise ValueError("must be 0.001 or more", hint)

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(temperature=self.temperature)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits if self.temperature is None else logits / self.temperature


@dataclass(frozen=True)
class TopK(Sampler):
    """Keep the k most likely tokens, and any tied with the last of them.

    Source: Fan et al. 2018 (arXiv 1805.04833), section 5.4.
    """

    name: ClassVar[str] = "top-k"
    order: ClassVar[int] = 20
    top_k: Annotated[int | None, "Sample from the k most likely tokens only."] = None

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ValueError("must be 1 or more")

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(top_k=self.top_k)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.top_k is None:
            return logits
        k = min(self.top_k, logits.shape[-1])
        threshold = logits.topk(k, dim=-1).values[:, -1:]
        return logits.masked_fill(logits < threshold, float("-inf"))


@dataclass(frozen=True)
class TopP(Sampler):
    """Nucleus sampling: keep the fewest most likely tokens whose probabilities add up to p.

    Source: Holtzman et al. 2020 (arXiv 1904.09751), section 3.1. At least one token is kept.
    """

    name: ClassVar[str] = "top-p"
    order: ClassVar[int] = 30
    top_p: Annotated[
        float | None,
        "Nucleus sampling. Sample from the fewest tokens whose probabilities add up to p.",
    ] = None

    def __post_init__(self) -> None:
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError("must be more than 0 and at most 1", "1 switches it off")

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(top_p=self.top_p)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.top_p is None:
            return logits
        sorted_logits, indices = logits.sort(dim=-1, descending=True, stable=True)
        probs = sorted_logits.softmax(dim=-1)
        cumulative_before = probs.cumsum(dim=-1) - probs
        kept = sorted_logits.masked_fill(cumulative_before >= self.top_p, float("-inf"))
        return logits.scatter(-1, indices, kept)


@dataclass(frozen=True)
class MinP(Sampler):
    """Keep tokens whose probability is at least p times that of the most likely token.

    Source: Nguyen et al. 2024 (arXiv 2407.01082), section 3.
    """

    name: ClassVar[str] = "min-p"
    order: ClassVar[int] = 40
    min_p: Annotated[
        float | None, "Drop tokens less likely than this fraction of the most likely one."
    ] = None

    def __post_init__(self) -> None:
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError("must be from 0 to 1")

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(min_p=self.min_p)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.min_p is None:
            return logits
        probs = logits.softmax(dim=-1)
        threshold = probs.amax(dim=-1, keepdim=True) * self.min_p
        return logits.masked_fill(probs < threshold, float("-inf"))


@dataclass(frozen=True)
class Greedy(Sampler):
    """Take the most likely token; of tied tokens, the one with the lowest id."""

    name: ClassVar[str] = "greedy"
    order: ClassVar[int] = 90
    greedy: Annotated[bool | None, "Always take the most likely token."] = None

    @property
    def parameters(self) -> Mapping[str, float]:
        return _set_only(greedy=self.greedy)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        import torch

        if not self.greedy:
            return logits
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, float("-inf")).scatter(-1, best, 0.0)


@hookimpl
def jukebox_samplers() -> list[type[Sampler]]:
    return [Guidance, Temperature, TopK, TopP, MinP, Greedy]
