"""The contents of presets and of a model's config.yaml, as frozen dataclasses.

`yaml_files` reads them. A ValueError raised here is shown with the file, the line and the key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from math import prod
from typing import Any, ClassVar, NamedTuple

from jukebox_cli.config.bounds import (
    MAX_RATIO,
    require_between,
    require_codec_bounds,
    require_conditioner_bounds,
    require_prior_bounds,
)
from jukebox_cli.config.token_grid import TokenGrid

#: The version of all files that jukebox writes.
FORMAT = 2

#: Values of a conditioner's or of samplers' fields, by name.
Options = dict[str, Any]

#: What a layer of a prior can attend to; see `model.transformer`.
ATTENTION_PATTERNS = ("row", "column", "previous", "dense", "cross_attention", "prefix")

_FORBID_EXTRA: dict[str, str | bool] = {"extra": "forbid", "allow_inf_nan": False}


class FormatError(ValueError):
    """A file of another format than `FORMAT`, with a hint about what to do."""

    def __init__(self, number: int) -> None:
        super().__init__(f"format {number} cannot be read, only format {FORMAT}")
        is_older = isinstance(number, int) and number < FORMAT
        self.hint = (
            "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new keys"
            if is_older
            else "a later version of jukebox may have written it: install that"
        )


def validate_format(number: int) -> None:
    """Raise a FormatError unless this version reads files of format `number`."""
    if number != FORMAT:
        raise FormatError(number)


class DecoderSize(NamedTuple):
    """The size of a decoder: channels of its convolutions, residual blocks at each rate."""

    width: int
    depth: int


@dataclass(frozen=True)
class VQVAEConfig:
    """The autoencoders of a model, one per level (paper, section 3); level 0 is the finest."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # samples per second of the audio, in Hz; recordings are resampled to it
    sample_rate: int = 44100
    # per level, strides of the convolutions that it adds to those of the level below: even numbers;
    # their product up to a level is its hop length
    strides: tuple[tuple[int, ...], ...] = ((2, 2, 2), (2, 2), (2, 2))
    # codes of each level, 1 to 65536
    codebook_size: int = 2048
    # channels of a code
    embedding_dim: int = 64
    # per level, channels of the convolutions
    widths: tuple[int, ...] = (64, 32, 32)
    # per level, residual blocks after each strided convolution
    depths: tuple[int, ...] = (8, 4, 4)
    # factor by which the dilation grows from one residual block to the next
    dilation_growth_rate: int = 3
    # residual blocks after which the dilation starts again at 1; None: it grows throughout
    dilation_cycle: int | None = None
    # channels inside a residual block, as a fraction of the width
    hidden_ratio: float = 1.0
    # per level, channels of the decoder's convolutions; None: as many as the encoder's
    decoder_widths: tuple[int, ...] | None = None
    # per level, residual blocks before each transposed convolution; None: as many as the encoder's
    decoder_depths: tuple[int, ...] | None = None

    @cached_property
    def hop_lengths(self) -> tuple[int, ...]:
        """Audio samples per token, for each level."""
        return tuple(accumulate((prod(s) for s in self.strides), lambda a, b: a * b))

    @property
    def token_grid(self) -> TokenGrid:
        """How the tokens of all levels lie over the audio."""
        return TokenGrid(self.hop_lengths)

    @property
    def num_levels(self) -> int:
        return len(self.strides)

    @property
    def decoder_sizes(self) -> tuple[DecoderSize, ...]:
        """Width and depth of each level's decoder."""
        widths, depths = self.decoder_widths or self.widths, self.decoder_depths or self.depths
        return tuple(map(DecoderSize, widths, depths))

    def with_decoder(self, level: int, size: DecoderSize) -> VQVAEConfig:
        """The same encoders and codebooks, with another decoder at a level."""
        sizes = [size if i == level else each for i, each in enumerate(self.decoder_sizes)]
        widths, depths = (tuple(values) for values in zip(*sizes, strict=True))
        return replace(self, decoder_widths=widths, decoder_depths=depths)

    def without_decoders(self) -> VQVAEConfig:
        """What tokens depend on: the same whatever the decoders are."""
        return replace(self, decoder_widths=None, decoder_depths=None)

    def __post_init__(self) -> None:
        if not len(self.strides) == len(self.widths) == len(self.depths):
            raise ValueError("strides, widths and depths must have an entry for each level")
        decoders = self.decoder_widths or self.widths, self.decoder_depths or self.depths
        if any(len(each) != self.num_levels for each in decoders):
            raise ValueError("decoder_widths and decoder_depths need an entry for each level")
        if any(stride < 2 or stride % 2 for level in self.strides for stride in level):
            raise ValueError("strides must be even numbers, 2 or more")
        if not 1 <= self.codebook_size <= 65536:
            raise ValueError(f"codebook_size must be from 1 to 65536, not {self.codebook_size}")
        if min(self.sample_rate, self.embedding_dim, *self.widths, *self.depths) < 1:
            raise ValueError("sample_rate, embedding_dim, widths and depths must be 1 or more")
        require_codec_bounds(self)


