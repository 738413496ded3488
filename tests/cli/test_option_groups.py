"""Option groups: dataclasses and plugins' declarations become options of a command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from jukebox_cli.cli.option_groups import PluginOptions, with_option_groups
from jukebox_cli.registry import load_installed


@dataclass(frozen=True)
class Size:
    """A group with a required option, a default, and an option of another name."""

    width: Annotated[int, typer.Option(help="How wide.")]
    depth: Annotated[int, typer.Option("--layers", min=1, help="How deep.")] = 3


def describe(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Argument(help="Its name.")] = "x",
    size: Size,
    plugins: PluginOptions,
    loud: Annotated[bool, typer.Option("--loud", help="Loudly.")] = False,
) -> None:
    """Print all options."""
    values = [name, vars(size), dict(plugins.conditions), dict(plugins.sampler_options), loud]
    print(json.dumps([ctx.info_name, *values]))


def run(words: Sequence[str]) -> Any:
    app = typer.Typer()
    app.command()(with_option_groups(load_installed(pytest.fail))(describe))
    return CliRunner().invoke(app, list(words))


def test_a_command_receives_the_values_of_a_group_as_one_object() -> None:
    result = run(["--width", "8", "y", "--loud"])
    assert json.loads(result.stdout)[1:] == ["y", {"width": 8, "depth": 3}, {}, {}, True]
    result = run(["--width", "8", "--layers", "4"])
    assert json.loads(result.stdout)[2] == {"width": 8, "depth": 4}


def test_plugin_options_without_a_value_are_left_out() -> None:
    result = run(["--width", "8", "--artist", "Ada", "--top-k", "5"])
    assert json.loads(result.stdout)[3:5] == [{"artist": "Ada"}, {"top_k": 5}]


def test_annotations_of_fields_are_checked_like_options() -> None:
    assert "--width" in run([]).stderr  # is required
    assert run(["--width", "8", "--layers", "0"]).exit_code == 2


def test_help_shows_groups_in_the_order_of_the_parameters_and_plugins_in_panels() -> None:
    text = run(["--help"]).stdout
    places = [text.index(word) for word in ("--width", "--layers", "--loud", "--artist", "--top-k")]
    assert places == sorted(places)
    assert "Condition: artist" in text
    assert "Sampling" in text
