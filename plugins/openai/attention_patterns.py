"""The attention pattern of each layer, from the original program's `attn_order`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from jukebox_cli.api import InputError

_THREE = ["row", "column", "previous"]

#: The pattern of a layer, by its number.
PatternOfLayer = Callable[[int], str]


def _repeat(patterns: list[str]) -> PatternOfLayer:
    return lambda layer: patterns[layer % len(patterns)]


def _every_sixteenth(patterns: list[str]) -> PatternOfLayer:
    """Row, column and previous in turn; in every sixteenth layer one of three other patterns."""
    return lambda layer: patterns[layer % 3] if layer % 16 == 15 else _THREE[layer % 3]


_ORDERS: dict[int, PatternOfLayer] = {
    0: _repeat(["dense"]),
    1: _repeat(["row", "column"]),
    2: _repeat(_THREE),
    6: _repeat([*_THREE, "cross_attention"]),
    7: _repeat([*_THREE * 5, "cross_attention"]),
    8: _repeat([*_THREE * 3, "cross_attention"]),
    9: _repeat([*_THREE, "dense"]),
    10: _repeat([*_THREE * 3, *[*_THREE * 3, "cross_attention"] * 7]),
    11: _every_sixteenth(["cross_attention", "cross_attention", "dense"]),
    12: _every_sixteenth(["prefix", "prefix", "dense"]),
}


def attention_patterns(attn_order: int, depth: int) -> tuple[str, ...]:
    """The patterns of `depth` layers, as the shortest sequence that repeats.

    :raises InputError: for an order that is not known, or if there are no layers.
    """
    if attn_order not in _ORDERS:
        known = ", ".join(map(str, _ORDERS))
        raise InputError(f"attention order {attn_order} is not known here", f"known are {known}")
    if depth < 1:
        raise InputError("there are no layers", "is it one of Jukebox's?")
    layers = [_ORDERS[attn_order](layer) for layer in range(depth)]
    period = next(p for p in range(1, depth + 1) if all(a == b for a, b in _shifted(layers, p)))
    return tuple(layers[:period])


def _shifted(layers: list[str], period: int) -> Iterator[tuple[str, str]]:
    return zip(layers, layers[period:], strict=False)
