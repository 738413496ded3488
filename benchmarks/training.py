"""How long a step of training a prior takes, with memory that is kept and as it is by default.

    python benchmarks/training.py MODEL LEVEL STEPS kept|default

trains on tokens drawn at random and prints the median of the steps in seconds. That is a process of
its own, since what it asks of the C library is for good.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from measure import Row, by_turns

from jukebox_cli.registry import load_installed
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model, find_model

BATCH = 4


def training(model: Model, *, rounds: int, quick: bool) -> list[Row]:
    """Two rows for each level: seconds of a step."""
    rows = []
    for level in reversed(range(len(model.config.priors))):
        words = (str(model.path), str(level), "3" if quick else "12")
        what = f"train prior, level {level}, a step of {BATCH} windows"
        tasks = {
            what: partial(_seconds, *words, "kept"),
            f"{what}, memory not kept": partial(_seconds, *words, "default"),
        }
        rows += by_turns(tasks, rounds, "s")
    return rows


def _seconds(*words: str) -> float:
    command = [sys.executable, __file__, *words]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def step_seconds(model: Model, level: int, steps: int) -> float:
    """The median of `steps` steps, after a first one."""
    from jukebox_cli.train.prior import prepare_prior_task
    from jukebox_cli.train.trainer import TrainingConfig, train

    registry, times = load_installed(lambda message: print(message, file=sys.stderr)), [0.0]
    with tempfile.TemporaryDirectory() as folder:
        corpus = _corpus(model, Path(folder) / "corpus")
        task = prepare_prior_task(model, level, corpus, registry, batch_size=BATCH)
        plan = TrainingConfig(steps=steps + 1, log_every=1, save_every=steps + 1)
        train(task, Model(Path(folder) / "model"), plan, lambda now: times.append(now.seconds))
    return statistics.median(later - before for before, later in pairwise(times[1:]))


def _corpus(model: Model, path: Path) -> Corpus:
    """One long song of random tokens, of which nothing is known."""
    codec, random, corpus = model.config.vqvae, np.random.default_rng(0), Corpus(path)
    corpus.write_config(
        CorpusConfig(
            fingerprint=model.fingerprint(),
            sample_rate=codec.sample_rate,
            hop_lengths=codec.hop_lengths,
            codebook_size=codec.codebook_size,
        )
    )
    samples = 2 * max(
        p.context_length * h for p, h in zip(model.config.priors, codec.hop_lengths, strict=True)
    )
    tokens = [
        random.integers(codec.codebook_size, size=samples // hop) for hop in codec.hop_lengths
    ]
    corpus.append("random", samples, {}, False, tokens)
    return corpus


def main() -> None:
    """The command."""
    name, level, steps, memory = sys.argv[1:]
    if memory == "kept":
        from jukebox_cli.train.allocator import keep_freed_memory

        keep_freed_memory()
    print(step_seconds(find_model(name), int(level), int(steps)))


if __name__ == "__main__":
    main()
