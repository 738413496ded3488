"""Hooks, commands, options and presets are documented, and the pages are correct about them."""

from __future__ import annotations

import inspect
import re
import shlex
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

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
HOOKS = [name for name in dir(hooks) if name.startswith("jukebox_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    arguments = ", ".join(inspect.signature(getattr(hooks, hook)).parameters)
    assert any(f"{hook}({arguments})" in page.read_text(encoding="utf-8") for page in PAGES)
    assert inspect.getdoc(getattr(hooks, hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_named_by_a_test(hook: str) -> None:
    others = (p for p in (ROOT / "tests").rglob("test_*.py") if p != Path(__file__))
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
    assert parameter.help


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_loads_as_what_it_is(name: str) -> None:
    path = find_preset(name)
    kind: type[Any] = ModelConfig if "vqvae" in read_yaml(path) else SongPreset
    preset = load_config(kind, path)
    assert preset.description.endswith(".")
    assert read_text(path).startswith("format: 2\n")


@pytest.mark.parametrize(
    "name", [n for n in preset_names() if "vqvae" not in read_yaml(find_preset(n))]
)
def test_a_song_preset_has_only_known_conditions_and_options(name: str) -> None:
    registry = load_installed(pytest.fail)
    preset = load_config(SongPreset, find_preset(name))
    from jukebox_cli.audio.manifest import read_conditions

    assert read_conditions(registry, preset.song, find_preset(name).parent)
    for options in preset.sampling.options:
        registry.make_samplers(options)


def command_lines(text: str) -> list[list[str]]:
    """The commands in the code of a page: the words after `jukebox`, without the comment."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks += re.findall(r"^ {4}.*$", text, re.MULTILINE)
    blocks += re.findall(r"`(jukebox .+?)`", text)
    code = "\n".join(blocks).replace("\\\n", " ")
    found = re.findall(r"^\s*jukebox ([a-z].*)$", code, re.MULTILINE)
    return [shlex.split(re.split(r"&&|\||>", line)[0], comments=True) for line in found]


LINES = [
    pytest.param(words, id=f"{page.relative_to(ROOT)}: {' '.join(words)}")
    for page in PAGES
    if "plugin" not in page.parent.name and page.name != "plugins.md"  # they add commands
    for words in command_lines(page.read_text(encoding="utf-8"))
]


def test_there_are_commands_in_the_pages() -> None:
    assert len(LINES) > 20


@pytest.mark.parametrize("words", LINES)
def test_a_command_in_a_page_exists_and_has_its_options(words: list[str]) -> None:
    name = "jukebox"
    while words and f"{name} {words[0]}" in COMMANDS:
        name = f"{name} {words.pop(0)}"
    assert name != "jukebox"
    assert not hasattr(COMMANDS[name], "commands") or not words
    known = {o for p in COMMANDS[name].params for o in (*p.opts, *p.secondary_opts)}
    options = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert options - {"--help"} <= known


def test_the_readme_shows_the_six_commands() -> None:
    lines = command_lines((ROOT / "README.md").read_text(encoding="utf-8"))
    six = {"generate", "continue", "upsample", "decode", "tokenize", "train"}
    assert six <= {words[0] for words in lines}
