"""Samplers: they turn a prior's logits into the distribution from which a token is drawn.

Samplers are frozen dataclasses, so that their fields are declared once and serve as command-line
options, YAML keys and entries of a run's settings.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class SamplingParameters(NamedTuple):
    """What an engine's own sampling can do, in the order in which it does it.

    The defaults change nothing. See `Sampler.parameters`.
    """

    guidance: float = 1.0  # scale of classifier-free guidance
    temperature: float = 1.0
    top_k: int = 0  # 0: all tokens
    top_p: float = 1.0
    min_p: float = 0.0
    greedy: bool = False


@dataclass(frozen=True)
class Sampler(ABC):
    """Shapes the distribution of the next token; the core draws from it.

    Every field is an option of `generate` and `continue` and a key of `sampling: options:` in
    presets. All fields must default to None: a sampler whose fields are all None is off and is not
    called. Write a field `Annotated[float | None, "help text"] = None`. A ValueError raised in
    `__post_init__` is shown as an error in the option.

    At each position the core

    1. calls `combine` of every active `GuidanceSampler`,
    2. calls `__call__` of every active sampler, in ascending `order`, those of equal order by name.
       The built-in ones have the orders 10 (temperature), 20 (top-k), 30 (top-p), 40 (min-p) and
       90 (greedy),
    3. draws a token from the softmax of the result, with a uniform number that depends only on
       seed, item, level and position.

    A song is the same to the bit for every batch size only if `__call__` keeps the rows of a batch
    apart and depends on nothing but its arguments and the fields.

    Shapes: B items of a batch, V codes of the codebook, followed by the characters of a prefix if
    the prior has one, t tokens before the current one.
    """

    name: ClassVar[str]
    #: Samplers run in ascending order.
    order: ClassVar[int] = 50

    @property
    def parameters(self) -> Mapping[str, float] | None:
        """Fields of `SamplingParameters` that do the same as this sampler, up to rounding.

        If all active samplers have some, an engine may sample many tokens at once without calling
        them, which is much faster. None, the default: the sampler must be called.
        """
        return None

    @abstractmethod
    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        """Logits (B, V) of the same dtype, as they are after this sampler.

        Return a new tensor and leave the arguments unchanged. -inf forbids a token; at least one
        must stay allowed, and NaN or +inf is an error. Must not synchronise with the device
        (`.item()`, `if tensor`, `.cpu()`).

        :param logits: float (B, V), from the samplers before.
        :param history: int64 (B, t), the tokens of this level from the start of the current window
            up to this position, oldest first. They include tokens that were not sampled here: those
            of a recording or of the run that is continued, and the overlap with the window before.
            t goes from 0 at the beginning of a song to `context_length - 1`; tokens before the
            window are not there.
        """


@dataclass(frozen=True)
class GuidanceSampler(Sampler):
    """A sampler that also receives unconditional logits, for classifier-free guidance.

    Guidance samplers run before all others, in ascending `order`. While one is active, every
    position is computed twice, with and without the song's conditions, so sampling takes up to
    twice as long.
    """

    @property
    def needs_unconditional(self) -> bool:
        """Whether this sampler is active. False for values that change nothing, such as a scale of
        1, so that the unconditional logits need not be computed."""
        return True

    @abstractmethod
    def combine(self, cond_logits: Tensor, uncond_logits: Tensor) -> Tensor:
        """Logits (B, V) from those with the song's conditions and those without, each (B, V).

        The same rules as for `__call__` hold. `uncond_logits` stay the same for every guidance
        sampler; `cond_logits` are the result of the one before.
        """

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        return logits
