"""Files that were found whole are remembered until they change."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from jukebox_cli.storage.verified import (
    cache_folder,
    is_settled,
    is_verified,
    remember_verified,
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("content")
    return path


def test_a_file_is_remembered_until_it_changes(file: Path) -> None:
    assert not is_verified(file)
    remember_verified(file)
    assert is_verified(file)
    os.utime(file, ns=(0, 0))
    assert not is_verified(file)
    remember_verified(file)
    file.write_text("longer content")
    assert not is_verified(file)


def test_several_files_are_remembered_together(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    remember_verified(file, other)
    assert is_verified(file, other)
    assert not is_verified(file)
    other.write_text("x")
    assert not is_verified(file, other)


def test_the_record_of_a_file_is_replaced(file: Path, cache: Path) -> None:
    for content in ("a", "bb", "ccc"):
        file.write_text(content)
        remember_verified(file)
    assert len(list((cache / "jukebox" / "verified").iterdir())) == 1


def test_without_a_cache_folder_nothing_is_remembered(file: Path, cache: Path) -> None:
    cache.write_text("a file in its place")
    remember_verified(file)
    assert not is_verified(file)


def test_a_file_that_is_gone_is_not_verified(file: Path) -> None:
    remember_verified(file)
    file.unlink()
    assert not is_verified(file)
    remember_verified(file)


def test_a_file_that_changed_just_now_is_not_settled(file: Path) -> None:
    assert not is_settled(file)
    os.utime(file, ns=(0, 0))
    assert is_settled(file)


@pytest.mark.parametrize(
    ("platform", "folder"),
    [("linux", ".cache/jukebox"), ("darwin", "Library/Caches/jukebox")],
)
def test_the_cache_folder_is_that_of_the_system(
    platform: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / folder


def test_the_cache_folder_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "win32")
    assert cache_folder() == tmp_path / "jukebox" / "cache"
