"""What presets and models say, as frozen dataclasses, and how YAML is read into them.

A mistake in a file is reported with the file, the line and the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any, ClassVar

FORMAT = 2


Options = dict[str, Any]


#: What a layer of a prior can attend to; see `transformer`.
ATTENTION_PATTERNS = ("row", "column", "previous", "dense", "cross_attention", "prefix")


@dataclass(frozen=True)
class VQVAEConfig:
    """The autoencoders. `strides[l]` are the strides level l adds to the level below it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    sample_rate: int = 44100
    strides: tuple[tuple[int, ...], ...] = ((2, 2, 2), (2, 2), (2, 2))
    codebook_size: int = 2048
    embedding_dim: int = 64
    widths: tuple[int, ...] = (64, 32, 32)  # channels of the convolutions, per level
    depths: tuple[int, ...] = (8, 4, 4)  # residual blocks after each stride, per level
    dilation_growth_rate: int = 3
    dilation_cycle: int | None = None
    hidden_ratio: float = 1.0

    @cached_property
    def hop_lengths(self) -> tuple[int, ...]:
        """Audio samples per token, per level."""
        return tuple(accumulate((prod(s) for s in self.strides), lambda a, b: a * b))

    @property
    def num_levels(self) -> int:
        return len(self.strides)

    def __post_init__(self) -> None:
        if not len(self.strides) == len(self.widths) == len(self.depths):
            raise ValueError("strides, widths and depths must name equally many levels")
        if any(stride < 2 or stride % 2 for level in self.strides for stride in level):
            raise ValueError("strides must be even numbers from 2 on")
        if not 1 <= self.codebook_size <= 65536:
            raise ValueError(f"bins must be from 1 to 65536, not {self.codebook_size}")
        if min(self.sample_rate, self.embedding_dim, *self.widths, *self.depths) < 1:
            raise ValueError("sample_rate, embed, widths and depths must be 1 or more")


@dataclass(frozen=True)
class UpsamplerConditionerConfig:
    """The network an upsampler reads the codes of the level above with (paper, section 4.2)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    embedding_dim: int | None = None  # channels of its embedding; those of the prior if not given
    width: int = 64
    depth: int = 4
    dilation_growth_rate: int = 3
    dilation_cycle: int | None = None
    hidden_ratio: float = 1.0
    residual_scale: bool = True  # residual branches are divided by the root of the depth


@dataclass(frozen=True)
class PriorConfig:
    """One transformer. `patterns` is repeated until `depth` layers have one each."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    context_length: int = 8192
    width: int = 1920
    depth: int = 72
    heads: int = 1
    rows: int = 128  # rows that prefix and frames are laid out in
    prefix_length: int = 0  # positions before the frames, for what a conditioner writes there
    attention_patterns: tuple[str, ...] = ("row", "column", "previous")
    attention_ratio: float = 0.25  # width of queries, keys and values over the model's width
    mlp_ratio: float = 1.0  # width of the hidden layer over the model's width
    residual_scale: bool = False  # residual branches are divided by the depth
    residual_scale_depth: int | None = None  # or by this, where layers were added later
    final_norm: bool = True  # a layer norm before the output layer
    tie_embeddings: bool = (
        True  # the output layer is the token embedding, and sees the frames once more
    )
    conditioners: dict[str, Options] = field(default_factory=dict)
    # which of the conditioners came when it was trained already, and with them
    added_conditioners: tuple[str, ...] = ()
    zero_projections: tuple[str, ...] = ()  # matrices that lead what these make into the prior
    added_layers: tuple[int, ...] = ()  # layers that look at what these make
    upsampler_conditioner: UpsamplerConditionerConfig = UpsamplerConditionerConfig()

    def __post_init__(self) -> None:
        strangers = [p for p in self.attention_patterns if p not in ATTENTION_PATTERNS]
        if strangers or not self.attention_patterns:
            known, said = ", ".join(ATTENTION_PATTERNS), ", ".join(strangers) or "none"
            raise ValueError(f"patterns are {known}, not {said}")
        if min(self.context_length, self.width, self.depth, self.heads, self.rows) < 1:
            raise ValueError("frames, width, depth, heads and blocks must be 1 or more")
        if self.prefix_length < 0:
            raise ValueError(f"prefix must be 0 or more, not {self.prefix_length}")
        if (self.prefix_length + self.context_length) % self.rows:
            what = f"prefix and frames ({self.prefix_length + self.context_length} together)"
            what = what if self.prefix_length else f"frames ({self.context_length})"
            raise ValueError(f"{what} must be a multiple of blocks ({self.rows})")
        if int(self.attention_ratio * self.width) % self.heads:
            raise ValueError(f"attention * width must be a multiple of heads ({self.heads})")
        if strangers := [
            name
            for name in (*self.added_conditioners, *self.zero_projections)
            if name not in self.conditioners
        ]:
            raise ValueError(f"added are conditioners, and '{strangers[0]}' is not among them")
        if not set(self.added_layers) <= set(range(self.depth)):
            raise ValueError(f"added_layers are from 0 to {self.depth - 1}")


@dataclass(frozen=True)
class SamplingConfig:
    """How a model is best sampled, level 0 first: hop of the windows as a fraction, and knobs of
    the samplers."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    hop_fraction: tuple[float, ...] = ()
    options: tuple[Options, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """A whole model; level 0 first, the top level last."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    description: str = ""
    vqvae: VQVAEConfig = VQVAEConfig()
    priors: tuple[PriorConfig, ...] = ()
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        validate_format(self.format)
        if len(self.priors) > self.vqvae.num_levels:
            raise ValueError(
                f"there are {len(self.priors)} priors for {self.vqvae.num_levels} levels of strides"
            )
        ratios = map(prod, self.vqvae.strides[1:])
        for level, (prior, ratio) in enumerate(zip(self.priors, ratios, strict=False)):
            if prior.context_length % ratio:
                what = f"its tokens per token of level {level + 1}"
                raise ValueError(f"frames of level {level} must be a multiple of {ratio}, {what}")


@dataclass(frozen=True)
class SongPreset:
    """What `generate --preset` reads: everything a flag can say, so flags override it."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    description: str = ""
    model: str | None = None
    model_source: str = ""  # the command that brings in the model, shown where it is missing
    seconds: float | None = None
    items: int | None = None
    seed: int | None = None
    song: dict[str, Any] = field(default_factory=dict)
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        validate_format(self.format)


def validate_format(number: int) -> None:
    if number != FORMAT:
        raise ValueError(f"format {number} is not known here, only format {FORMAT}")
