"""The VQ-VAE: one autoencoder per level, each from the waveform and back (paper, section 3).

Shapes: B batch, N audio samples, T tokens (N / hop), E embedding channels, K codebook bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import VQVAEConfig


class ResidualConv(nn.Module):
    """x + scale * conv1(relu(conv3_dilated(relu(x)))): the block of Jukebox's encoder."""

    def __init__(self, width: int, hidden: int, dilation: int, residual_scale: float = 1.0) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, hidden, 3, padding=dilation, dilation=dilation)
        self.pointwise = nn.Conv1d(hidden, width, 1)
        self.scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:  # (B, W, T) -> (B, W, T)
        return x + self.scale * self.pointwise(F.relu(self.dilated(F.relu(x))))


def residual_stack(
    width: int,
    depth: int,
    *,
    dilation_growth_rate: int = 3,
    dilation_cycle: int | None = None,
    hidden_ratio: float = 1.0,
    reverse_dilation: bool = False,
    residual_scale: float = 1.0,
) -> nn.Sequential:
    """`depth` residual blocks with dilations growth ** (0, 1, 2 ...), starting anew every `cycle`.

    The decoder runs through the dilations in reverse, so that it mirrors the encoder.
    """
    dilations = [
        dilation_growth_rate ** (d if dilation_cycle is None else d % dilation_cycle)
        for d in range(depth)
    ]
    blocks = [ResidualConv(width, int(hidden_ratio * width), d, residual_scale) for d in dilations]
    return nn.Sequential(*(reversed(blocks) if reverse_dilation else blocks))


