"""Figures of speed and sound quality in one table.

It measures, in this order:

    generate_time          duration of `jukebox generate --preset rock.yaml`, stage by stage
    sampling_speed         tokens per second of each level, for 1 and 16 items
    codec_speed            encoding, and decoding of each level, in multiples of real time
    training_speed         duration of a training step of each prior
    startup_time           duration of `jukebox --help`
    spectral_convergence   reconstruction error of each level, if --songs are named

Other scripts, run on their own: conditioning.py (how well conditions are followed),
published_sizes.py (memory and speed of models of the published sizes) and gpu.py (their speed on a
GPU).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codec_speed import codec_speed
from generate_time import generate_time
from machine import machine_facts
from measurements import Row, add_output_arguments, page, publish
from sampling_speed import sampling_speed
from spectral_convergence import spectral_convergence
from startup_time import startup_time
from training_speed import training_speed

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import Model, find_model

NOTES = (
    "Medians; what is compared was measured in turns. The rows of spectral convergence are means "
    "over clips of 3 s, with those of the best and the worst clip."
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini", help="name or folder of a model")
    parser.add_argument("--preset", default="rock.yaml", help="what `generate` is measured with")
    parser.add_argument(
        "--songs", nargs="+", type=Path, default=[], help="held-out recordings, folders, manifests"
    )
    parser.add_argument("--clips", type=int, default=60, help="clips of 3 s of the songs")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each measurement")
    parser.add_argument("--quick", action="store_true", help="measure once and little, as a test")
    add_output_arguments(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace, model: Model) -> list[Row]:
    """All rows of the table, in order."""
    quick, rounds = args.quick, 1 if args.quick else args.rounds
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    options = ["--model", str(model.path.resolve())]
    rows = generate_time(args.preset, options, rounds=min(rounds, 3))
    rows += sampling_speed(model, registry, rounds=rounds, quick=quick)
    rows += codec_speed(model, rounds=rounds, quick=quick)
    rows += training_speed(model, rounds=min(rounds, 3), quick=quick)
    rows += startup_time(rounds=1 if quick else 11)
    if args.songs:
        rows += spectral_convergence(model, registry, args.songs, args.clips)
    return rows


def main() -> None:
    args = parse_arguments()
    facts = machine_facts()
    try:
        rows = measure(args, find_model(args.model))
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    title = f"Model `{Path(args.model).name}`"
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    publish(args, facts, rows, page(title, "run.py", lines, NOTES, rows))


if __name__ == "__main__":
    main()
