"""Audio <-> tokens, in chunks that overlap by exactly what a token or a sample depends on.

So a file of any length takes the same memory, and no seam can be told from the unchunked result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from jukebox_cli.audio.io import Audio
from jukebox_cli.model.vqvae import VQVAE

CHUNK_SAMPLES = 1 << 16  # samples one pass makes or reads, without the overlap


class ReceptiveField(NamedTuple):
    """How far a network looks back and ahead of the place of what it is making, in inputs."""

    before: int
    after: int


def receptive_field(network: nn.Module) -> ReceptiveField:
    """The reach of the convolutions of `network`, which run one after the other.

    Output i of a stride s stands at input i * s; output j of a transposed one at input j // s.
    """
    back = ahead = 0
    layers = [m for m in network.modules() if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))]
    for layer in reversed(layers):
        stride, padding = layer.stride[0], int(layer.padding[0])
        span = (layer.kernel_size[0] - 1) * layer.dilation[0]
        if isinstance(layer, nn.ConvTranspose1d):  # output j reads inputs (j + padding - k) / s
            back = (back + span - padding) // stride
            ahead = (stride - 1 + ahead + padding) // stride
        else:  # output i reads inputs i * s - padding + k * dilation
            back, ahead = back * stride + padding, ahead * stride + span - padding
    return ReceptiveField(back, ahead)


@torch.inference_mode()
def encode(vqvae: VQVAE, audio: Iterable[Audio], chunk: int = CHUNK_SAMPLES) -> list[np.ndarray]:
    """Blocks of mono audio -> the tokens of each level, int64 (T,), level 0 first.

    The end is padded with silence to a whole token of the top level.
    """
    grid = vqvae.config.token_grid
    networks = [vqvae.level(level) for level in range(grid.num_levels)]
    sides = [
        ReceptiveField(grid.ceil_samples(near.before), grid.ceil_samples(near.after))
        for near in (receptive_field(network.encoder) for network in networks)
    ]
    back, ahead = max(side.before for side in sides), max(side.after for side in sides)
    parts: list[list[np.ndarray]] = [[] for _ in networks]
    for before, middle, after in _chunks_with_context(audio, grid.ceil_samples(chunk), back, ahead):
        for level, (network, side, part) in enumerate(zip(networks, sides, parts, strict=True)):
            left = before[max(0, len(before) - side.before) :]
            samples = np.concatenate([left, middle, after[: side.after]])
            samples = np.pad(samples, (0, grid.ceil_samples(len(samples)) - len(samples)))
            x = torch.from_numpy(samples)[None, None].to(vqvae.device)  # (1, 1, N)
            first = len(left) // grid.hop_lengths[level]
            count = grid.num_tokens(level, len(middle))
            part.append(network.encode(x)[0, first : first + count].cpu().numpy())
    return [np.concatenate(p) if p else np.zeros(0, np.int64) for p in parts]


@torch.inference_mode()
def decode(
    vqvae: VQVAE,
    level: int,
    tokens: np.ndarray,
    samples: int | None = None,
    chunk: int = CHUNK_SAMPLES,
) -> Iterator[Audio]:
    """Tokens (T,) of one level -> blocks of audio, `samples` in all (T * hop when None)."""
    network, hop = vqvae.level(level), vqvae.config.hop_lengths[level]
    back, ahead = receptive_field(network.decoder)
    left = len(tokens) * hop if samples is None else samples
    size = max(1, chunk // hop)
    for start in range(0, len(tokens), size):
        first = max(0, start - back)
        codes = torch.from_numpy(tokens[first : start + size + ahead].astype(np.int64))
        audio = network.decode(codes[None].to(vqvae.device))[0, 0].float().cpu().numpy()
        block = audio[(start - first) * hop :][: min(size * hop, left)]
        left -= len(block)
        yield block


def _chunks_with_context(
    blocks: Iterable[Audio], chunk: int, back: int, ahead: int
) -> Iterator[tuple[Audio, Audio, Audio]]:
    """Cuts a stream into chunks, each with up to `back` samples before and `ahead` after it."""
    stream = iter(blocks)
    held = np.zeros(0, np.float32)
    at, ended = 0, False
    while True:
        while not ended and len(held) < at + chunk + ahead:
            block = next(stream, None)
            ended = block is None
            held = held if block is None else np.concatenate([held, block])
        middle = held[at : at + chunk]
        if not len(middle):
            return
        yield held[max(0, at - back) : at], middle, held[at + chunk : at + chunk + ahead]
        used = max(0, at + chunk - back)
        held, at = held[used:], at + chunk - used
