"""What a song takes by its length and by the kernels: time, memory, the time to its first sound.

    python benchmarks/song_time.py [--seconds 10 60 300] [--rounds 3] [--write FILE]

Every row is of a whole `jukebox generate --preset rock.yaml` in a process of its own, start-up
included. AVX2 is measured on this CPU with the wider instructions switched off, also for torch.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from machine import JUKEBOX, machine_facts
from measurements import Row, add_output_arguments, measure_in_turns, page, publish, single_row

from jukebox_cli.engine import library

NOTES = "Whole commands, start-up included. Medians, measured in turns; by length, once each."
#: What to set for a program that uses no wider instructions than these.
LIMITS: Mapping[str, Mapping[str, str]] = {
    "avx512": {},
    "avx2": {
        library.KERNELS_VARIABLE: "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "neon": {},
    "plain": {},
}
SONG_SECONDS = 20.0


def song_time(preset: str, seconds: float, environment: Mapping[str, str]) -> float:
    """Seconds that `generate` takes."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        _generate(preset, seconds, Path(folder) / "run", environment)
        return time.perf_counter() - start


def first_sound(preset: str, environment: Mapping[str, str]) -> float:
    """Seconds from the start of `generate --stream` to the first samples."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("--preset", preset, "--out", folder, "--stream", "pcm", "-q")
        start = time.perf_counter()
        with subprocess.Popen(
            [*JUKEBOX, "generate", *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, **environment},
        ) as process:
            assert process.stdout
            process.stdout.read(1)
            elapsed = time.perf_counter() - start
            process.stdout.read()
        return elapsed


def peak_memory(preset: str, seconds: float) -> float:
    """Peak memory of `generate` in megabytes."""
    with tempfile.TemporaryDirectory() as folder:
        script, file = Path(__file__).with_name("peak_memory.py"), Path(folder) / "peak"
        command = [sys.executable, str(script), str(file)]
        arguments = _arguments(preset, seconds, Path(folder) / "run")
        subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)
        return int(file.read_text()) / 1e6


def _generate(preset: str, seconds: float, out: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(
        [*JUKEBOX, *_arguments(preset, seconds, out)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


def _arguments(preset: str, seconds: float, out: Path) -> list[str]:
    return [
        *("generate", "--preset", preset, "--seconds", str(seconds), "--out", str(out), "--quiet")
    ]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="rock.yaml", help="the song")
    parser.add_argument(
        "--seconds", type=float, nargs="*", default=[10.0, 60.0, 300.0], help="its lengths"
    )
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each measurement")
    parser.set_defaults(model="mini")
    add_output_arguments(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace) -> list[Row]:
    kernels = [name for name in library.kernel_names() if name != "plain"] or ["plain"]
    tasks: dict[str, Callable[[], float]] = {}
    for name in kernels:
        song = (args.preset, SONG_SECONDS, LIMITS[name])
        tasks[f"{SONG_SECONDS:g} s, {name}"] = partial(song_time, *song)
        tasks[f"first sound, {name}"] = partial(first_sound, args.preset, LIMITS[name])
    rows = measure_in_turns(tasks, args.rounds, "s")
    for seconds in args.seconds:
        value = song_time(args.preset, seconds, {})
        rows.append(single_row(f"{seconds:g} s", "s", value))
        rows.append(single_row(f"{seconds:g} s, for each", "s/s", value / seconds))
        memory = peak_memory(args.preset, seconds)
        rows.append(single_row(f"{seconds:g} s, peak memory", "MB", memory))
    return rows


def main() -> None:
    args, facts = parse_arguments(), machine_facts()
    rows = measure(args)
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    publish(args, facts, rows, page("Time of a song", "song_time.py", lines, NOTES, rows))


if __name__ == "__main__":
    main()
