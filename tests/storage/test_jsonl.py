"""Lines are appended whole or not at all."""

from __future__ import annotations

import errno
import os
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.jsonl import append_jsonl, drop_partial_line
from support.results import refusal


def test_a_line_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    append_jsonl(path, {"a": 1})
    append_jsonl(path, {"b": "ü\u2028"})
    assert path.read_bytes().count(b"\n") == 2
    assert read_jsonl(path) == [{"a": 1}, {"b": "ü\u2028"}]


def test_a_line_takes_the_place_of_one_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    for rest in ('{"b"', "x" * 10_000):
        path.write_text('{"a": 1}\n' + rest)
        append_jsonl(path, {"c": 3})
        assert path.read_text().splitlines() == ['{"a": 1}', '{"c": 3}']


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b": 2}')
    append_jsonl(path, {"c": 3})
    assert path.read_text().splitlines() == ['{"a": 1}', '{"b": 2}', '{"c": 3}']


def test_a_line_that_is_written_in_pieces_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr(Path, "open", lambda path, mode, **more: Slow(path, mode))
    append_jsonl(tmp_path / "log.jsonl", {"a": 1})
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"a": 1}\n'


def test_lines_that_are_read_in_pieces_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FileIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 3, 3))

    path = tmp_path / "log.jsonl"
    append_jsonl(path, {"a": "many characters"})
    monkeypatch.setattr(Path, "open", lambda path, mode, **more: Slow(path, mode))
    append_jsonl(path, {"b": 2})
    assert path.read_bytes() == b'{"a": "many characters"}\n{"b": 2}\n'


def test_a_line_that_can_not_be_written_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    append_jsonl(path, {"a": 1})

    class Full(FileIO):
        def write(self, data: Any) -> int:
            if self.tell() > 10:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data[:3])

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode, **more: Full(path, mode))
        assert refusal(append_jsonl, path, {"b": 2}) == (
            f"can't write {path}: No space left on device",
            "free some space and run the same command again to resume",
        )
    assert path.read_text() == '{"a": 1}\n'


def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    drop_partial_line(path)
    assert path.read_text() == '{"a": 1}\n'
