"""`jukebox examples list` and `jukebox examples copy`."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.command_line import Jukebox, stdout_of
from support.paths import ROOT
from support.results import Result


def test_list_names_the_examples_with_their_titles(jukebox: Jukebox) -> None:
    titles = json.loads(stdout_of(jukebox("examples", "list", "--json")))["examples"]
    assert titles["job-array"] == "Job arrays: many items, or one song, on many machines"
    lines = stdout_of(jukebox("examples", "list")).splitlines()
    assert lines == [f"{name:16} {title}" for name, title in titles.items()]


@pytest.mark.parametrize("name", ["job-array", "mini", "plugin"])
def test_copy_makes_a_folder_with_all_files(name: str, tmp_path: Path, jukebox: Jukebox) -> None:
    source, target = ROOT / "examples" / name, tmp_path / name
    assert stdout_of(jukebox("examples", "copy", name, tmp_path)) == f"{target}\n"

    def files(folder: Path) -> set[tuple[str, bytes]]:
        found = (path for path in folder.rglob("*") if path.is_file())
        kept = (path for path in found if "__pycache__" not in path.parts)
        return {(str(path.relative_to(folder)), path.read_bytes()) for path in kept}

    assert files(target) == files(source)
    for script in target.glob("*.sh"):
        assert os.access(script, os.X_OK)


def test_copy_goes_into_the_working_folder(
    tmp_path: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert stdout_of(jukebox("examples", "copy", "job-array")) == "job-array\n"
    assert jukebox("examples", "copy", "job-array") == Result(
        2,
        "",
        "error: job-array exists already\n\nhint: remove it, or copy into another folder\n",
    )


def test_a_copy_that_a_full_disk_interrupts_leaves_nothing(
    tmp_path: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy2, count = shutil.copy2, iter(range(2))

    def copy_two_files(source: str, target: str) -> None:
        copy2(source, target)
        if next(count, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copy2", copy_two_files)
    error = f"error: can't write {tmp_path}/new/mini: No space left on device"
    hint = "free some space and run the same command again to resume"
    assert jukebox("examples", "copy", "mini", tmp_path / "new") == Result(
        2, "", f"{error}\n\nhint: {hint}\n"
    )
    assert list((tmp_path / "new").iterdir()) == []
    monkeypatch.undo()
    assert jukebox("examples", "copy", "mini", tmp_path / "new").code == 0


@pytest.mark.slow
def test_the_examples_are_in_the_wheel_with_their_modes(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "examples"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("needs the git repository")
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    words = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*words, "-w", str(tmp_path), str(source)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    for name in tracked:
        name = name.replace("examples/", "jukebox_examples/", 1)
        assert name in packed
        assert not name.endswith(".sh") or packed[name] & 0o100
