"""Contents of folders and runs, and sounds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import soundfile

from jukebox_cli.storage.run import Run


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The modification time and the contents of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(p.relative_to(folder)): (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(files)
    }


def tokens(run: Path, level: int, item: int = 0) -> list[int]:
    found = Run(run).read_tokens(level, item)
    return [] if found is None else found.tolist()


def all_tokens(run: Path) -> dict[tuple[int, int], list[int]]:
    """By level and item."""
    return {
        (level, item): tokens(run, level, item)
        for item in Run(run).items()
        for level in Run(run).levels_with_tokens(item)
    }


def flip_bit(path: Path) -> None:
    """Changes the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def edit(path: Path, old: str, new: str) -> None:
    """Replaces a text in a YAML or JSON file of the program as a person does, who makes its
    checksum null."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old} is not in {path}"
    path.write_text(without_checksum(text).replace(old, new), encoding="utf-8")


def without_checksum(text: str) -> str:
    """The text of a YAML or JSON file with null for its checksum."""
    text = re.sub(r"^checksum: '\w+'", "checksum: null", text, flags=re.MULTILINE)
    return re.sub(r'"checksum": "\w+"', '"checksum": null', text)


def chord(seconds: float, sample_rate: int = 8000, channels: int = 1) -> np.ndarray:
    """float32 (N, channels); the channels differ."""
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    waves = [
        sum(np.sin(2 * np.pi * f * (c + 1) * time) for f in (220, 277)) for c in range(channels)
    ]
    return np.stack(waves, axis=1).astype(np.float32) * 0.2


def write_chord(path: Path, seconds: float, sample_rate: int = 8000, channels: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, chord(seconds, sample_rate, channels), sample_rate)
    return path
