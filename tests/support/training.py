"""Small models, corpora and recordings to train on, and tasks that can be interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from torch import Tensor, nn

from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.train.data import BatchSource
from jukebox_cli.train.task import Metrics, StageLoss, Task
from jukebox_cli.train.trainer import TrainingConfig

CODEC = VQVAEConfig(
    sample_rate=8000,
    strides=((4,), (2,)),
    codebook_size=16,
    embedding_dim=4,
    widths=(8, 8),
    depths=(1, 1),
)


PRIOR = PriorConfig(
    context_length=32,
    rows=4,
    width=32,
    depth=2,
    heads=2,
    attention_ratio=0.5,
    attention_patterns=("row", "dense"),
    conditioners={"artist": {}},
    upsampler_conditioner=UpsamplerConditionerConfig(width=8, depth=1),
)


CONFIG = TrainingConfig(steps=5, warmup_steps=2, save_every=2, log_every=1, precision="fp32")

MakeTask = Callable[[Model], Task]


class TrainingResult(NamedTuple):
    """The files of a training run."""

    losses: dict[int, float]  # by step
    checkpoint: bytes
    weights: bytes


class InterruptedTask:
    """A task that calls `interrupt` while it computes the loss of a step."""

    def __init__(self, task: Task, step: int, interrupt: Callable[[], None]) -> None:
        self.task, self.step, self.interrupt = task, step, interrupt
        self.component: str = task.component
        self.exported_part: str = task.exported_part
        self.batch_source: BatchSource = task.batch_source

    @property
    def module(self) -> nn.Module:
        return self.task.module

    def losses(self, step: int, batch: Any) -> Iterator[StageLoss]:
        if step == self.step:
            self.interrupt()
        return self.task.losses(step, batch)

    def evaluate(self) -> Metrics:
        return self.task.evaluate()

    def export(self) -> dict[str, Tensor]:
        return self.task.export()

    def exported_config(self, config: ModelConfig) -> ModelConfig:
        return self.task.exported_config(config)


class PowerFailure(BaseException):
    """Stands for the sudden end of a process."""


def fail() -> None:
    raise PowerFailure


def new_model(path: Path, codec: VQVAEConfig = CODEC, prior: PriorConfig = PRIOR) -> Model:
    """A model without weights, with the same prior at each level."""
    made = Model(path)
    made.write_config(ModelConfig(vqvae=codec, priors=(prior,) * codec.num_levels))
    return made


def write_sounds(folder: Path) -> list[Path]:
    """Two recordings of noise of 1 s and one of 0.5 s, at 8 kHz."""
    rng = np.random.default_rng(0)
    files = [folder / f"{name}.wav" for name in ("one", "two", "half")]
    for file, length in zip(files, (8000, 8000, 4000), strict=True):
        soundfile.write(file, 0.2 * rng.normal(size=length).astype(np.float32), 8000)
    return files


def new_corpus(path: Path, model: Model) -> Corpus:
    """An empty corpus for a model."""
    corpus = Corpus(path)
    corpus.write_config(CorpusConfig.of_model(model))
    return corpus


def add(corpus: Corpus, artist: str, tokens: np.ndarray, held_out: bool = False) -> None:
    """Add a song with these tokens at level 0 and every second of them at level 1."""
    levels = [tokens, tokens[::2]][: len(corpus.config.hop_lengths)]
    samples = len(tokens) * corpus.config.hop_lengths[0]
    name = f"{artist}-{len(corpus.songs())}"
    corpus.append(name, samples, {"artist": artist}, held_out, levels)


def losses(model: Model) -> dict[int, float]:
    """The logged loss of each step."""
    return {row["step"]: row["loss"] for row in read_jsonl(model.log) if "loss" in row}


def training_result(
    model: Model, component: str, exported_part: str | None = None
) -> TrainingResult:
    checkpoint, weights = model.checkpoint(component), model.weights(exported_part or component)
    return TrainingResult(losses(model), checkpoint.read_bytes(), weights.read_bytes())
