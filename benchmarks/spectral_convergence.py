"""Reconstruction error of each level of the codec: spectral convergence, as in the paper's tables.

    python benchmarks/spectral_convergence.py SONGS... [--model NAME] [--clips 60]

SONGS are recordings, folders of them, or manifests; of a manifest with held-out songs, only these
are measured, in clips of 3 seconds. Lower is better: 0 dB is an error as large as the signal, -20
dB a tenth of it. `jukebox evaluate codec` measures more on the same clips, and other codecs too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from measurements import Row, mean_row, table

from jukebox_cli.audio.manifest import load_recordings
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.evaluation.clips import choose_recordings
from jukebox_cli.evaluation.codec import RESAMPLED, evaluate_codec
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.devices import pick_device
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.model import Model, find_model

CLIP_SECONDS = 3.0
DEFAULT_CLIPS = 60


def spectral_convergence(
    model: Model, registry: Registry, songs: Sequence[Path], clips: int = DEFAULT_CLIPS
) -> list[Row]:
    """For each level, the mean over all clips, with those of the best and the worst clip.

    Raises InputError if all clips are silent.
    """
    print(f"spectral convergence of {clips} clips", file=sys.stderr)
    paths = choose_recordings(load_recordings(registry, songs))
    codec = load_codec(model, pick_device("auto"))
    levels = range(codec.config.num_levels)
    result = evaluate_codec(codec, paths, clips, CLIP_SECONDS, levels, judges={})
    return [
        mean_row(f"spectral convergence, {row.title}", "dB", row.scores["spectral_convergence"])
        for row in result.rows
        if row.title != RESAMPLED
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", nargs="+", type=Path, help="recordings, folders, manifests")
    parser.add_argument("--model", default="mini", help="name or folder of a model")
    parser.add_argument("--clips", type=int, default=DEFAULT_CLIPS, help="clips of 3 seconds")
    args = parser.parse_args()
    try:
        registry = load_installed(lambda message: print(message, file=sys.stderr))
        model = find_model(args.model)
        print(table(spectral_convergence(model, registry, args.songs, args.clips)))
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")


if __name__ == "__main__":
    main()
