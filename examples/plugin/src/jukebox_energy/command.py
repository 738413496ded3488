"""The command: measures songs, and prints the manifest that the conditioner is trained on."""

from __future__ import annotations

import json
from math import log10
from pathlib import Path
from typing import Annotated

import typer

#: Loudness, in dB below full scale, that counts as energy 0 and as energy 1.
QUIET, LOUD = -40.0, -8.0
RATE = 22050


def add(app: typer.Typer) -> None:
    """Puts `jukebox energy` on the app."""

    @app.command()
    def energy(
        audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Sound files.")],
    ) -> None:
        """Measure the energy of songs: prints a manifest for `jukebox tokenize`."""
        rows = [{"audio": str(path.resolve()), "energy": measure(path)} for path in audio]
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


def measure(path: Path) -> float:
    """A file's loudness on a scale from 0 to 1. InputError when it can't be heard."""
    import numpy as np

    from jukebox_cli.audio.io import stream_audio

    squares, samples = 0.0, 0
    for block in stream_audio(path, RATE):
        squares += float(np.square(block, dtype=np.float64).sum())
        samples += len(block)
    decibels = 10 * log10(max(squares / max(samples, 1), 1e-10))
    return round(min(max((decibels - QUIET) / (LOUD - QUIET), 0.0), 1.0), 3)
