"""Speed of the codec: audio to tokens and tokens to audio, in multiples of real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from measurements import Row, measure_in_turns

from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_vqvae
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.storage.model import Model


def codec_speed(model: Model, *, rounds: int, quick: bool) -> list[Row]:
    """Encoding and decoding of each level, and encoding of all levels at once."""
    vqvae = load_vqvae(model, pick_device("auto"))
    top_hop_length = vqvae.config.hop_lengths[-1]
    length = codec.CHUNK_SAMPLES // (8 if quick else 1) // top_hop_length * top_hop_length
    audio = 0.1 * np.random.default_rng(0).standard_normal(length).astype(np.float32)
    tasks: dict[str, Callable[[], float]] = {}
    for level in range(vqvae.config.num_levels):
        tasks[f"encode, level {level}"] = partial(_encode, vqvae, level, audio)
        tasks[f"decode, level {level}"] = partial(_decode, vqvae, level, audio)
    tasks["encode, all levels, as tokenize does"] = partial(_encode_all, vqvae, audio)
    return measure_in_turns(tasks, rounds, "x real time")


@torch.inference_mode()
def _encode(vqvae: VQVAE, level: int, audio: np.ndarray) -> float:
    batch = torch.from_numpy(audio)[None, None].to(vqvae.device)  # (1, 1, N)
    start = time.perf_counter()
    vqvae.level(level).encode(batch).cpu()
    return _real_time_factor(vqvae, len(audio), start)


def _decode(vqvae: VQVAE, level: int, audio: np.ndarray) -> float:
    num_tokens = len(audio) // vqvae.config.hop_lengths[level]
    tokens = np.random.default_rng(0).integers(vqvae.config.codebook_size, size=num_tokens)
    start = time.perf_counter()
    num_samples = sum(len(block) for block in codec.decode(vqvae, level, tokens))
    return _real_time_factor(vqvae, num_samples, start)


def _encode_all(vqvae: VQVAE, audio: np.ndarray) -> float:
    start = time.perf_counter()
    codec.encode(vqvae, [audio])
    return _real_time_factor(vqvae, len(audio), start)


def _real_time_factor(vqvae: VQVAE, num_samples: int, start: float) -> float:
    """Seconds of audio per second since `start`."""
    return num_samples / vqvae.config.sample_rate / (time.perf_counter() - start)
