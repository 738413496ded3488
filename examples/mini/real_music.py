"""Make a data set of freely licensed recordings from Debian packages, with manifests.

    python examples/mini/real_music.py --out real

`real_music.csv` beside this file lists every track with its package, licence and attribution; keep
that list with anything made from the audio. Each track becomes NAME.flac (mono, 22.05 kHz, 16
bits), listed in songs.jsonl or held-out.jsonl, one JSON object per line. The script needs Debian's
apt and dpkg (the list was made on Debian 12) and downloads about 0.7 GB. Tracks that exist are
kept, so that an interrupted run can be started again.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 22050
CEILING = 0.99
HOLD_OUT_EVERY = 12
TRACK_LIST = Path(__file__).with_suffix(".csv")


class RealMusicError(RuntimeError):
    """A track or package is not available; the message says which and why, in one line."""


@dataclass(frozen=True)
class Track:
    """A row of the list: where a track is found, its artist and its licence.

    `path` is a file of the package, or several stems to be mixed, joined by "|". With `member`, the
    file is a zip archive that contains the track.
    """

    name: str
    package: str
    path: str
    member: str
    artist: str
    title: str
    licence: str
    attribution: str


def read_tracks(path: Path = TRACK_LIST) -> list[Track]:
    """The tracks of the list, in its order."""
    with path.open(encoding="utf-8", newline="") as lines:
        return [Track(**row) for row in csv.DictReader(lines)]


def run(command: list[str], folder: Path) -> None:
    """Run a program in a folder. Raises RealMusicError with the last line of its errors."""
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise RealMusicError(f"{command[0]} is missing: this needs a Debian system") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
        raise RealMusicError(f"{' '.join(command[:2])}: {lines[-1]}") from error


def fetch_package(package: str, packages: Path) -> Path:
    """The file of a package, downloaded unless an earlier run did."""
    present = sorted(packages.glob(f"{package}_*.deb"))
    if present:
        return present[-1]
    # downloaded elsewhere and moved, so that a partial download is not taken for a package
    with tempfile.TemporaryDirectory(dir=packages, prefix="download-") as aside:
        run(["apt-get", "download", package], Path(aside))
        [downloaded] = Path(aside).glob("*.deb")
        kept = packages / downloaded.name
        os.replace(downloaded, kept)
    return kept


def read_sound(track: Track, path: Path) -> tuple[np.ndarray, int]:
    """One file of a track: mono samples (N,) and their sample rate."""
    try:
        data = path.read_bytes()
        if track.member:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                data = archive.read(track.member)
        samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except FileNotFoundError as error:
        raise RealMusicError(f"{track.package} has no file {path.name}") from error
    except (KeyError, zipfile.BadZipFile) as error:
        raise RealMusicError(f"{path.name} of {track.package} has no {track.member}") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string
        raise RealMusicError(f"cannot read {path.name} of {track.package}: {reason}") from error
    return samples.mean(axis=1), rate


def mix(stems: list[np.ndarray]) -> np.ndarray:
    """The sum of stems; shorter ones are padded with silence."""
    total = np.zeros(max(len(stem) for stem in stems), dtype=np.float32)
    for stem in stems:
        total[: len(stem)] += stem
    return total


def convert(track: Track, root: Path) -> np.ndarray:
    """The samples of a track, from its package unpacked at `root`: mono at 22.05 kHz.

    The loudness is kept; only tracks that would clip after mixing and resampling are scaled down.
    """
    stems = []
    for path in track.path.split("|"):
        samples, rate = read_sound(track, root / path)
        stems.append(soxr.resample(samples, rate, SAMPLE_RATE))
    mono = mix(stems)
    peak = float(np.abs(mono).max(initial=0.0))
    return mono * (CEILING / peak) if peak > CEILING else mono


def write_track(path: Path, samples: np.ndarray) -> None:
    """Write a track; the file is replaced atomically."""
    partial = path.with_suffix(".part")
    soundfile.write(partial, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    os.replace(partial, path)


def make_package(tracks: list[Track], out: Path, packages: Path) -> list[str]:
    """Make the missing tracks of one package. Returns error messages."""
    missing = [track for track in tracks if not (out / f"{track.name}.flac").exists()]
    if not missing:
        return []
    problems = []
    try:
        deb = fetch_package(missing[0].package, packages)
        with tempfile.TemporaryDirectory(dir=packages, prefix="unpacked-") as root:
            run(["dpkg", "-x", str(deb.resolve()), "."], Path(root))
            for track in missing:
                try:
                    write_track(out / f"{track.name}.flac", convert(track, Path(root)))
                except RealMusicError as error:
                    problems.append(str(error))
    except RealMusicError as error:
        problems.append(f"{missing[0].package} (tracks: {len(missing)}): {error}")
    return problems


def make_all(tracks: list[Track], out: Path) -> list[str]:
    """Make all tracks, package by package, and print progress. Returns error messages."""
    packages = out / ".packages"
    packages.mkdir(parents=True, exist_ok=True)
    problems = []
    ordered = sorted(tracks, key=lambda track: track.package)
    for package, group in groupby(ordered, key=lambda track: track.package):
        members = list(group)
        problems += make_package(members, out, packages)
        print(f"{package}: {len(members)} tracks", flush=True)
    return problems


def split(tracks: list[Track]) -> tuple[list[Track], list[Track]]:
    """The tracks to train on, and every twelfth to hold out, whether they could be made or not."""
    held = tracks[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY]
    return [track for track in tracks if track not in held], held


def write_manifest(path: Path, tracks: list[Track], held_out: bool) -> None:
    """Write the manifest of the tracks that exist; the file is replaced atomically."""
    lines, total = [], 0.0
    for track in tracks:
        audio = path.parent / f"{track.name}.flac"
        if not audio.exists():
            continue
        seconds = soundfile.info(audio).duration
        total += seconds
        entry = {
            "audio": audio.name,
            "artist": track.artist,
            "title": track.title,
            "licence": track.licence,
            "seconds": round(seconds, 2),
            "held_out": held_out,
        }
        lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    partial = path.with_suffix(".part")
    partial.write_text("".join(lines), encoding="utf-8")
    os.replace(partial, path)
    print(f"{path.name}: {len(lines)} tracks, {total / 60:.1f} min")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Fetch freely licensed music to train on.")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder to write to; downloads stay in its .packages, which may be deleted",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Make the tracks and their manifests; the exit code is 1 if a track could not be made."""
    out = parse_arguments(arguments).out
    try:
        tracks = read_tracks()
        problems = make_all(tracks, out)
        train, held = split(tracks)
        write_manifest(out / "songs.jsonl", train, False)
        write_manifest(out / "held-out.jsonl", held, True)
    except (OSError, soundfile.SoundFileError) as error:
        problems = [str(error)]
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
