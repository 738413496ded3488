"""Duration of a training step of each prior, with and without `keep_freed_memory`.

    python benchmarks/training_speed.py MODEL LEVEL STEPS kept|default

trains on random tokens and prints the median duration of a step in seconds. It is run as a process
of its own, since the allocator's settings last until a process ends.
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
from measurements import Row, measure_in_turns

from jukebox_cli.registry import load_installed
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model, find_model

BATCH_SIZE = 4


def training_speed(model: Model, *, rounds: int, quick: bool) -> list[Row]:
    """Seconds of a step of each level, with either setting of the allocator."""
    rows = []
    for level in reversed(range(len(model.config.priors))):
        arguments = (str(model.path), str(level), "3" if quick else "12")
        name = f"train prior, level {level}, step of {BATCH_SIZE} windows"
        tasks = {
            name: partial(_run, *arguments, "kept"),
            f"{name}, default allocator": partial(_run, *arguments, "default"),
        }
        rows += measure_in_turns(tasks, rounds, "s")
    return rows


def _run(*arguments: str) -> float:
    command = [sys.executable, __file__, *arguments]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def step_seconds(model: Model, level: int, steps: int) -> float:
    """The median duration of `steps` steps, after a first one that is not counted."""
    from jukebox_cli.train.prior import prepare_prior_task
    from jukebox_cli.train.trainer import TrainingConfig, train

    registry, times = load_installed(lambda message: print(message, file=sys.stderr)), [0.0]
    with tempfile.TemporaryDirectory() as folder:
        corpus = random_corpus(model, Path(folder) / "corpus")
        task = prepare_prior_task(model, level, corpus, registry, batch_size=BATCH_SIZE)
        config = TrainingConfig(steps=steps + 1, log_every=1, save_every=steps + 1)
        scratch = Model(Path(folder) / "model")
        scratch.create_config(model.config)
        train(task, scratch, config, lambda progress: times.append(progress.seconds))
    return statistics.median(later - earlier for earlier, later in pairwise(times[1:]))


def random_corpus(model: Model, path: Path) -> Corpus:
    """A corpus with one long song of random tokens, without conditions."""
    codec, rng, corpus = model.config.vqvae, np.random.default_rng(0), Corpus(path)
    corpus.write_config(CorpusConfig.of_model(model))
    windows = zip(model.config.priors, codec.hop_lengths, strict=True)
    num_samples = 2 * max(prior.context_length * hop_length for prior, hop_length in windows)
    tokens = [
        rng.integers(codec.codebook_size, size=num_samples // hop_length)
        for hop_length in codec.hop_lengths
    ]
    corpus.append("random", num_samples, {}, False, tokens)
    return corpus


def main() -> None:
    name, level, steps, memory = sys.argv[1:]
    if memory == "kept":
        from jukebox_cli.train.allocator import keep_freed_memory

        keep_freed_memory()
    print(step_seconds(find_model(name), int(level), int(steps)))


if __name__ == "__main__":
    main()
