"""Files in the API."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from jukebox_cli.api import InputError
from jukebox_cli.api.files import atomic_write, corruption_errors, read_json, write_text


def test_a_file_is_written_completely_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    write_text(path, "one")
    with suppress(RuntimeError), atomic_write(path) as part:
        part.write_text("tw")
        raise RuntimeError
    assert path.read_text() == "one"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_damaged_files_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    with pytest.raises(InputError, match="is damaged: KeyError: 'b'"), corruption_errors(path):
        read_json(path)["b"]
