"""Results of conditioners are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.contract import PluginError
from jukebox_cli.model.condition_inputs import fit_conditioner
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.plugin_calls import (
    encode_song,
    make_module,
    require_same_shapes,
    run_module,
    stack_songs,
)
from support.results import refusal

SHAPE = PriorShape(width=6, context_length=8, hop_length=4, sample_rate=8000)
WINDOW = Window(0, 32, 32)
BATCH = 2


@dataclass(frozen=True)
class Mood(Conditioner):
    name: ClassVar[str] = "mood"

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"mood": np.zeros(3, np.float32)}

    def module(self, shape: PriorShape) -> nn.Module:
        return nn.Identity()


class Network(nn.Module):
    """Returns a value, whatever it is given."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.value = value

    def forward(self, **arrays: Tensor) -> Any:
        return self.value


def problem(returned: object) -> str:
    """What is wrong with a value that a network returns for a batch of two."""
    with pytest.raises(PluginError) as caught:
        run(returned)
    return caught.value.message.removeprefix("plugin 'mood': forward() ")


def run(returned: object, arrays: Mapping[str, Tensor] | None = None) -> Conditioning:
    arrays = {"mood": torch.zeros(BATCH, 3)} if arrays is None else arrays
    return run_module("mood", Network(returned), arrays, SHAPE.context_length, SHAPE.width)


def prefix(**changes: Tensor) -> Conditioning:
    parts = {
        "ids": torch.zeros(2, 4, dtype=torch.int64),
        "embeddings": torch.zeros(9, 6),
        "loss_weights": torch.zeros(4),
    }
    return Conditioning(prefix=Prefix(**{**parts, **changes}))


def test_arrays_are_passed_on() -> None:
    arrays = encode_song(Mood(), {}, WINDOW, SHAPE)
    stacked = stack_songs(Mood(), [arrays, arrays])
    assert {key: array.shape for key, array in stacked.items()} == {"mood": (2, 3)}


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        ([], "a list, not a dict of numpy arrays"),
        ({3: np.zeros(3)}, "a dict with keys that are no names, not a dict of numpy arrays"),
        ({"mood": 3.0}, "a float as 'mood', not a numpy array of numbers"),
        (
            {"mood": np.array(["a"])},
            "an array of dtype <U1 as 'mood', not a numpy array of numbers",
        ),
        (
            {"mood": np.array([None])},
            "an array of dtype object as 'mood', not a numpy array of numbers",
        ),
    ],
)
def test_arrays_that_are_not_numeric_are_refused(
    returned: object, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Mood, "encode", lambda *arguments: returned)
    message, _ = refusal(encode_song, Mood(), {}, WINDOW, SHAPE)
    assert message == f"plugin 'mood': encode() returned {what}"


@pytest.mark.parametrize(
    ("arrays", "what"),
    [
        ({"mode": np.zeros(3)}, "the arrays mode for one window and mood for another"),
        ({}, "the arrays none for one window and mood for another"),
        ({"mood": np.zeros(2)}, "'mood' of shape (2,) for one window and (3,) for another"),
        (
            {"mood": np.zeros(3, int)},
            "'mood' of dtype int64 for one window and float64 for another",
        ),
    ],
)
def test_arrays_are_the_same_for_every_song(arrays: Mapping[str, np.ndarray], what: str) -> None:
    expected = {"mood": np.zeros(3)}
    for call in (
        lambda: require_same_shapes(Mood(), expected, arrays),
        lambda: stack_songs(Mood(), [expected, expected, arrays]),
    ):
        message, _ = refusal(call)
        assert message == f"plugin 'mood': encode() returned {what}"


def test_a_network_must_be_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_module(Mood(), SHAPE), nn.Identity)
    monkeypatch.setattr(Mood, "module", lambda self, shape: nn.Identity)
    message, _ = refusal(make_module, Mood(), SHAPE)
    assert message == "plugin 'mood': module() returned a type, not a torch.nn.Module"


@pytest.mark.parametrize(
    "conditioning",
    [
        Conditioning(),
        Conditioning(start=torch.zeros(2, 6), per_token=torch.zeros(2, 8, 6), loss=torch.zeros(())),
        Conditioning(
            memory=torch.zeros(2, 5, 6),
            memory_mask=torch.zeros(2, 5, dtype=torch.bool),
            query_encoding=torch.zeros(2, 8, 6),
            attention_target=torch.zeros(2, 8, 5),
        ),
        prefix(),
    ],
)
def test_a_valid_conditioning_is_accepted(conditioning: Conditioning) -> None:
    assert run(conditioning) is conditioning


def test_without_arrays_any_batch_fits() -> None:
    conditioning = Conditioning(start=torch.zeros(1, 6))
    assert run(conditioning, {}) is conditioning


@pytest.mark.parametrize(
    ("returned", "what"),
    [
        (torch.zeros(2, 6), "a Tensor, not a Conditioning"),
        (Conditioning(start=torch.zeros(2, 5)), "start of shape (2, 5), not (2, 6)"),
        (Conditioning(start=torch.zeros(6)), "start of shape (6,), not (2, 6)"),
        (Conditioning(start=torch.zeros(1, 6)), "start of shape (1, 6), not (2, 6)"),
        (
            Conditioning(per_token=torch.zeros(2, 7, 6)),
            "per_token of shape (2, 7, 6), not (2, 8, 6)",
        ),
        (Conditioning(memory=torch.zeros(2, 5)), "memory of shape (2, 5), not (2, S, 6)"),
        (Conditioning(memory=torch.zeros(2, 5, 4)), "memory of shape (2, 5, 4), not (2, 5, 6)"),
        (
            Conditioning(memory=torch.zeros(2, 5, 6), memory_mask=torch.ones(2, 4).bool()),
            "memory_mask of shape (2, 4), not (2, 5)",
        ),
        (
            Conditioning(memory=torch.zeros(2, 5, 6), attention_target=torch.ones(2, 5, 8)),
            "attention_target of shape (2, 5, 8), not (2, 8, 5)",
        ),
        (Conditioning(loss=torch.zeros(2)), "loss of shape (2,), not ()"),
        (
            prefix(ids=torch.zeros(4, dtype=torch.int64)),
            "prefix.ids of shape (4,), not (2, P)",
        ),
        (
            prefix(embeddings=torch.zeros(9, 4)),
            "prefix.embeddings of shape (9, 4), not (V, 6)",
        ),
        (
            prefix(loss_weights=torch.zeros(3)),
            "prefix.loss_weights of shape (3,), not (4,)",
        ),
    ],
)
def test_a_conditioning_that_does_not_fit_is_reported(returned: object, what: str) -> None:
    assert problem(returned) == f"returned {what}"


# fitting


def test_fitting_must_return_the_conditioner(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_conditioner(Mood(), []) == Mood()
    monkeypatch.setattr(Mood, "fit", lambda self, songs: None)
    message, _ = refusal(fit_conditioner, Mood(), [])
    assert message == "plugin 'mood': fit() returned NoneType, not Mood"


def test_an_error_in_fitting_names_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(self: Mood, songs: Sequence[Song]) -> Mood:
        raise KeyError("mood")

    monkeypatch.setattr(Mood, "fit", fit)
    message, _ = refusal(fit_conditioner, Mood(), [{}])
    assert message == "plugin 'mood': fit() raised KeyError: 'mood'"
