"""How much faster than it plays audio is turned into tokens, and tokens into audio."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from measure import Row, by_turns

from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_vqvae
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.storage.model import Model


def codec_speed(model: Model, *, rounds: int, quick: bool) -> list[Row]:
    """A row for encoding and one for decoding each level, and one for all levels at once."""
    vqvae = load_vqvae(model, pick_device("auto"))
    rate = model.config.vqvae.sample_rate
    chunk = (
        codec.CHUNK_SAMPLES
        // (8 if quick else 1)
        // vqvae.config.hop_lengths[-1]
        * vqvae.config.hop_lengths[-1]
    )
    sound = 0.1 * np.random.default_rng(0).standard_normal(chunk).astype(np.float32)
    tasks: dict[str, Callable[[], float]] = {}
    for level in range(vqvae.config.num_levels):
        tasks[f"encode, level {level}"] = partial(_encode, vqvae, level, sound, rate)
        tasks[f"decode, level {level}"] = partial(_decode, vqvae, level, sound, rate)
    tasks["encode, all levels, as tokenize does"] = partial(_tokenize, vqvae, sound, rate)
    return by_turns(tasks, rounds, "x real time")


@torch.inference_mode()
def _encode(vqvae: VQVAE, level: int, sound: np.ndarray, rate: int) -> float:
    audio = torch.from_numpy(sound)[None, None].to(vqvae.device)  # (1, 1, N)
    began = time.perf_counter()
    vqvae.level(level).encode(audio).cpu()
    return len(sound) / rate / (time.perf_counter() - began)


def _decode(vqvae: VQVAE, level: int, sound: np.ndarray, rate: int) -> float:
    count = len(sound) // vqvae.config.hop_lengths[level]
    tokens = np.random.default_rng(0).integers(vqvae.config.codebook_size, size=count)
    began = time.perf_counter()
    samples = sum(len(block) for block in codec.decode(vqvae, level, tokens))
    return samples / rate / (time.perf_counter() - began)


def _tokenize(vqvae: VQVAE, sound: np.ndarray, rate: int) -> float:
    began = time.perf_counter()
    codec.encode(vqvae, [sound])
    return len(sound) / rate / (time.perf_counter() - began)
