"""Speed of the codec: audio to tokens and tokens to audio, in multiples of real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from measurements import Row, measure_in_turns

from jukebox_cli.engine.loader import load_codec
from jukebox_cli.model.codec import CHUNK_SAMPLES, Codec, decode
from jukebox_cli.model.devices import pick_device
from jukebox_cli.storage.model import Model


def codec_speed(model: Model, *, rounds: int, quick: bool) -> list[Row]:
    """Encoding of all levels, as `tokenize` does, and decoding of each, as `decode` does."""
    codec = load_codec(model, pick_device("auto"))
    top_hop_length = codec.config.hop_lengths[-1]
    length = CHUNK_SAMPLES // (8 if quick else 1) // top_hop_length * top_hop_length
    return measure_in_turns(codec_tasks(codec, length), rounds, "x real time")


def codec_tasks(codec: Codec, length: int) -> dict[str, Callable[[], float]]:
    """Functions that measure how fast so many samples are encoded and decoded, by name."""
    audio = 0.1 * np.random.default_rng(0).standard_normal(length).astype(np.float32)
    tasks: dict[str, Callable[[], float]] = {"encode, all levels": partial(_encode, codec, audio)}
    for level in range(codec.config.num_levels):
        tasks[f"decode, level {level}"] = partial(_decode, codec, level, length)
    return tasks


def _encode(codec: Codec, audio: np.ndarray) -> float:
    start = time.perf_counter()
    codec.encode([audio])
    return real_time_factor(codec.config.sample_rate, len(audio), start)


def _decode(codec: Codec, level: int, length: int) -> float:
    num_tokens = codec.config.token_grid.num_tokens(level, length)
    tokens = np.random.default_rng(0).integers(codec.config.codebook_size, size=num_tokens)
    start = time.perf_counter()
    num_samples = sum(len(block) for block in decode(codec, level, tokens))
    return real_time_factor(codec.config.sample_rate, num_samples, start)


def real_time_factor(sample_rate: int, num_samples: int, start: float) -> float:
    """Seconds of audio per second since `start`."""
    return num_samples / sample_rate / (time.perf_counter() - start)
