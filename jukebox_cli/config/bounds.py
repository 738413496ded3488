"""Bounds of the numbers in configs: beyond them lies no model, but a damaged or hostile file that
would take all memory. A ValueError raised here is shown with the file, the line and the key."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jukebox_cli.config.schema import PriorConfig, UpsamplerConditionerConfig, VQVAEConfig

#: Most levels of a model.
MAX_LEVELS = 16
#: Hz.
MAX_SAMPLE_RATE = 1_000_000
#: Audio samples per token.
MAX_HOP_LENGTH = 2**24
#: Channels of a layer.
MAX_WIDTH = 2**17
#: Layers, or residual blocks.
MAX_DEPTH = 4096
#: Tokens or characters that a prior sees.
MAX_CONTEXT_LENGTH = 2**24
#: A width over another one.
MAX_RATIO = 1024.0
#: Steps between the inputs of a dilated convolution.
MAX_DILATION = 2**30
#: Samples of an item: a million seconds at 96 kHz.
MAX_SAMPLES = 2**37


def require_between(name: str, number: float, low: float, high: float) -> None:
    """Raises ValueError unless `low` <= number <= `high`."""
    if not low <= number <= high:
        raise ValueError(f"{name} must be from {low:g} to {_shown(high)}, not {number:g}")


def require_width(name: str, width: int, ratio: float = 1.0) -> None:
    """Raises ValueError unless `ratio` times `width` is a number of channels."""
    require_between(name, ratio, 0, MAX_RATIO)
    if not 1 <= int(ratio * width) <= MAX_WIDTH:
        raise ValueError(f"{name} must give 1 to {MAX_WIDTH} channels, not {int(ratio * width)}")


def require_dilation(dilation_growth_rate: int, dilation_cycle: int | None, depth: int) -> None:
    """Raises ValueError for residual blocks whose dilation can't be."""
    require_between("dilation_growth_rate", dilation_growth_rate, 1, MAX_DEPTH)
    if dilation_cycle is not None:
        require_between("dilation_cycle", dilation_cycle, 1, MAX_DEPTH)
    num_steps = min(depth, dilation_cycle or depth) - 1
    if dilation_growth_rate > 1 and dilation_growth_rate ** min(num_steps, 64) > MAX_DILATION:
        raise ValueError(
            f"dilation_growth_rate {dilation_growth_rate} is too large for {depth} blocks"
        )


def require_codec_bounds(config: VQVAEConfig) -> None:
    """Raises ValueError for autoencoders that can't be. Lists must have an entry for each level."""
    require_between("levels of strides", len(config.strides), 1, MAX_LEVELS)
    if sum(map(len, config.strides)) > 64 or prod(map(prod, config.strides)) > MAX_HOP_LENGTH:
        raise ValueError(f"strides must have a product of at most {MAX_HOP_LENGTH}")
    require_between("sample_rate", config.sample_rate, 1, MAX_SAMPLE_RATE)
    require_between("embedding_dim", config.embedding_dim, 1, MAX_WIDTH)
    encoders = [("", *size) for size in zip(config.widths, config.depths, strict=True)]
    decoders = [("decoder_", *size) for size in config.decoder_sizes]
    for part, width, depth in encoders + decoders:
        require_between(f"{part}widths", width, 1, MAX_WIDTH)
        require_between(f"{part}depths", depth, 1, MAX_DEPTH)
        require_width("hidden_ratio", width, config.hidden_ratio)
        require_dilation(config.dilation_growth_rate, config.dilation_cycle, depth)


def require_conditioner_bounds(config: UpsamplerConditionerConfig) -> None:
    """Raises ValueError for a network over the level above that can't be."""
    if config.embedding_dim is not None:
        require_between("embedding_dim", config.embedding_dim, 1, MAX_WIDTH)
    require_between("width", config.width, 1, MAX_WIDTH)
    require_between("depth", config.depth, 1, MAX_DEPTH)
    require_width("hidden_ratio", config.width, config.hidden_ratio)
    require_dilation(config.dilation_growth_rate, config.dilation_cycle, config.depth)


def require_prior_bounds(config: PriorConfig) -> None:
    """Raises ValueError for a transformer that can't be."""
    require_between("context_length", config.context_length, 1, MAX_CONTEXT_LENGTH)
    require_between("prefix_length", config.prefix_length, 0, MAX_CONTEXT_LENGTH)
    require_between("width", config.width, 1, MAX_WIDTH)
    require_between("depth", config.depth, 1, MAX_DEPTH)
    require_width("attention_ratio", config.width, config.attention_ratio)
    require_width("mlp_ratio", config.width, config.mlp_ratio)
    if config.residual_scale_depth is not None:
        require_between("residual_scale_depth", config.residual_scale_depth, 1, MAX_DEPTH)


def _shown(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"
