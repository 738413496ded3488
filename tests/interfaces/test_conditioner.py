"""The defaults of a conditioner."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import pytest
from torch import nn

from jukebox_cli.interfaces.command_options import CommandOptions
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window


@dataclass(frozen=True)
class Mood(Conditioner):
    """Defines no more than it must."""

    name: ClassVar[str] = "mood"
    names: tuple[str, ...] = ("calm",)

    @dataclass(frozen=True)
    class Input:
        mood: Annotated[str | None, "How it feels."] = None

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {}

    def module(self, shape: PriorShape) -> nn.Module:
        return nn.Identity()


def test_inputs_are_stored_as_they_are() -> None:
    inputs = {"mood": "calm"}
    values = Mood().read(inputs, Path())
    assert values == inputs
    assert values is not inputs


def test_nothing_is_learned_from_songs() -> None:
    mood = Mood(("glad",))
    assert mood.fit([{"mood": "sad"}]) == mood


def test_songs_are_not_augmented() -> None:
    song = {"mood": "calm"}
    assert Mood().augment(song, np.random.default_rng(0)) is song


def test_there_are_no_known_words() -> None:
    assert Mood().vocabulary() == {}


def test_values_are_described_by_the_names_of_inputs() -> None:
    assert Mood().describe({"mood": "calm", "genre": ["rock"]}) == {"mood": "calm"}
    assert Mood().describe({}) == {}


def test_values_become_options_again() -> None:
    assert Mood().to_options({"mood": "calm"}) == CommandOptions((("--mood", "calm"),))


def test_a_conditioner_must_encode_and_have_a_network() -> None:
    class Half(Mood):
        encode = Conditioner.encode

    with pytest.raises(TypeError, match="abstract"):
        Half()


def test_there_is_no_timed_text() -> None:
    assert Mood().timed_text({"mood": "calm"}, Path("run"), 0) is None
