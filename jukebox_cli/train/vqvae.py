"""Training one level's autoencoder on crops of recordings (paper, section 3)."""

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
    waveform_loss,
)
from jukebox_cli.train.task import Metrics, OneLossTask

#: Batches of held-out crops that an evaluation measures.
NUM_EVALUATION_BATCHES = 8


class VQVAETask(OneLossTask):
    """A `Task` that trains the autoencoder of one level; levels are trained independently.

    The loss is waveform + spectral + mel_weight * log-mel + commit_weight * commitment loss (paper,
    section 2, equation 1, and section 3.3; the log-mel term is not in the paper). The codebook
    is not learned by gradient but by moving averages, updated once per step.
    """

    def __init__(
        self,
        config: VQVAEConfig,
        level: int,
        crops: Crops,
        held_out_crops: Crops | None,
        *,
        batch_size: int = 8,
        commit_weight: float = 0.02,
        mel_weight: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(crops.seed)
        self.component = f"vqvae-{level}"
        self.module = Autoencoder(level, config).to(device)
        self.crops, self.held_out_crops = crops, held_out_crops
        self.batch_source: BatchSource = partial(crops.batch, batch_size=batch_size)
        self.batch_size, self.device = batch_size, device
        self.commit_weight, self.mel_weight = commit_weight, mel_weight

    def loss(self, step: int, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of crops (B, 1, N) and its terms; also updates the codebook."""
        target = batch.to(self.device, non_blocking=True)
        generator = torch.Generator().manual_seed(self.crops.seed + step)
        codebook = self.module.codebook
        if step == 0:
            with torch.no_grad():
                codebook.initialize(self.module.encoder(target), generator)
        out = self.module(target)
        with torch.autocast(target.device.type, enabled=False):
            loss, metrics = self._reconstruction_loss(target[:, 0], out.audio[:, 0].float())
            loss = loss + self.commit_weight * out.commit_loss
        codebook.update(out.latents, out.codes, generator)
        return loss, {
            **metrics,
            "commit_loss": out.commit_loss.detach(),
            "entropy_bits": entropy_bits(codebook.usage),
        }

    def _reconstruction_loss(
        self, target: Tensor, reconstruction: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of waveforms (B, N) without the commitment term, and its terms to log."""
        target_stft, stft = stft_magnitudes(target), stft_magnitudes(reconstruction)
        waveform = waveform_loss(target, reconstruction)
        spectral = spectral_loss(target_stft, stft)
        log_mel = log_mel_loss(target_stft, stft, self.crops.sample_rate)
        return waveform + spectral + self.mel_weight * log_mel, {
            "waveform_loss": waveform.detach(),
            "spectral_loss": spectral.detach(),
            "log_mel_loss": log_mel.detach(),
            "spectral_convergence_db": spectral_convergence_db(target, reconstruction.detach()),
        }

    def evaluate(self) -> Metrics:
        """Reconstruction error and use of the codebook on held-out crops; empty without any."""
        if self.held_out_crops is None:
            return {}
        counts = torch.zeros(self.module.codebook.vectors.shape[0])
        convergence, log_mel = [], []
        for step in range(NUM_EVALUATION_BATCHES):
            batch = self.held_out_crops.batch(step, self.batch_size).to(self.device)
            out = self.module(batch)
            counts += torch.bincount(out.codes.flatten().cpu(), minlength=len(counts))
            target, reconstruction = batch[:, 0], out.audio[:, 0]
            convergence.append(spectral_convergence_db(target, reconstruction))
            spectra = stft_magnitudes(target), stft_magnitudes(reconstruction)
            log_mel.append(log_mel_loss(*spectra, self.crops.sample_rate))
        return {
            "spectral_convergence_db": float(torch.stack(convergence).mean()),
            "log_mel_loss": float(torch.stack(log_mel).mean()),
            "entropy_bits": float(entropy_bits(counts)),
            "codes_used": float((counts > 0).sum()),
        }

    def export(self) -> dict[str, Tensor]:
        """The weights in fp16."""
        return {k: v.detach().half() for k, v in self.module.state_dict().items()}


def entropy_bits(counts: Tensor) -> Tensor:
    """Entropy in bits of the distribution of codes, from counts (K,); shape ().

    It is log2(K) if all codes are equally frequent, and 0 if one code is used alone or none is.
    """
    probabilities = counts / counts.sum().clamp_min(1)
    return torch.special.entr(probabilities).sum() / np.log(2)