def _down(before: int, after: int, stride: int) -> nn.Conv1d:
    return nn.Conv1d(before, after, 2 * stride, stride, stride // 2)


def _up(before: int, after: int, stride: int) -> nn.ConvTranspose1d:
    return nn.ConvTranspose1d(before, after, 2 * stride, stride, stride // 2)


def _encoder_block(
    before: int, strides: Sequence[int], width: int, depth: int, config: VQVAEConfig
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, stride in enumerate(strides):
        layers.append(_down(before if i == 0 else width, width, stride))
        layers.append(
            residual_stack(
                width,
                depth,
                dilation_growth_rate=config.dilation_growth_rate,
                dilation_cycle=config.dilation_cycle,
                hidden_ratio=config.hidden_ratio,
            )
        )
    layers.append(nn.Conv1d(width, config.embedding_dim, 3, padding=1))
    return nn.Sequential(*layers)


def decoder_block(
    strides: Sequence[int],
    width: int,
    depth: int,
    *,
    in_channels: int,
    out_channels: int,
    dilation_growth_rate: int = 3,
    dilation_cycle: int | None = None,
    hidden_ratio: float = 1.0,
    reverse_dilation: bool = False,
    residual_scale: float = 1.0,
) -> nn.Sequential:
    """(B, outer, T) -> (B, after, T * prod(strides)): transposed convolutions, each after a
    residual stack. Strides are given in the encoder's order and undone from the last."""
    layers: list[nn.Module] = [nn.Conv1d(in_channels, width, 3, padding=1)]
    for i, stride in enumerate(reversed(strides)):
        layers.append(
            residual_stack(
                width,
                depth,
                dilation_growth_rate=dilation_growth_rate,
                dilation_cycle=dilation_cycle,
                hidden_ratio=hidden_ratio,
                reverse_dilation=reverse_dilation,
                residual_scale=residual_scale,
            )
        )
        layers.append(_up(width, out_channels if i == len(strides) - 1 else width, stride))
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """(B, 1, N) -> (B, E, T): strided convolutions with dilated residual stacks between."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        width, depth = config.widths[level], config.depths[level]
        self.blocks = nn.ModuleList(
            _encoder_block(1 if i == 0 else config.embedding_dim, strides, width, depth, config)
            for i, strides in enumerate(config.strides[: level + 1])
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Decoder(nn.Module):
    """(B, E, T) -> (B, 1, N): the encoder's mirror image."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        width, depth = config.widths[level], config.depths[level]
        self.blocks = nn.ModuleList(
            decoder_block(
                strides,
                width,
                depth,
                in_channels=config.embedding_dim,
                out_channels=config.embedding_dim,
                dilation_growth_rate=config.dilation_growth_rate,
                dilation_cycle=config.dilation_cycle,
                hidden_ratio=config.hidden_ratio,
                reverse_dilation=True,
            )
            for strides in reversed(config.strides[: level + 1])
        )
        self.out = nn.Conv1d(config.embedding_dim, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(x)
        return out


#: Latents compared with the codebook at once: on a CPU so that the distances stay in its cache,
#: elsewhere so that they do not fill the memory.
_AT_ONCE, _AT_ONCE_ELSEWHERE = 1 << 10, 1 << 16


class Codebook(nn.Module):
    """K vectors learned as exponential moving averages of what they stand for (paper, 3.1).

    `usage` is the moving average of how many vectors of a batch each code took. A code whose
    usage falls under `restart` times that of the average code is dead: it is moved onto a random
    vector of the batch. The bar is relative because a coarse level sees fewer vectors per batch
    than it has codes, so that an absolute one would restart every code at every step.
    """

    vectors: Tensor
    sums: Tensor
    usage: Tensor

    def __init__(
        self,
        codebook_size: int,
        embedding_dim: int,
        decay: float = 0.97,
        restart_threshold: float = 0.1,
    ) -> None:
        super().__init__()
        self.decay, self.restart = decay, restart_threshold
        self.register_buffer("vectors", torch.zeros(codebook_size, embedding_dim))
        self.register_buffer("sums", torch.zeros(codebook_size, embedding_dim), persistent=False)
        self.register_buffer("usage", torch.zeros(codebook_size), persistent=False)

    def encode(self, latents: Tensor) -> Tensor:
        """(B, E, T) -> codes (B, T): the nearest vector, by squared distance."""
        flat = latents.transpose(1, 2).reshape(-1, latents.shape[1]).float()  # (B*T, E)
        norms = self.vectors.square().sum(1)  # the squared distance, but for |flat|^2
        size = _AT_ONCE if latents.device.type == "cpu" else _AT_ONCE_ELSEWHERE
        with torch.autocast(latents.device.type, enabled=False):  # bf16 is too coarse to compare
            nearest = [
                torch.addmm(norms, part, self.vectors.T, alpha=-2).argmin(1)
                for part in flat.split(size)
            ]
        return torch.cat(nearest).view(latents.shape[0], latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """(B, T) -> (B, E, T)."""
        return F.embedding(codes, self.vectors).transpose(1, 2)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """One step of the moving averages, then the restarts."""
        bins, embed = self.vectors.shape
        flat = latents.detach().transpose(1, 2).reshape(-1, embed).float()  # (B*T, E)
        counts = torch.bincount(codes.flatten(), minlength=bins).float()
        sums = torch.zeros_like(self.sums).index_add_(0, codes.flatten(), flat)
        self.usage.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        average = flat.shape[0] / bins
        dead = self.usage < self.restart * average
        fresh = flat[_random_rows(flat.shape[0], bins, generator).to(flat.device)]
        self.usage.masked_fill_(dead, average)
        self.sums.copy_(torch.where(dead[:, None], fresh * average, self.sums))
        self.vectors.copy_(self.sums / self.usage[:, None])

    @torch.no_grad()
    def initialize(self, latents: Tensor, generator: torch.Generator) -> None:
        """Before the first step: from a first batch (B, E, T), or from vectors that were learned
        before, as if all had been used equally."""
        if not self.vectors.any():
            self.initialize_from_batch(latents, generator)
            return
        self.usage.fill_(latents.shape[0] * latents.shape[2] / len(self.usage))
        self.sums.copy_(self.vectors * self.usage[:, None])

    @torch.no_grad()
    def initialize_from_batch(self, latents: Tensor, generator: torch.Generator) -> None:
        """Lay every code on a random vector of a first batch (B, E, T), slightly apart."""
        bins, embed = self.vectors.shape
        flat = latents.detach().transpose(1, 2).reshape(-1, embed).float()
        picked = flat[_random_rows(flat.shape[0], bins, generator).to(flat.device)]
        apart = torch.randn(picked.shape, generator=generator).to(flat.device)
        self.vectors.copy_(picked + 0.01 * flat.std() * apart)
        self.usage.fill_(flat.shape[0] / bins)
        self.sums.copy_(self.vectors * self.usage[:, None])


def _random_rows(rows: int, wanted: int, generator: torch.Generator) -> Tensor:
    """`wanted` row numbers: each row once before any comes twice."""
    rounds = -(-wanted // rows)
    return torch.cat([torch.randperm(rows, generator=generator) for _ in range(rounds)])[:wanted]


class AutoencoderOutput(NamedTuple):
    """What one training pass through an autoencoder gives."""

    audio: Tensor  # (B, 1, N)
    codes: Tensor  # (B, T)
    latents: Tensor  # (B, E, T), before quantization
    commit_loss: Tensor  # (): how far the latents are from their codes


class Autoencoder(nn.Module):
    """One level: encoder, codebook, decoder."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        self.encoder = Encoder(level, config)
        self.codebook = Codebook(config.codebook_size, config.embedding_dim)
        self.decoder = Decoder(level, config)

    def encode(self, audio: Tensor) -> Tensor:
        """(B, 1, N) -> codes (B, T); N must be a multiple of the level's hop."""
        return self.codebook.encode(self.encoder(audio))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> audio (B, 1, N)."""
        audio: Tensor = self.decoder(self.codebook.decode(codes))
        return audio

    def forward(self, audio: Tensor) -> AutoencoderOutput:
        """Through the bottleneck, with gradients copied straight past it (van den Oord 2017)."""
        latents = self.encoder(audio)
        codes = self.codebook.encode(latents)
        quantized = self.codebook.decode(codes)
        commit = F.mse_loss(latents.float(), quantized)
        through = latents + (quantized - latents).detach()
        return AutoencoderOutput(self.decoder(through), codes, latents, commit)


class VQVAE(nn.Module):
    """Separate autoencoders, level 0 the finest."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(Autoencoder(i, config) for i in range(len(config.strides)))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def level(self, number: int) -> Autoencoder:
        level = self.levels[number]
        assert isinstance(level, Autoencoder)
        return level
