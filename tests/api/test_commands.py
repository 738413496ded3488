"""The command line for plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from jukebox_cli.api import InputError, Registry, hookimpl
from jukebox_cli.api.commands import (
    Json,
    Quiet,
    command_group,
    parse_number_list,
    print_note,
    print_result,
    progress,
    validate_out,
)
from jukebox_cli.api.testing import run_command


class Plugin:
    """Adds a command to an existing group, and one to a group of its own."""

    @hookimpl
    def jukebox_commands(self, app: typer.Typer) -> None:
        command_group(app, "model").command("weigh")(weigh)
        command_group(app, "scales", "Scales for models.").command("list")(weigh)


def weigh(
    name: Annotated[str, typer.Argument(help="Model.")], as_json: Json = False, quiet: Quiet = False
) -> None:
    """Weigh a model."""
    with progress(quiet, "grams") as start_progress:
        start_progress("weigh", 0, 3)(3)
    print_note("weighed", quiet)
    print_result({"model": name, "grams": 3}, "3", as_json)


REGISTRY = Registry({"scales": Plugin()})


def test_a_command_is_added_to_an_existing_group() -> None:
    assert "weigh" in run_command(REGISTRY, "model", "--help").stdout
    assert "show" in run_command(REGISTRY, "model", "--help").stdout


def test_a_new_group_has_a_description() -> None:
    assert "Scales for models." in run_command(REGISTRY, "--help").stdout
    assert run_command(REGISTRY, "scales", "list", "mini", "-q").stdout == "3\n"


def test_data_goes_to_stdout_and_messages_to_stderr() -> None:
    result = run_command(REGISTRY, "model", "weigh", "mini", "--json")
    assert json.loads(result.stdout) == {"model": "mini", "grams": 3}
    assert result.stderr == "weigh: 3 grams\nweighed\n"
    assert run_command(REGISTRY, "model", "weigh", "mini", "--quiet").stderr == ""


def test_numbers_are_parsed() -> None:
    assert parse_number_list("4-6,0", "--levels") == (0, 4, 5, 6)
    with pytest.raises(InputError, match="can't read --levels 'x'"):
        parse_number_list("x", "--levels")


def test_a_folder_is_not_called_minus() -> None:
    assert validate_out(Path("run")) == Path("run")
    with pytest.raises(InputError, match="can't write to '-'"):
        validate_out(Path("-"))


def test_without_the_plugin_the_group_is_as_it_was() -> None:
    from jukebox_cli.cli import build_app

    result = CliRunner().invoke(build_app(Registry({})), ["model", "--help"])
    assert "weigh" not in result.stdout
