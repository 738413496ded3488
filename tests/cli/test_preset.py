"""`jukebox preset list` and `jukebox preset show`."""

from __future__ import annotations

import json
from pathlib import Path

from jukebox_cli.config.yaml_files import read_yaml
from support.command_line import Jukebox, stdout_of


def test_preset_list_and_show(jukebox: Jukebox) -> None:
    about = json.loads(stdout_of(jukebox("preset", "list", "--json")))["presets"]
    assert [line.split()[0] for line in stdout_of(jukebox("preset", "list")).splitlines()] == [
        *about
    ]
    for name in about:
        text = stdout_of(jukebox("preset", "show", name))
        assert text == stdout_of(jukebox("preset", "show", f"{name}.yaml"))
        assert about[name] in text


def test_a_copy_of_a_preset_finds_its_files(here: Path, jukebox: Jukebox) -> None:
    (here / "my.yaml").write_text(stdout_of(jukebox("preset", "show", "rock")))
    song = read_yaml(here / "my.yaml")["song"]
    assert Path(song["midi"]).is_file()
    assert song["genre"] == "rock"
