"""Training one level's autoencoder on crops of songs (paper, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.model.vqvae import Autoencoder
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.data import BatchSource
from jukebox_cli.train.losses import (
    log_mel_loss,
    spectral_convergence_db,
    spectral_loss,
    stft_magnitudes,
    time_loss,
)
from jukebox_cli.train.task import Metrics


class AutoencoderTask:
    """One level of a VQ-VAE, trained on its own: the levels share nothing."""

    def __init__(
        self,
        config: VQVAEConfig,
        level: int,
        crops: Crops,
        held_out: Crops | None,
        *,
        batch: int = 8,
        commit_weight: float = 0.02,
        mel_weight: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(crops.seed)
        self.part = f"vqvae-{level}"
        self.module = Autoencoder(level, config).to(device)
        self.crops, self.held_out_crops = crops, held_out
        self.source: BatchSource = partial(crops.batch, size=batch)
        self.size, self.device = batch, device
        self.commit_weight, self.mel_weight = commit_weight, mel_weight  # their shares in the loss

    def loss(self, step: int, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        target = batch.to(self.device, non_blocking=True)
        generator = torch.Generator().manual_seed(self.crops.seed + step)
        codebook = self.module.codebook
        if step == 0:
            with torch.no_grad():
                codebook.initialize(self.module.encoder(target), generator)
        out = self.module(target)
        with torch.autocast(target.device.type, enabled=False):
            wanted, got = target[:, 0], out.audio[:, 0].float()
            time, (one, other) = (
                time_loss(wanted, got),
                (stft_magnitudes(wanted), stft_magnitudes(got)),
            )
            spectral = spectral_loss(one, other)
            mel = log_mel_loss(one, other, self.crops.sample_rate)
            loss = time + spectral + self.mel_weight * mel + self.commit_weight * out.commit_loss
        codebook.update(out.latents, out.codes, generator)
        return loss, {
            "time": time.detach(),
            "spectral": spectral.detach(),
            "log_mel": mel.detach(),
            "commit": out.commit_loss.detach(),
            "entropy_bits": entropy_bits(codebook.usage),
            "convergence_db": spectral_convergence_db(wanted, got.detach()),
        }

    def held_out(self, batches: int = 8) -> Metrics:
        """Spectral convergence and use of the codebook on crops of songs held out."""
        if self.held_out_crops is None:
            return {}
        used = torch.zeros(self.module.codebook.vectors.shape[0])
        ratios, mels = [], []
        for step in range(batches):
            target = self.held_out_crops.batch(step, self.size).to(self.device)
            out = self.module(target)
            used += torch.bincount(out.codes.flatten().cpu(), minlength=len(used))
            wanted, got = target[:, 0], out.audio[:, 0]
            ratios.append(spectral_convergence_db(wanted, got))
            mels.append(
                log_mel_loss(stft_magnitudes(wanted), stft_magnitudes(got), self.crops.sample_rate)
            )
        return {
            "convergence_db": float(torch.stack(ratios).mean()),
            "log_mel": float(torch.stack(mels).mean()),
            "entropy_bits": float(entropy_bits(used)),
            "codes_used": float((used > 0).sum()),
        }

    def export(self) -> dict[str, Tensor]:
        return {k: v.detach().half() for k, v in self.module.state_dict().items()}


def entropy_bits(counts: Tensor) -> Tensor:
    """Entropy of a codebook's use in bits; log2(bins) when every code is as frequent."""
    share = counts / counts.sum().clamp_min(1)
    return torch.special.entr(share).sum() / np.log(2)
