"""Presets are found by path and by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from jukebox_cli.config.presets import find_preset, preset_names
from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.errors import InputError


def test_a_preset_is_found_by_path_and_by_name(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("format: 2\n")
    assert find_preset(str(path)) == path
    assert "mini-recipe" in preset_names()
    assert find_preset("mini-recipe") == find_preset("mini-recipe.yaml")
    assert read_text(find_preset("mini-recipe"))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("mini-recpie", "no preset 'mini-recpie'", "did you mean 'mini-recipe'?"),
        ("mini-recpie.yaml", "no preset file mini-recpie.yaml", "did you mean 'mini-recipe'?"),
        ("", "no preset ''", f"known are: {', '.join(preset_names())}"),
        (
            "missing.yaml",
            "no preset file missing.yaml",
            "check the path, or see `jukebox preset list`",
        ),
        (
            "no/such.yaml",
            "no preset file no/such.yaml",
            "check the path, or see `jukebox preset list`",
        ),
    ],
)
def test_a_missing_preset_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        find_preset(name)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("name", ["dir.yaml", "dir.yaml/", "."])
def test_a_folder_is_not_a_preset(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dir.yaml").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        find_preset(name)
    error = (f"{name} is a folder, not a preset", "name a file in it")
    assert (caught.value.message, caught.value.hint) == error
