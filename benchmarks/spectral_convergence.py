"""Reconstruction error of each level of the codec: spectral convergence, as in the paper's tables.

    python benchmarks/spectral_convergence.py SONGS... [--model NAME] [--seconds 60]

SONGS are recordings, folders of them, or manifests; of a manifest with held-out songs, only these
are measured. A song is tokenized and decoded as a whole and compared in clips of 3 seconds. Silent
clips are left out, since the measure divides by the signal. Lower is better: 0 dB is an error as
large as the signal, -20 dB a tenth of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from measurements import Row, table

from jukebox_cli.audio.io import read_audio
from jukebox_cli.audio.manifest import load_recordings
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.codec import Codec, decode
from jukebox_cli.model.devices import pick_device
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.sampling.tokenize import encode_file
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.train.losses import spectral_convergence_db

CLIP_SECONDS = 3.0
SILENCE_RMS = 1e-3  # clips below this root mean square are left out


def spectral_convergence(
    model: Model, registry: Registry, songs: Sequence[Path], seconds: float | None = None
) -> list[Row]:
    """For each level, the mean over all clips, with the means of the best and the worst song.

    `seconds` limits how much of each song is measured. Raises InputError if all clips are silent.
    """
    recordings = load_recordings(registry, songs)
    chosen = [r.audio for r in recordings if r.held_out] or [r.audio for r in recordings]
    loaded = load_codec(model, pick_device("auto"))
    measured = [clips_db(loaded, path, seconds) for path in chosen]
    rows = []
    for level in range(loaded.config.num_levels):
        by_song = [clips[level] for clips in measured if clips[level]]
        if not by_song:
            raise InputError("the songs are silent", "name songs that can be heard")
        all_clips = [db for clips in by_song for db in clips]
        means = [statistics.mean(clips) for clips in by_song]
        name = f"spectral convergence, level {level}, mean of {len(chosen)} songs"
        mean = statistics.mean(all_clips)
        rows.append(Row(name, mean, "dB", min(means), max(means), len(all_clips)))
    return rows


def clips_db(codec: Codec, path: Path, seconds: float | None = None) -> list[list[float]]:
    """For each level, the spectral convergence in dB of every clip of a song that is not silent."""
    print(f"spectral convergence of {path.name}", file=sys.stderr)
    tokens_by_level, num_samples = encode_file(codec, path, seconds=seconds)
    sample_rate = codec.config.sample_rate
    original = read_audio(path, sample_rate)[:num_samples]
    length = min(num_samples, round(CLIP_SECONDS * sample_rate))
    clips = [slice(n, n + length) for n in range(0, num_samples - length + 1, length)]
    loud = [clip for clip in clips if np.sqrt(np.square(original[clip]).mean()) > SILENCE_RMS]
    found = []
    for level, tokens in enumerate(tokens_by_level):
        decoded = np.concatenate(list(decode(codec, level, tokens, num_samples)))
        pairs = [(original[clip], decoded[clip]) for clip in loud]
        found.append([_convergence_db(*pair) for pair in pairs])
    return found


def _convergence_db(target: np.ndarray, reconstruction: np.ndarray) -> float:
    """Spectral convergence in dB of waveforms (N,)."""
    batches = (torch.from_numpy(each)[None] for each in (target, reconstruction))
    return float(spectral_convergence_db(*batches))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", nargs="+", type=Path, help="recordings, folders, manifests")
    parser.add_argument("--model", default="mini", help="name or folder of a model")
    parser.add_argument("--seconds", type=float, help="of each song, from its beginning")
    args = parser.parse_args()
    try:
        registry = load_installed(lambda message: print(message, file=sys.stderr))
        model = find_model(args.model)
        print(table(spectral_convergence(model, registry, args.songs, args.seconds)))
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")


if __name__ == "__main__":
    main()
