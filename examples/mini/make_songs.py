"""Make a data set of composed songs with manifests.

    python examples/mini/make_songs.py --out songs --minutes 300 --held-out 12 --seed 0
    python examples/mini/make_songs.py --sung --out sung --minutes 200 --held-out 12 --seed 0

Artists take turns. Each song is NAME.flac (mono, 22.05 kHz, 16 bits) and NAME.mid, with NAME.lrc if
it is sung. The manifests songs.jsonl and held-out.jsonl list them, one JSON object per line. Songs
that exist are kept, so that an interrupted run can be started again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile

from artists import ARTISTS
from compose import compose
from render import SAMPLE_RATE, TAIL_SECONDS, Renderer, RenderError, find_soundfont
from sung_songs import compose_sung, render_sung, write_lrc
from voice import check_voice


@dataclass(frozen=True)
class Song:
    """A song of the data set."""

    artist: str
    seed: int
    sung: bool = False

    @property
    def name(self) -> str:
        """The name of the song's files, without their extensions."""
        artist = self.artist.lower().replace(" ", "-")
        return f"{artist}-{'sung-' * self.sung}{self.seed:06d}"

    @property
    def files(self) -> dict[str, str]:
        """The song's files as a manifest names them."""
        files = {"audio": f"{self.name}.flac", "midi": f"{self.name}.mid"}
        return files | ({"lyrics": f"{self.name}.lrc"} if self.sung else {})

    def seconds(self) -> float:
        """The duration of the rendered song."""
        band = compose_sung(self.artist, self.seed).band if self.sung else None
        return float((band or compose(self.artist, self.seed)).get_end_time()) + TAIL_SECONDS


def choose_songs(
    minutes: float, held_out: int, seed: int, sung: bool = False
) -> tuple[list[Song], list[Song]]:
    """Songs to train on, `minutes` in all, and `held_out` other songs."""
    names = list(ARTISTS)
    train: list[Song] = []
    total = 0.0
    while total < minutes * 60:
        number, artist = divmod(len(train), len(names))
        train.append(Song(names[artist], seed * 100_000 + number, sung))
        total += train[-1].seconds()
    first = seed * 100_000 + 90_000
    held = [Song(names[i % len(names)], first + i // len(names), sung) for i in range(held_out)]
    return train, held


@lru_cache(maxsize=1)
def _renderer(soundfont: str) -> Renderer:
    """The renderer of a process, which loads its soundfont once."""
    return Renderer(soundfont)


def make_song(song: Song, out: Path, soundfont: str) -> float:
    """Compose, render and write a song, unless it exists. Returns its duration in seconds."""
    audio = out / song.files["audio"]
    if all((out / name).exists() for name in song.files.values()):
        return float(soundfile.info(audio).duration)
    write = _write_sung if song.sung else _write_instrumental
    samples = write(song, out, _renderer(soundfont))
    partial = audio.with_suffix(".part")
    soundfile.write(partial, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    os.replace(partial, audio)
    return len(samples) / SAMPLE_RATE


def _write_instrumental(song: Song, out: Path, renderer: Renderer) -> np.ndarray:
    """Write the notes of an instrumental song and return its samples."""
    midi = compose(song.artist, song.seed)
    midi.write(str(out / song.files["midi"]))
    return renderer.render(midi)


def _write_sung(song: Song, out: Path, renderer: Renderer) -> np.ndarray:
    """Write the notes and timed lyrics of a sung song and return its samples."""
    score = compose_sung(song.artist, song.seed)
    samples, lines = render_sung(score, renderer)
    score.midi().write(str(out / song.files["midi"]))
    (out / song.files["lyrics"]).write_text(write_lrc(lines), encoding="utf-8")
    return samples


def write_manifest(
    path: Path, songs: list[Song], seconds: dict[Song, float], held_out: bool
) -> None:
    """Write a manifest; the file is replaced atomically."""
    lines = []
    for song in songs:
        entry = {
            **song.files,
            "artist": song.artist,
            "genre": ARTISTS[song.artist].genre,
            "seconds": round(seconds[song], 2),
            "held_out": held_out,
        }
        lines.append(json.dumps(entry) + "\n")
    partial = path.with_suffix(".part")
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, path)


def make_all(songs: list[Song], out: Path, soundfont: str, jobs: int) -> dict[Song, float]:
    """Make all songs in `jobs` processes and print progress. Returns their durations."""
    count = len(songs)
    arguments = (songs, [out] * count, [soundfont] * count)
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            return _collect(songs, pool.map(make_song, *arguments, chunksize=4))
    return _collect(songs, map(make_song, *arguments))


def _collect(songs: list[Song], results: Iterable[float]) -> dict[Song, float]:
    """The durations of songs; prints progress as they are made."""
    start, total = time.monotonic(), 0.0
    seconds = {}
    for i, (song, length) in enumerate(zip(songs, results, strict=True), start=1):
        seconds[song] = length
        total += length
        if i % 12 == 0 or i == len(songs):
            spent = time.monotonic() - start
            print(f"{i}/{len(songs)} songs, {total / 60:.1f} min in {spent:.0f} s", flush=True)
    return seconds


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compose and render songs to train on.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--sung", action="store_true", help="songs with lyrics and a voice")
    parser.add_argument("--minutes", type=float, default=300, help="minutes of music to train on")
    parser.add_argument("--held-out", type=int, default=12, help="number of held-out songs")
    parser.add_argument("--seed", type=int, default=0, help="each seed gives other songs")
    parser.add_argument("--soundfont", help="General MIDI soundfont (.sf2)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Make the songs and their manifests; returns the exit code."""
    options = parse_arguments(arguments)
    try:
        soundfont = str(find_soundfont(options.soundfont))
        _renderer(soundfont)
        if options.sung:
            check_voice()
    except RenderError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    train, held = choose_songs(options.minutes, options.held_out, options.seed, options.sung)
    seconds = make_all(train + held, options.out, soundfont, options.jobs)
    write_manifest(options.out / "songs.jsonl", train, seconds, False)
    write_manifest(options.out / "held-out.jsonl", held, seconds, True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
