"""The VQ-VAE: a separate autoencoder for each level, from waveform to waveform (paper, section 3).

Shapes: B batch, N audio samples, T = N / hop_length tokens, E embedding channels.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.model.codebook import Codebook
from jukebox_cli.model.convolution import MakeStack, decoder_block, encoder_block, residual_stack


class Encoder(nn.Module):
    """Audio (B, 1, N) -> latents (B, E, T): strided convolutions and dilated residual stacks."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        width, channels = config.widths[level], config.embedding_dim
        make_stack = _stack_factory(width, config.depths[level], config)
        self.blocks = nn.ModuleList(
            encoder_block(1 if i == 0 else channels, channels, width, strides, make_stack)
            for i, strides in enumerate(config.strides[: level + 1])
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Decoder(nn.Module):
    """Quantized latents (B, E, T) -> audio (B, 1, N): the mirror image of the encoder, whose width
    and depth may be others."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        (width, depth), channels = config.decoder_sizes[level], config.embedding_dim
        make_stack = _stack_factory(width, depth, config, reverse_dilation=True)
        self.blocks = nn.ModuleList(
            decoder_block(channels, channels, width, strides, make_stack)
            for strides in reversed(config.strides[: level + 1])
        )
        self.out = nn.Conv1d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.out(x)
        return out


def _stack_factory(
    width: int, depth: int, config: VQVAEConfig, reverse_dilation: bool = False
) -> MakeStack:
    """Makes residual stacks of a width and depth."""
    return partial(
        residual_stack,
        width,
        depth,
        dilation_growth_rate=config.dilation_growth_rate,
        dilation_cycle=config.dilation_cycle,
        hidden_ratio=config.hidden_ratio,
        reverse_dilation=reverse_dilation,
    )


class AutoencoderOutput(NamedTuple):
    """The result of one training pass through an autoencoder."""

    audio: Tensor  # (B, 1, N), reconstructed
    codes: Tensor  # (B, T)
    latents: Tensor  # (B, E, T), before quantization
    commit_loss: Tensor  # (): mean squared distance of the latents from their codes


class Autoencoder(nn.Module):
    """One level: encoder, codebook, decoder."""

    def __init__(self, level: int, config: VQVAEConfig) -> None:
        super().__init__()
        self.encoder = Encoder(level, config)
        self.codebook = Codebook(config.codebook_size, config.embedding_dim)
        self.decoder = Decoder(level, config)

    def encode(self, audio: Tensor) -> Tensor:
        """Audio (B, 1, N) -> codes (B, T); N must be a multiple of the level's hop length."""
        return self.codebook.encode(self.encoder(audio))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> audio (B, 1, N)."""
        audio: Tensor = self.decoder(self.codebook.decode(codes))
        return audio

    def forward(self, audio: Tensor) -> AutoencoderOutput:
        """Reconstruct audio (B, 1, N).

        Gradients pass through the quantization as if it were the identity (straight-through
        estimator; van den Oord et al. 2017, section 3.2).
        """
        latents = self.encoder(audio)
        codes = self.codebook.encode(latents)
        quantized = self.codebook.decode(codes)
        commit_loss = F.mse_loss(latents.float(), quantized)
        straight_through = latents + (quantized - latents).detach()
        return AutoencoderOutput(self.decoder(straight_through), codes, latents, commit_loss)


class VQVAE(nn.Module):
    """The autoencoders of all levels; level 0 is the finest."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(Autoencoder(i, config) for i in range(len(config.strides)))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def level(self, number: int) -> Autoencoder:
        """The autoencoder of a level, typed."""
        level = self.levels[number]
        assert isinstance(level, Autoencoder)
        return level