@dataclass(frozen=True)
class UpsamplerConditionerConfig:
    """The network through which an upsampler reads the tokens of the level above (paper, section
    4.2)."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # channels of the embedding of these tokens; None: the width of the prior
    embedding_dim: int | None = None
    # channels of the residual convolutions
    width: int = 64
    # residual blocks
    depth: int = 4
    # factor by which the dilation grows from one residual block to the next
    dilation_growth_rate: int = 3
    # residual blocks after which the dilation starts again at 1; None: it grows throughout
    dilation_cycle: int | None = None
    # channels inside a residual block, as a fraction of the width
    hidden_ratio: float = 1.0
    # whether residual branches are divided by the square root of the depth
    residual_scale: bool = True

    def __post_init__(self) -> None:
        require_conditioner_bounds(self)


@dataclass(frozen=True)
class PriorConfig:
    """The transformer of one level and its conditioners (paper, section 4)."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # tokens that one forward pass sees; a multiple of the tokens per token of the level above
    context_length: int = 8192
    # channels of the transformer
    width: int = 1920
    # layers
    depth: int = 72
    # attention heads of each layer
    heads: int = 1
    # rows of the factored attention: prefix and tokens are laid out in so many rows
    rows: int = 128
    # positions before the tokens that conditioners fill, such as lyrics in a single
    # encoder-decoder; 0: none
    prefix_length: int = 0
    # attention patterns of the layers, repeated until each layer has one
    attention_patterns: tuple[str, ...] = ("row", "column", "previous")
    # width of queries, keys and values of all heads together, as a fraction of the width
    attention_ratio: float = 0.25
    # hidden channels of the feed-forward network, as a multiple of the width
    mlp_ratio: float = 1.0
    # whether residual branches are divided by the depth
    residual_scale: bool = False
    # the number to divide by instead, where layers were added after training; None: the depth
    residual_scale_depth: int | None = None
    # whether there is a layer norm before the output layer
    final_norm: bool = True
    # whether the output layer shares the weights of the token embedding, in which case the
    # per-token conditions are added once more before it
    tie_embeddings: bool = True
    # settings of the conditioners of this level, by name
    conditioners: dict[str, Options] = field(default_factory=dict)
    # those of the conditioners that were added after training
    added_conditioners: tuple[str, ...] = ()
    # those of the added conditioners that go through a zero-initialised projection
    zero_projections: tuple[str, ...] = ()
    # indices of layers added after training, which attend to an added conditioner
    added_layers: tuple[int, ...] = ()
    # the network over the level above; unused at the top level
    upsampler_conditioner: UpsamplerConditionerConfig = UpsamplerConditionerConfig()

    def __post_init__(self) -> None:
        unknown = [p for p in self.attention_patterns if p not in ATTENTION_PATTERNS]
        if unknown or not self.attention_patterns:
            known, got = ", ".join(ATTENTION_PATTERNS), ", ".join(unknown) or "none"
            raise ValueError(f"attention_patterns are {known}, not {got}")
        self._validate_sizes()
        require_prior_bounds(self)
        self._validate_additions()

    def _validate_sizes(self) -> None:
        if min(self.context_length, self.width, self.depth, self.heads, self.rows) < 1:
            raise ValueError("context_length, width, depth, heads and rows must be 1 or more")
        if self.prefix_length < 0:
            raise ValueError(f"prefix_length must be 0 or more, not {self.prefix_length}")
        require_between("attention_ratio", self.attention_ratio, 0, MAX_RATIO)
        total = self.prefix_length + self.context_length
        if total % self.rows:
            what = f"prefix_length + context_length ({total})"
            what = what if self.prefix_length else f"context_length ({total})"
            raise ValueError(f"{what} must be a multiple of rows ({self.rows})")
        if int(self.attention_ratio * self.width) % self.heads:
            raise ValueError(f"attention_ratio * width must be a multiple of heads ({self.heads})")

    def _validate_additions(self) -> None:
        for key in ("added_conditioners", "zero_projections"):
            if unknown := [name for name in getattr(self, key) if name not in self.conditioners]:
                raise ValueError(f"{key}: '{unknown[0]}' is not among the conditioners")
        if not set(self.added_layers) <= set(range(self.depth)):
            raise ValueError(f"added_layers must be from 0 to {self.depth - 1}")


