"""All figures of the project in one table.

    python benchmarks/run.py [--model NAME] [--songs PATH...] [--quick] [--json FILE] [--write FILE]

`--songs` names held-out songs (recordings, folders or manifests) to measure the codec on; without
it those rows are left out. `--write benchmarks/results/NAME.md` keeps the table with the facts of
the machine. `--quick` measures once and little: to see that everything runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import machine
from codec_speed import codec_speed
from convergence import convergence
from main_job import main_job
from measure import Row, keep, page
from startup import startup
from training import training

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import Model, find_model
from sampling import sampling


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="mini", help="a model's name or folder")
    parser.add_argument("--preset", default="rock.yaml", help="the main job")
    parser.add_argument("--songs", nargs="+", type=Path, default=[], help="held-out songs")
    parser.add_argument("--seconds", type=float, help="only the first so many of each song")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each measurement")
    parser.add_argument("--quick", action="store_true", help="one short run of each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows for programs")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the table for people")
    return parser.parse_args()


def measure(given: argparse.Namespace, model: Model) -> list[Row]:
    """Every row of the table, in order."""
    quick, rounds = given.quick, 1 if given.quick else given.rounds
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    chosen = ["--model", str(model.path.resolve())]
    rows = main_job(given.preset, chosen, rounds=min(rounds, 3))
    rows += sampling(model, registry, rounds=rounds, quick=quick)
    rows += codec_speed(model, rounds=rounds, quick=quick)
    rows += training(model, rounds=min(rounds, 3), quick=quick)
    rows += startup(rounds=1 if quick else 11)
    if given.songs:
        rows += convergence(model, registry, given.songs, given.seconds)
    return rows


def report(given: argparse.Namespace, facts: dict[str, str], rows: Sequence[Row]) -> str:
    """The table with all one must know to believe it."""
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    about = (
        "Medians; what is compared was measured by turns. The rows of spectral convergence are "
        "means over clips of 3 s, with the best and the worst song."
    )
    return page(f"Model `{Path(given.model).name}`", "run.py", lines, about, rows)


def main() -> None:
    """The command."""
    given = arguments()
    facts = machine.facts()
    try:
        rows = measure(given, find_model(given.model))
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    keep(given, facts, rows, report(given, facts, rows))


if __name__ == "__main__":
    main()
