"""The command: measures songs and prints the manifest that the conditioner is trained on."""

from __future__ import annotations

import json
from math import log10
from pathlib import Path
from typing import Annotated

import typer

#: Loudness of energy 0 and of energy 1, in dB below full scale.
QUIET, LOUD = -40.0, -8.0
#: Sample rate at which songs are measured, in Hz.
SAMPLE_RATE = 22050


def add_command(app: typer.Typer) -> None:
    """Add `jukebox energy`."""

    @app.command()
    def energy(
        audio: Annotated[list[Path], typer.Argument(metavar="AUDIO...", help="Audio files.")],
    ) -> None:
        """Measure the energy of songs: prints a manifest for `jukebox tokenize`."""
        rows = [{"audio": str(path.resolve()), "energy": measure_energy(path)} for path in audio]
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))


def measure_energy(path: Path) -> float:
    """The loudness of a file on a scale from 0 to 1. InputError if it is not audio."""
    import numpy as np

    from jukebox_cli.api.audio import stream_audio

    power, num_samples = 0.0, 0
    for block in stream_audio(path, SAMPLE_RATE):
        power += float(np.square(block, dtype=np.float64).sum())
        num_samples += len(block)
    decibels = 10 * log10(max(power / max(num_samples, 1), 1e-10))
    return round(min(max((decibels - QUIET) / (LOUD - QUIET), 0.0), 1.0), 3)
