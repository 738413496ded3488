"""`jukebox preset list` and `jukebox preset show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.config.presets import find_preset, preset_names
from jukebox_cli.config.yaml_files import read_yaml
from jukebox_cli.registry import load_installed
from support.command_line import Jukebox, stdout_of


def test_list_separates_songs_from_training_recipes(here: Path, jukebox: Jukebox) -> None:
    listed = json.loads(stdout_of(jukebox("preset", "list", "--json")))
    assert set(listed["songs"]) | set(listed["recipes"]) == set(preset_names())
    assert listed["songs"]["rock"] == {
        "description": "A slow rock song with steel guitar, piano and strings."
    }
    assert list(listed["recipes"]) == ["mini-recipe"]
    songs, _, recipes = stdout_of(jukebox("preset", "list")).partition("\n\n")
    assert songs.splitlines()[0] == "songs:"
    assert recipes.splitlines()[0] == "training recipes:"
    assert "\n  rock              A slow rock song" in songs
    assert "\n  mini-recipe       A model" in recipes


def test_list_says_how_to_get_a_missing_model(here: Path, jukebox: Jukebox) -> None:
    command = "jukebox model pull openai/jukebox-1b-lyrics --name openai-1b-lyrics"
    missing = f"needs the model openai-1b-lyrics: {command}"
    songs = json.loads(stdout_of(jukebox("preset", "list", "--json")))["songs"]
    assert songs["openai-1b-lyrics"]["missing"] == missing
    assert f"\n{' ' * 20}{missing}\n" in stdout_of(jukebox("preset", "list"))

    (here / "models" / "openai-1b-lyrics").mkdir()
    (here / "models" / "openai-1b-lyrics" / "config.yaml").touch()
    songs = json.loads(stdout_of(jukebox("preset", "list", "--json")))["songs"]
    assert "missing" not in songs["openai-1b-lyrics"]
    assert "missing" in songs["openai-5b"]


def test_list_says_that_a_plugin_is_missing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUKEBOX_BLOCK", "midi,lyrics")
    app = build_app(load_installed(pytest.fail))
    result = CliRunner().invoke(app, ["preset", "list", "--json"])
    songs = json.loads(result.stdout)["songs"]
    assert songs["rock"]["missing"] == "needs a plugin for midi"
    assert songs["synthwave"]["missing"] == "needs a plugin for midi, lyrics"


def test_show_prints_the_file(jukebox: Jukebox) -> None:
    for name in preset_names():
        text = stdout_of(jukebox("preset", "show", name))
        assert text == stdout_of(jukebox("preset", "show", f"{name}.yaml"))
        assert str(read_yaml(find_preset(name))["description"]) in text


def test_a_copy_of_a_preset_finds_its_files(here: Path, jukebox: Jukebox) -> None:
    (here / "my.yaml").write_text(stdout_of(jukebox("preset", "show", "rock")))
    song = read_yaml(here / "my.yaml")["song"]
    assert Path(song["midi"]).is_file()
    assert song["genre"] == "rock"
