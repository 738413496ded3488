"""The attention patterns of layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from jukebox_plugins.openai.attention_patterns import attention_patterns

from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from support import originals
from support.imported import import_checkpoints
from support.originals import SINGLE, TOP
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (0, "d" * 12),
        (1, "rcrcrcrc"),
        (2, "rcprcp"),
        (6, "rcpmrcpm"),
        (7, "rcprcprcprcprcpmrcp"),
        (8, "rcprcprcpmrcprcprcpmrcp"),
        (9, "rcpdrcpd"),
        (10, "rcprcprcp" + "rcprcprcpm" * 7 + "rcp"),
        (11, "rcprcprcprcprcpm" + "cprcprcprcprcprm" + "prcprcprcprcprcd" + "rcp"),
        (12, "rcprcprcprcprcpx" + "cprcprcprcprcprx" + "prcprcprcprcprcd" + "rcp"),
    ],
)
def test_patterns_of_each_order(order: int, expected: str) -> None:
    """r row, c column, p previous row, d dense, m memory, x prefix."""
    names = {"x": "prefix", "r": "row", "c": "column", "p": "previous", "d": "dense"}
    names["m"] = "cross_attention"
    found = attention_patterns(order, len(expected))
    layers = [found[n % len(found)] for n in range(len(expected))]
    assert layers == [names[letter] for letter in expected]


@pytest.mark.parametrize("order", [0, 1, 2, 6, 7, 8, 9, 10, 11, 12])
def test_every_order_makes_a_prior(order: int, here: Path, registry: Registry) -> None:
    """Those whose layers attend to lyrics with an encoder, the last in one sequence with them."""
    top = {**(SINGLE if order == 12 else TOP), "attn_order": order, "prior_depth": 33}
    model = import_checkpoints(originals.write(here / "checkpoints", top), registry)
    prior = load_prior(model, 2, registry, torch.device("cpu"))
    kinds, repeated = (
        [b.attention.pattern for b in prior.transformer.layer_list()],
        patterns_of(order),
    )
    assert kinds == [repeated[n % len(repeated)] for n in range(33)]


def patterns_of(order: int) -> tuple[str, ...]:
    return attention_patterns(order, 33)
