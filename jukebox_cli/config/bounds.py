"""Bounds of the numbers in configs: beyond them lies no model, but a damaged or hostile file that
would take all memory. A ValueError raised here is shown with the file, the line and the key."""

from __future__ import annotations

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


def require_dilation(growth_rate: int, cycle: int | None, depth: int) -> None:
    """Raises ValueError for residual blocks whose dilation can't be."""
    require_between("dilation_growth_rate", growth_rate, 1, MAX_DEPTH)
    if cycle is not None:
        require_between("dilation_cycle", cycle, 1, MAX_DEPTH)
    num_steps = min(depth, cycle or depth) - 1
    if growth_rate > 1 and growth_rate ** min(num_steps, 64) > MAX_DILATION:
        raise ValueError(f"dilation_growth_rate {growth_rate} is too large for {depth} blocks")


def _shown(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"
