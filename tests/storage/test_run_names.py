"""Files with strange names in a run's folders are left alone, and said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.storage.run_names import (
    item_files,
    item_number,
    level_folders,
    level_number,
    token_files,
)

STRANGE = ("item-00 (conflicted copy).json", "item-01.json.orig", "._item-00.json")


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *[("item-00", 0), ("item-07", 7), ("item-100", 100)],
        *[("item-7", None), ("item-007", None), ("item--1", None), ("item-٣٣", None)],
        *[("item-00 (1)", None), ("item-9999999999", None), ("item-00\n", None)],
    ],
)
def test_a_name_is_that_of_an_item_only_as_it_is_written(name: str, number: int | None) -> None:
    assert item_number(name) == number


def test_files_of_items_are_found_and_others_said_once(tmp_path: Path) -> None:
    own = (
        "item-10.json",
        "item-02.json",
        ".item-02.json.part",
        ".lock",
        ".item-02.lock",
        ".item-02.holder",
    )
    touch(tmp_path, *own, *STRANGE, "notes.txt")
    with pytest.warns(InputWarning) as caught:
        assert list(item_files(tmp_path, ".json")) == [2, 10]
    (warning,) = caught
    names = "._item-00.json, item-00 (conflicted copy).json, item-01.json.orig and 1 more"
    expected = f"{tmp_path} holds what is not the run's, and is left alone: {names}"
    assert str(warning.message) == expected


def test_nothing_is_said_of_a_folder_with_own_files(tmp_path: Path) -> None:
    touch(tmp_path, "item-00.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        item_files(tmp_path, ".json")
        assert item_files(tmp_path / "missing", ".json") == {}


def test_token_files_are_those_of_items_and_slices(tmp_path: Path) -> None:
    own = ["item-00-segment-0-seam-01.safetensors", "item-00.safetensors"]
    touch(tmp_path, *own, "item-00 (1).safetensors", "item-00.json", "item-00-x.safetensors")
    assert [path.name for path in token_files(tmp_path)] == own


def test_folders_of_levels_are_found(tmp_path: Path) -> None:
    for name in ("level-1", "level-0", "level-x", "level-0 (copy)", "level-01"):
        (tmp_path / name).mkdir()
    assert list(level_folders(tmp_path)) == [0, 1]
    assert level_number("level-12") == 12
