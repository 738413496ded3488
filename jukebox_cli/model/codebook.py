"""The vector quantizer of the VQ-VAE (paper, section 3; van den Oord et al. 2017).

Shapes: B batch, T tokens, N = B * T latents, E embedding channels, K codes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Latents compared with the codebook at once. On a CPU few enough for the distances to stay in its
#: cache, elsewhere few enough for the device's memory.
CPU_CHUNK_LATENTS, CHUNK_LATENTS = 1 << 10, 1 << 16


class Codebook(nn.Module):
    """K vectors, learned as exponential moving averages of the latents assigned to them.

    `usage` is the moving average of how many latents of a batch each code got. A code whose usage
    falls below `restart_threshold` times the average code's is dead and restarts at a random latent
    of the batch (paper, "Random restarts for embeddings"). The threshold is relative because a
    coarse level sees fewer latents per batch than it has codes, so that an absolute one would
    restart every code at every step.
    """

    vectors: Tensor  # (K, E)
    sums: Tensor  # (K, E): moving average of the sum of the latents assigned to each code
    usage: Tensor  # (K,)

    def __init__(
        self,
        codebook_size: int,
        embedding_dim: int,
        ema_decay: float = 0.97,
        restart_threshold: float = 0.1,
    ) -> None:
        super().__init__()
        self.ema_decay, self.restart_threshold = ema_decay, restart_threshold
        self.register_buffer("vectors", torch.zeros(codebook_size, embedding_dim))
        self.register_buffer("sums", torch.zeros(codebook_size, embedding_dim), persistent=False)
        self.register_buffer("usage", torch.zeros(codebook_size), persistent=False)

    def encode(self, latents: Tensor) -> Tensor:
        """(B, E, T) -> codes (B, T), the nearest vector of each latent in squared distance."""
        flat = _flatten(latents)
        norms = self.vectors.square().sum(1)  # |latent|^2 is the same for all codes: left out
        chunk = CPU_CHUNK_LATENTS if latents.device.type == "cpu" else CHUNK_LATENTS
        with torch.autocast(latents.device.type, enabled=False):  # bf16 is too coarse to compare
            nearest = [
                torch.addmm(norms, part, self.vectors.T, alpha=-2).argmin(1)
                for part in flat.split(chunk)
            ]
        return torch.cat(nearest).view(latents.shape[0], latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """(B, T) -> the codes' vectors (B, E, T)."""
        return F.embedding(codes, self.vectors).transpose(1, 2)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """One step of the moving averages with latents (B, E, T) and their codes (B, T), then the
        restarts."""
        flat, size = _flatten(latents.detach()), len(self.vectors)
        counts = torch.bincount(codes.flatten(), minlength=size).float()
        sums = torch.zeros_like(self.sums).index_add_(0, codes.flatten(), flat)
        self.usage.lerp_(counts, 1 - self.ema_decay)
        self.sums.lerp_(sums, 1 - self.ema_decay)
        average = flat.shape[0] / size
        dead = self.usage < self.restart_threshold * average
        restarts = _random_latents(flat, size, generator)
        self.usage.masked_fill_(dead, average)
        self.sums.copy_(torch.where(dead[:, None], restarts * average, self.sums))
        self.vectors.copy_(self.sums / self.usage[:, None])

    @torch.no_grad()
    def initialize(self, latents: Tensor, generator: torch.Generator) -> None:
        """Prepare for the first step of a training run, given its first batch (B, E, T).

        Vectors that were trained before are kept, with the same usage for each; otherwise the
        codebook is initialised from the batch.
        """
        if not self.vectors.any():
            self.initialize_from_batch(latents, generator)
            return
        self.usage.fill_(latents.shape[0] * latents.shape[2] / len(self.usage))
        self.sums.copy_(self.vectors * self.usage[:, None])

    @torch.no_grad()
    def initialize_from_batch(self, latents: Tensor, generator: torch.Generator) -> None:
        """Set every vector to a random latent of the batch (B, E, T), plus a little noise."""
        flat = _flatten(latents.detach())
        chosen = _random_latents(flat, len(self.vectors), generator)
        noise = torch.randn(chosen.shape, generator=generator).to(flat.device)
        self.vectors.copy_(chosen + 0.01 * flat.std() * noise)
        self.usage.fill_(flat.shape[0] / len(self.vectors))
        self.sums.copy_(self.vectors * self.usage[:, None])


def _flatten(latents: Tensor) -> Tensor:  # (B, E, T) -> (N, E), fp32
    return latents.transpose(1, 2).reshape(-1, latents.shape[1]).float()


def _random_latents(flat: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` random rows of (N, E): every row once before any is repeated."""
    rounds = -(-count // len(flat))
    rows = torch.cat([torch.randperm(len(flat), generator=generator) for _ in range(rounds)])
    return flat[rows[:count].to(flat.device)]
