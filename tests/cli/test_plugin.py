"""`jukebox plugin list`."""

from __future__ import annotations

import json
from types import SimpleNamespace

from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import PluginInfo, Registry
from support.command_line import Jukebox, stdout_of
from support.plugins import Mood, Noise, plugin_of, plugin_with


def test_plugins_are_listed(jukebox: Jukebox) -> None:
    rows = json.loads(stdout_of(jukebox("plugin", "list", "--json")))["plugins"]
    assert {
        "kind": "conditioner",
        "name": "genre",
        "plugin": "genre",
        "package": "jukebox-cli",
        "options": "--genre",
    } in rows
    assert {
        "kind": "sampler",
        "name": "top-k",
        "plugin": "samplers",
        "package": "jukebox-cli",
        "options": "--top-k",
    } in rows
    assert len(stdout_of(jukebox("plugin", "list")).splitlines()) == len(rows) + 1


def test_plugins_with_nothing_but_commands_or_events_are_listed() -> None:
    plugins = {
        "acme": plugin_with(Mood, Noise),
        "menu": plugin_of(jukebox_commands=lambda app: None),
        "watcher": plugin_of(jukebox_event=lambda run: None),
        "both": SimpleNamespace(
            **vars(plugin_of(jukebox_commands=lambda app: None, jukebox_event=lambda run: None))
        ),
    }
    found = [PluginInfo("acme", "acme", "acme-music", "1")]
    result = CliRunner().invoke(build_app(Registry(plugins, found)), ["plugin", "list"])
    assert result.stdout == (
        "kind         name     plugin   package     options\n"
        "conditioner  mood     acme     acme-music  --mood\n"
        "sampler      noise    acme     acme-music  --noise\n"
        "commands     both     both     -\n"
        "commands     menu     menu     -\n"
        "events       both     both     -\n"
        "events       watcher  watcher  -\n"
    )
