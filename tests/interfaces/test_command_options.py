"""Values of conditioners as command-line options, and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
from torch import nn

from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.command_options import (
    CommandOptions,
    command_option,
    default_description,
    default_options,
    first_equivalent,
    options_with_file,
    pluralize,
    read_options,
    summarize,
    unavailable_option,
)
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Values, Window
from jukebox_cli.interfaces.errors import InputError


@dataclass(frozen=True)
class Story(Conditioner):
    """A text, in full or in a file, a number and a switch."""

    name: ClassVar[str] = "story"

    @dataclass(frozen=True)
    class Input:
        story: Annotated[str | None, "What happens."] = None
        story_speed: Annotated[float | None, "How fast."] = None
        quietly: Annotated[bool | None, "Whether it is quiet."] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        values = dict(inputs)
        if str(values.get("story")).endswith(".txt"):
            values["story"] = read_text(folder / values["story"])
        if values.get("story_speed") == 13:
            raise InputError("13 is no speed")
        return values

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {}

    def module(self, shape: PriorShape) -> nn.Module:
        return nn.Identity()


STORY = Story()


@pytest.mark.parametrize(
    ("field", "value", "option"),
    [
        ("top_p", 0.9, ("--top-p", "0.9")),
        ("artist", "Ada Vale", ("--artist", "Ada Vale")),
        ("greedy", True, ("--greedy", None)),
        ("greedy", False, ("--no-greedy", None)),
    ],
)
def test_a_field_is_an_option(field: str, value: object, option: tuple[str, str | None]) -> None:
    assert command_option(field, value) == option


def test_parts_of_a_command_line_are_joined() -> None:
    a = CommandOptions((("--a", "1"),), (("a.txt", b"a"),), ("one",))
    b = CommandOptions((("--b", None),), notes=("two",))
    assert a + b == CommandOptions(
        (("--a", "1"), ("--b", None)), (("a.txt", b"a"),), ("one", "two")
    )


def test_a_song_without_values_has_no_options() -> None:
    """`read` is only called with at least one field."""

    class Strict(Story):
        def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
            return {"story": inputs["story"]}

    assert default_options(Strict(), {"other": 1}) == CommandOptions()


def test_values_are_options() -> None:
    options = default_options(
        STORY, {"story": "a day", "story_speed": 2.5, "quietly": False, "other": 1}
    )
    assert options == CommandOptions(
        (("--story", "a day"), ("--story-speed", "2.5"), ("--no-quietly", None))
    )


def test_a_song_without_values_needs_no_options() -> None:
    assert default_options(STORY, {"other": 1}) == CommandOptions()


@pytest.mark.parametrize("text", ["a day\na night\n", "called day.txt"])
def test_a_text_that_does_not_fit_into_an_option_is_a_file(text: str) -> None:
    options = default_options(STORY, {"story": text, "story_speed": 2.0})
    assert options == CommandOptions(
        (("--story", "story.txt"), ("--story-speed", "2.0")), (("story.txt", text.encode()),)
    )


@pytest.mark.parametrize("song", [{"story": {"day": 1}}, {"story": "a", "story_speed": 13.0}])
def test_values_that_no_option_expresses_are_noted(song: Song) -> None:
    options = default_options(STORY, song)
    assert options.options[0] == ("--story", "story")
    assert options.files == ()
    assert options.notes[0] == (
        "What --story story was read from; the run keeps what was read, but not the file."
    )


def test_an_unavailable_file_has_a_name() -> None:
    assert unavailable_option("midi", "song.mid").options == (("--midi", "song.mid"),)


def test_words_are_a_list_with_commas_if_that_is_read_as_one() -> None:
    class Words(Story):
        def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
            return {"story": inputs["story"].split(",")}

    assert default_options(Words(), {"story": ["a", "b"]}).options == (("--story", "a,b"),)
    assert default_options(Words(), {"story": ["a,b"]}).notes
    assert default_options(STORY, {"story": ["a", "b"]}).notes


def test_the_first_candidate_that_is_read_as_the_values_is_chosen() -> None:
    refused = CommandOptions((("--story-speed", "13"),))
    unreadable = CommandOptions((("--story-speed", "fast"),))
    other, same = (options_with_file("story", text) for text in ("night", "day"))
    candidates = [refused, unreadable, other, same]
    assert first_equivalent(STORY, {"story": "day"}, candidates) == same
    assert first_equivalent(STORY, {"story": "noon"}, candidates) is None


def test_values_that_only_one_side_has_must_be_empty() -> None:
    empty = CommandOptions((("--story", ""),))
    assert first_equivalent(STORY, {}, [empty]) == empty


def test_options_are_read_with_the_types_of_the_fields() -> None:
    command = CommandOptions((("--story-speed", "2"), ("--quietly", None)))
    assert read_options(STORY, command) == {"story_speed": 2.0, "quietly": True}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not given"),
        (True, "yes"),
        (False, "no"),
        (0.25, "0.25"),
        (1e6, "1e+06"),
        (12, "12"),
        ("words", "words"),
        ([], "none"),
        ({}, "none"),
        (["a", 1, None], "a, 1, not given"),
        ([[1], [2]], "2 values"),
        (list(range(13)), "13 values"),
        ({"amount": 0.5, "of": ["a"]}, "amount: 0.5; of: a"),
    ],
)
def test_any_value_is_summarized_in_a_line(value: object, text: str) -> None:
    assert summarize(value) == text


def test_a_description_has_a_line_for_each_field() -> None:
    song = {"story": "a day", "story_speed": 2.5, "other": 1}
    assert default_description(STORY, song) == {"story": "a day", "story speed": "2.5"}


@pytest.mark.parametrize(
    ("count", "words", "text"),
    [
        (1, ("word",), "1 word"),
        (2, ("word",), "2 words"),
        (1000, ("entry", "entries"), "1,000 entries"),
    ],
)
def test_counts_are_pluralized(count: int, words: tuple[str, ...], text: str) -> None:
    assert pluralize(count, *words) == text
