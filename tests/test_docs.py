"""What must be written down is written down, and is so."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from jukebox_cli.cli import build_app
from jukebox_cli.config.presets import find_preset, preset_names
from jukebox_cli.config.schema import ModelConfig, SongPreset
from jukebox_cli.config.yaml_files import load_config, read_text, read_yaml
from jukebox_cli.interfaces import hooks
from jukebox_cli.registry import load_installed
from support.paths import ROOT

HOOKS = [name for name in dir(hooks) if name.startswith("jukebox_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hooks, hook)).parameters)
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("CONTRIBUTING.md", "README.md")]
    assert any(f"{hook}({arguments})" in text for text in texts)
    assert inspect.getdoc(getattr(hooks, hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_named_by_a_test(hook: str) -> None:
    others = (p for p in Path(__file__).parent.glob("test_*.py") if p != Path(__file__))
    assert any(hook in path.read_text(encoding="utf-8") for path in others)


def commands(group: Any, name: str = "jukebox") -> Iterator[tuple[str, Any]]:
    yield name, group
    for word, command in getattr(group, "commands", {}).items():
        yield from commands(command, f"{name} {word}")


COMMANDS = dict(commands(typer.main.get_command(build_app(load_installed(pytest.fail)))))
PARAMETERS = [(name, p) for name, command in COMMANDS.items() for p in command.params]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_in_a_sentence(name: str) -> None:
    text = COMMANDS[name].help
    assert re.match(r"[A-Z].*\.$", inspect.cleandoc(text).partition("\n")[0])


@pytest.mark.parametrize(
    ("command", "parameter"), PARAMETERS, ids=[f"{name} {p.name}" for name, p in PARAMETERS]
)
def test_a_flag_has_help(command: str, parameter: Any) -> None:
    named = parameter.param_type_name == "argument" and parameter.metavar == "NAME"
    assert named or parameter.help


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_as_what_it_is(name: str) -> None:
    path = find_preset(name)
    kind = ModelConfig if "vqvae" in read_yaml(path) else SongPreset
    preset = load_config(kind, path)
    assert preset.description.endswith(".")
    assert read_text(path).startswith("format: 1\n")


@pytest.mark.parametrize(
    "name", [n for n in preset_names() if "vqvae" not in read_yaml(find_preset(n))]
)
def test_a_song_preset_asks_only_for_what_can_be_said(name: str) -> None:
    registry = load_installed(pytest.fail)
    preset = load_config(SongPreset, find_preset(name))
    from jukebox_cli.audio.manifest import read_conditions

    assert read_conditions(registry, preset.song, find_preset(name).parent)
    for knobs in preset.sampling.options:
        registry.make_samplers(knobs)


def test_every_command_of_the_readme_is_one() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.findall(r"^jukebox ([a-z]+)", text, re.MULTILINE)
    assert said
    assert {f"jukebox {word}" for word in said} <= set(COMMANDS)
