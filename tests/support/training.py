"""Small models, corpora and recordings to train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.files import read_jsonl
from jukebox_cli.storage.model import Model
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


PLAN = TrainingConfig(steps=5, warmup_steps=2, save_every=2, log_every=1, precision="fp32")


def new_model(path: Path, codec: VQVAEConfig = CODEC, prior: PriorConfig = PRIOR) -> Model:
    made = Model(path)
    made.write_config(ModelConfig(vqvae=codec, priors=(prior,) * codec.num_levels))
    return made


def write_sounds(folder: Path) -> list[Path]:
    """Two sounds of a second and one of half of it."""
    random = np.random.default_rng(0)
    files = [folder / f"{name}.wav" for name in ("one", "two", "half")]
    for file, length in zip(files, (8000, 8000, 4000), strict=True):
        soundfile.write(file, 0.2 * random.normal(size=length).astype(np.float32), 8000)
    return files


def new_corpus(path: Path, model: Model) -> Corpus:
    corpus = Corpus(path)
    codec = model.config.vqvae
    config = CorpusConfig(
        fingerprint=model.fingerprint(),
        sample_rate=codec.sample_rate,
        hop_lengths=codec.hop_lengths,
        codebook_size=codec.codebook_size,
    )
    corpus.write_config(config)
    return corpus


def add(corpus: Corpus, artist: str, below: np.ndarray, held_out: bool = False) -> None:
    """A song: its tokens of level 0; those of level 1 are every other of them."""
    levels = [below, below[::2]][: len(corpus.config.hop_lengths)]
    samples = len(below) * corpus.config.hop_lengths[0]
    name = f"{artist}-{len(corpus.songs())}"
    corpus.append(name, samples, {"artist": artist}, held_out, levels)


def losses(model: Model) -> dict[int, float]:
    """What the log says of each step."""
    return {row["step"]: row["loss"] for row in read_jsonl(model.log) if "loss" in row}