@dataclass(frozen=True)
class SamplingConfig:
    """How a model is sampled. Level 0 comes first; a level without an entry has the defaults."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # per level, how far a window moves, as a fraction of its length; the rest of a window is its
    # prompt
    hop_fraction: tuple[float, ...] = ()
    # per level, fields of the samplers by name, such as {temperature: 0.9}
    options: tuple[Options, ...] = ()


@dataclass(frozen=True)
class ModelConfig:
    """A model: its config.yaml, or a training preset. Level 0 comes first, the top level last."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # version of the file format
    format: int = FORMAT
    # a line for `jukebox model list` and `jukebox preset list`
    description: str = ""
    # the autoencoders
    vqvae: VQVAEConfig = VQVAEConfig()
    # the priors, from level 0; there can be fewer than levels
    priors: tuple[PriorConfig, ...] = ()
    # how the model is sampled, unless a preset or an option says otherwise
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        validate_format(self.format)
        if len(self.priors) > self.vqvae.num_levels:
            levels = f"{self.vqvae.num_levels} levels of strides"
            raise ValueError(f"there are {len(self.priors)} priors for {levels}")
        ratios = map(prod, self.vqvae.strides[1:])
        for level, (prior, ratio) in enumerate(zip(self.priors, ratios, strict=False)):
            if prior.context_length % ratio:
                what = f"context_length of level {level} must be a multiple of {ratio}"
                raise ValueError(f"{what}, its tokens per token of level {level + 1}")


@dataclass(frozen=True)
class SongPreset:
    """A song for `generate --preset`. Every key has an option, which takes precedence."""

    __pydantic_config__: ClassVar[dict[str, str | bool]] = _FORBID_EXTRA
    # version of the file format
    format: int = FORMAT
    # a line for `jukebox preset list`
    description: str = ""
    # name or folder of the model
    model: str | None = None
    # the command that installs the model, shown where it is missing
    model_source: str = ""
    # duration of the audio, in seconds
    seconds: float | None = None
    # number of items
    items: int | None = None
    # seed of the random numbers
    seed: int | None = None
    # inputs of the conditioners by name, such as {genre: rock}; paths are relative to the preset
    song: dict[str, Any] = field(default_factory=dict)
    # how the model is sampled
    sampling: SamplingConfig = SamplingConfig()

    def __post_init__(self) -> None:
        validate_format(self.format)
