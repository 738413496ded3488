"""How well each level gives songs back: spectral convergence, the measure of the paper's tables.

    python benchmarks/convergence.py SONGS... [--model NAME] [--seconds 60]

SONGS are recordings, folders of them, or manifests; of a manifest that holds songs out, only
those count. A song is tokenized and decoded whole, then compared in clips of 3 seconds; clips of
silence are left out, since everything is far from nothing. Lower is better: 0 dB is an error as
large as the sound itself, -20 dB a tenth of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from measure import Row, table

from jukebox_cli.audio.io import read_audio
from jukebox_cli.audio.manifest import load_recordings
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_vqvae
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.sampling.tokenize import encode_file
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.train.losses import spectral_convergence_db

CLIP = 3.0  # seconds
SILENCE = 1e-3  # root mean square


def convergence(
    model: Model, registry: Registry, songs: Sequence[Path], seconds: float | None = None
) -> list[Row]:
    """A row a level: the mean over all clips, and the means of the best and the worst song."""
    pieces = load_recordings(registry, songs)
    chosen = [p.audio for p in pieces if p.held_out] or [p.audio for p in pieces]
    vqvae = load_vqvae(model, pick_device("auto"))
    each = [of_song(vqvae, path, seconds) for path in chosen]
    rows = []
    for level in range(vqvae.config.num_levels):
        songs_db = [clips[level] for clips in each if clips[level]]
        if not songs_db:
            raise InputError("nothing but silence to compare", "name songs that can be heard")
        clips_db = [db for song in songs_db for db in song]
        means = [statistics.mean(song) for song in songs_db]
        what = f"spectral convergence, level {level}, mean of {len(chosen)} songs"
        mean = statistics.mean(clips_db)
        rows.append(Row(what, mean, "dB", min(means), max(means), len(clips_db)))
    return rows


def of_song(vqvae: VQVAE, path: Path, seconds: float | None = None) -> list[list[float]]:
    """For each level, the dB of every clip of a song that is not silence."""
    print(f"convergence of {path.name}", file=sys.stderr)
    levels, samples = encode_file(vqvae, path, seconds=seconds)
    rate = vqvae.config.sample_rate
    song = read_audio(path, rate)[:samples]
    length = min(samples, round(CLIP * rate))
    starts = range(0, samples - length + 1, length)
    loud = [n for n in starts if np.sqrt(np.square(song[n : n + length]).mean()) > SILENCE]
    found = []
    for level, tokens in enumerate(levels):
        made = np.concatenate(list(codec.decode(vqvae, level, tokens, samples)))
        clips = [torch.from_numpy(np.stack([song, made])[:, n : n + length]) for n in loud]
        found.append(
            [float(spectral_convergence_db(wanted[None], got[None])) for wanted, got in clips]
        )
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("songs", nargs="+", type=Path, help="recordings, folders, manifests")
    parser.add_argument("--model", default="mini", help="a model's name or folder")
    parser.add_argument("--seconds", type=float, help="only the first so many of each song")
    given = parser.parse_args()
    try:
        registry = load_installed(lambda message: print(message, file=sys.stderr))
        print(table(convergence(find_model(given.model), registry, given.songs, given.seconds)))
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")


if __name__ == "__main__":
    main()
