"""The options that commands share."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.cli.options import ComputeOptions, OutputOptions, RequestOptions, validate_out
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import build_request
from support.results import refusal


@pytest.fixture(scope="module")
def commands(registry: Registry) -> dict[str, Any]:
    """The commands of the top level, by name."""
    group: Any = typer.main.get_command(build_app(registry))
    return dict(group.commands)


def option(command: Any, name: str) -> Any:
    return next(p for p in command.params if name in p.opts)


@pytest.mark.parametrize("command", ["generate", "continue", "upsample"])
@pytest.mark.parametrize(("name", "group"), [("--batch", ComputeOptions), ("-q", OutputOptions)])
def test_a_shared_option_is_the_same_everywhere(
    command: str, name: str, group: type, commands: dict[str, Any]
) -> None:
    found, first = option(commands[command], name), option(commands["generate"], name)
    assert found.name in {field.name for field in fields(group)}
    assert (found.help, found.default) == (first.help, first.default)


@pytest.mark.parametrize("name", ["--items", "--only"])
def test_items_and_only_have_one_help_text_everywhere(name: str, commands: dict[str, Any]) -> None:
    helps = {p.help for c in commands.values() for p in c.params if name in p.opts}
    assert len(helps) == 1


def test_commands_that_work_on_items_take_only(commands: dict[str, Any]) -> None:
    takers = {name for name, c in commands.items() for p in c.params if "--only" in p.opts}
    assert takers == {"generate", "plan", "continue", "upsample", "decode", "report", "align"}


def test_the_words_of_options_are_those_of_the_field(registry: Registry) -> None:
    app: Any = typer.main.get_command(build_app(registry))
    train = app.commands["train"].commands
    assert option(train["vqvae"], "--mel-weight").help.endswith("0.2, or 1 with --adversarial.")
    assert option(train["prior"], "--learning-rate").default == 6e-4
    assert option(train["prior"], "--cross-attention-layers").default == 1


def test_a_request_without_options_is_empty() -> None:
    assert set(vars(RequestOptions()).values()) == {None}


def test_out_is_a_path_and_never_stdout() -> None:
    assert validate_out(None) is None
    assert validate_out(Path("runs/-")) == Path("runs/-")
    hint = "name a folder or file, such as --out runs/song"
    assert refusal(validate_out, Path("-")) == ("can't write to '-'", hint)


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        (
            "generate",
            [
                "[default: (runs/NAME, after the preset or the conditions)]",
                "[default: (the preset's, or 20)]",
                "[default: (the preset's, or 1)]",
                "[default: (the preset's, or 0)]",
                "Only these items: a list of numbers, such as 0,2,4-7.",
            ],
        ),
        (
            "continue",
            [
                "Folder for the new run: a copy of RUN, or that of --audio, which needs one.",
                "[default: (the RUN's; with --audio the preset's, or 0)]",
            ],
        ),
    ],
)
def test_the_help_says_the_defaults(
    command: str, texts: list[str], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = CliRunner().invoke(build_app(registry), [command, "--help"]).stdout
    words = " ".join(text.replace("│", " ").split())
    assert [each for each in texts if each not in words] == []


def test_the_defaults_in_the_help_are_those_of_a_request(registry: Registry) -> None:
    request = build_request(registry, None, [], conditions={}, sampler_options={})
    assert (request.seconds, request.items, request.seed) == (20.0, (0,), 0)
