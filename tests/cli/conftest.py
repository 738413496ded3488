"""Working folders with models and runs, refused commands, and full or read-only disks."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.command_line import SECONDS, SECONDS_OPTION, Jukebox, Refused, stdout_of
from support.disks import Disk, PretendedDisk, SmallDisk, mount
from support.results import Result
from support.run_files import contents, write_chord
from support.tiny_model import TINY, make_tiny


@pytest.fixture
def generate(jukebox: Jukebox, tiny: Model) -> Callable[..., str]:
    """`generate("--out", run)` makes a short run with the tiny model."""

    def run(*words: object) -> str:
        return stdout_of(jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, *words))

    return run


@pytest.fixture
def run(generate: Callable[..., str], tmp_path: Path) -> Path:
    """A complete run of one item."""
    generate("--out", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Model) -> Path:
    """A working folder whose ./models holds the tiny model as `mini`."""
    shutil.copytree(tiny.path, tmp_path / "models" / "mini")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Path:
    """A working folder: models, a complete run, valid and invalid audio files."""
    place = tmp_path_factory.mktemp("template")
    (place / "models").mkdir()
    make_tiny(place / "models" / "tiny", registry)
    make_tiny(
        place / "models" / "other", registry, TINY.replace("codebook_size: 64", "codebook_size: 32")
    )
    for path in (place / "models").glob("*.yaml"):
        path.unlink()
    words = [
        "--model",
        place / "models/tiny",
        *SECONDS_OPTION,
        "--items",
        2,
        "--out",
        place / "run",
    ]
    result = CliRunner().invoke(build_app(registry), ["generate", *map(str, words)])
    assert result.exit_code == 0, result.stderr

    write_chord(place / "tone.wav", 0.5)
    (place / "text.wav").write_text("hello")
    (place / "empty.wav").touch()
    soundfile.write(place / "none.wav", np.zeros(0), 8000)
    soundfile.write(place / "one.wav", np.zeros(1), 8000)
    soundfile.write(place / "one-44.wav", np.zeros(1), 44100)
    soundfile.write(place / "nan.wav", np.full(4000, np.nan, np.float32), 8000, "FLOAT")
    data = write_chord(place / "cut.flac", 0.5).read_bytes()
    (place / "cut.flac").write_bytes(data[: len(data) // 2])
    (place / "music").mkdir()
    return place


@pytest.fixture
def place(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the template, and the working folder."""
    place = Path(shutil.copytree(template, tmp_path / "place"))
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def refused(place: Path, jukebox: Jukebox) -> Refused:
    """Runs a command that must be refused with exactly this error, and change no file."""

    def run(*words: object, error: str, hint: str) -> None:
        before = contents(place)
        result = jukebox(*words)
        assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
        assert contents(place) == before

    return run


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without CUDA and MPS devices."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    if mount(path, "size=256k"):
        yield SmallDisk(path)
        subprocess.run(["umount", str(path)], check=True)
    else:
        with pytest.MonkeyPatch.context() as monkeypatch:
            yield PretendedDisk(path, monkeypatch)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[tuple[Path, str, str]]:
    """A read-only folder, the error of the system, and our hint."""
    path = tmp_path / "locked"
    if mount(path, "ro"):
        yield (
            path,
            "Read-only file system",
            "choose another folder: this one is read-only",
        )
        subprocess.run(["umount", str(path)], check=True)
        return

    def refuse(self: Path, *words: object, **more: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Path, "mkdir", refuse)
        hint = "change its permissions, or choose another folder"
        yield path, "Permission denied", hint
