"""The built-in samplers. Each keeps to one idea; they run in the order they stand here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from jukebox_cli.api import GuidanceSampler, Sampler, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Guidance(GuidanceSampler):
    """Goes further in the direction that what is told leads to (classifier-free guidance, Ho and
    Salimans 2022, equation 6, on logits: `told + (guidance - 1) * (told - untold)`)."""

    name: ClassVar[str] = "guidance"
    order: ClassVar[int] = 5
    guidance: Annotated[float | None, "Above 1 keeps closer to what is told; takes longer."] = None

    def __post_init__(self) -> None:
        if self.guidance is not None and not 0 <= self.guidance < float("inf"):
            raise ValueError("must be 0 or more")

    @property
    def needs_unconditional(self) -> bool:
        return self.guidance not in (None, 1.0)

    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        if self.guidance is None:
            return cond_logits
        return cond_logits + (self.guidance - 1) * (cond_logits - uncond_logits)


@dataclass(frozen=True)
class Temperature(Sampler):
    """Divides the logits: below 1 is safer, above 1 is wilder."""

    name: ClassVar[str] = "temperature"
    order: ClassVar[int] = 10
    temperature: Annotated[float | None, "Below 1 is safer, above 1 is wilder."] = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0.001 <= self.temperature < float("inf"):
            raise ValueError("must be 0.001 or more (for the likeliest token use --greedy)")

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits if self.temperature is None else logits / self.temperature


@dataclass(frozen=True)
class TopK(Sampler):
    """Keeps the k likeliest tokens (Fan et al. 2018)."""

    name: ClassVar[str] = "top-k"
    order: ClassVar[int] = 20
    top_k: Annotated[int | None, "Keep only the k likeliest tokens."] = None

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ValueError("must be 1 or more")

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.top_k is None:
            return logits
        k = min(self.top_k, logits.shape[-1])
        least = logits.topk(k, dim=-1).values[:, -1:]
        return logits.masked_fill(logits < least, float("-inf"))


@dataclass(frozen=True)
class TopP(Sampler):
    """Keeps the likeliest tokens that together have probability p (Holtzman et al. 2020)."""

    name: ClassVar[str] = "top-p"
    order: ClassVar[int] = 30
    top_p: Annotated[float | None, "Keep the likeliest tokens that make up this share."] = None

    def __post_init__(self) -> None:
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError("must be more than 0 and at most 1")

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.top_p is None:
            return logits
        ordered, places = logits.sort(dim=-1, descending=True, stable=True)
        shares = ordered.softmax(dim=-1)
        before = shares.cumsum(dim=-1) - shares
        ordered = ordered.masked_fill(before >= self.top_p, float("-inf"))
        return logits.scatter(-1, places, ordered)


@dataclass(frozen=True)
class MinP(Sampler):
    """Keeps tokens at least p times as likely as the likeliest (Nguyen et al. 2024)."""

    name: ClassVar[str] = "min-p"
    order: ClassVar[int] = 40
    min_p: Annotated[float | None, "Drop tokens under this share of the likeliest one's."] = None

    def __post_init__(self) -> None:
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError("must be from 0 to 1")

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        if self.min_p is None:
            return logits
        shares = logits.softmax(dim=-1)
        least = shares.amax(dim=-1, keepdim=True) * self.min_p
        return logits.masked_fill(shares < least, float("-inf"))


@dataclass(frozen=True)
class Greedy(Sampler):
    """Always the likeliest token; of equals, the one with the lowest number."""

    name: ClassVar[str] = "greedy"
    order: ClassVar[int] = 90
    greedy: Annotated[bool | None, "Always the likeliest token."] = None

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        import torch

        if not self.greedy:
            return logits
        best = logits.argmax(dim=-1, keepdim=True)
        return torch.full_like(logits, float("-inf")).scatter(-1, best, 0.0)


@hookimpl
def jukebox_samplers() -> list[type[Sampler]]:
    return [Guidance, Temperature, TopK, TopP, MinP, Greedy]
