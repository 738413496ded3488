"""Training the decoder of a trained level with discriminators; codes stay as they are.

The encoder and the codebook are frozen, so corpora and priors stay valid. The decoder learns from
log-mel spectrograms at several resolutions, from the spectral and waveform losses of the VQ-VAE at
a smaller weight, and, after a number of steps, from discriminators that learn beside it (HiFi-GAN:
Kong et al. 2020; Descript Audio Codec: Kumar et al. 2023).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import DecoderSize, ModelConfig
from jukebox_cli.model.decoder_growth import can_grow, grow_decoder
from jukebox_cli.model.loader import load_weights
from jukebox_cli.model.vqvae import Autoencoder, Decoder
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.data import BatchSource
from jukebox_cli.train.discriminators import (
    Discriminators,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)
from jukebox_cli.train.losses import (
    log_mel_loss,
    multi_resolution_log_mel_loss,
    spectral_convergence_db,
    spectral_loss,
    stft_magnitudes,
    waveform_loss,
)
from jukebox_cli.train.task import Metrics, StageLoss
from jukebox_cli.train.vqvae import NUM_EVALUATION_BATCHES

#: Of the moving average of the decoder's weights, per step; less in the first steps.
AVERAGE_DECAY = 0.999

#: Discriminators see audio whose peak is this, but quiet audio is not amplified by more than this
#: over the least peak.
PEAK, LEAST_PEAK = 0.5, 0.02


@dataclass(frozen=True)
class AdversarialSettings:
    """The weights of the losses, and when discriminators come in."""

    start: int = 1000  # steps before the decoder learns from discriminators
    batch_size: int = 16  # crops
    mel_weight: float = 1.0  # of the multi-resolution log-mel loss
    spectral_weight: float = 1.0  # of the VQ-VAE's spectral and waveform losses
    # of the discriminators' judgement and of differences in their features: how large the gradient
    # is, relative to that of the losses above
    adversarial_weight: float = 0.5
    feature_weight: float = 1.0

    @property
    def discriminator_start(self) -> int:
        """The steps before discriminators learn: they are ahead of the decoder when they count."""
        return self.start - min(500, self.start // 2)


class DecoderTraining(nn.Module):
    """What is trained, and the moving average of the decoder's weights, which is exported."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder
        self.average = deepcopy(decoder).requires_grad_(False)
        self.discriminators = Discriminators()

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """One step of the moving average, counted from 0."""
        kept = min(AVERAGE_DECAY, (1 + step) / (10 + step))
        weights = [parameter.detach() for parameter in self.decoder.parameters()]
        torch._foreach_lerp_(list(self.average.parameters()), weights, 1 - kept)


class AdversarialTask:
    """A `Task` that trains the decoder of one level, whose encoder and codebook stay as they are.

    size: of the decoder; None for that of the model. A larger one computes the same as that at
        first; a smaller one begins with random weights.
    is_new: whether it begins with random weights in any case.
    Raises InputError if the model has no trained autoencoder at the level.
    """

    def __init__(
        self,
        model: Model,
        level: int,
        crops: Crops,
        held_out_crops: Crops | None,
        settings: AdversarialSettings,
        *,
        size: DecoderSize | None = None,
        is_new: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(crops.seed)
        self.component, self.exported_part = f"decoder-{level}", f"vqvae-{level}"
        self.level, self.settings, self.device = level, settings, device
        self.size = size or model.config.vqvae.decoder_sizes[level]
        is_new = is_new or model.checkpoint(self.component).exists()  # which has other weights
        self.stored, autoencoder = _load_autoencoder(model, level, self.size, is_new)
        self.encoder = autoencoder.encoder.requires_grad_(False).eval().to(device)
        self.codebook = autoencoder.codebook.to(device)
        self.module = DecoderTraining(autoencoder.decoder).to(device)
        self.crops, self.held_out_crops = crops, held_out_crops
        self.batch_source: BatchSource = partial(crops.batch, batch_size=settings.batch_size)

    def losses(self, step: int, batch: Tensor) -> Iterator[StageLoss]:
        """The loss of the discriminators, if they learn yet, and then that of the decoder, for
        crops (B, 1, N). Afterwards, the decoder's moving average is updated."""
        target = batch.to(self.device, non_blocking=True)
        decoded = self.module.decoder(self._latents(target)).float()
        scale = PEAK / target.abs().amax(2, keepdim=True).clamp_min(LEAST_PEAK)
        if step >= self.settings.discriminator_start:
            yield self._discriminator_loss(scale * target, scale * decoded.detach())
        loss, metrics = self._reconstruction_loss(target[:, 0], decoded[:, 0])
        if step >= self.settings.start:
            with _frozen(self.module.discriminators):
                judged, features = self._adversarial_losses(scale * target, scale * decoded)
            weights = self.settings.adversarial_weight, self.settings.feature_weight
            loss = balanced_loss(decoded, loss, [judged, features], weights)
            terms = {"adversarial_loss": judged, "feature_loss": features}
            metrics |= {name: term.detach() for name, term in terms.items()}
        yield StageLoss(loss, metrics)
        self.module.update_average(step)

    @torch.no_grad()
    def _latents(self, audio: Tensor) -> Tensor:
        """(B, 1, N) -> the vectors of its codes (B, E, T), in fp32 as `tokenize` computes them."""
        with torch.autocast(audio.device.type, enabled=False):
            return self.codebook.decode(self.codebook.encode(self.encoder(audio)))

    def _discriminator_loss(self, target: Tensor, decoded: Tensor) -> StageLoss:
        features = self.module.discriminators(torch.cat([target, decoded]))
        halves = [[each.chunk(2) for each in some] for some in features]
        recorded, fake = ([[pair[i] for pair in some] for some in halves] for i in (0, 1))
        loss = discriminator_loss(recorded, fake)
        return StageLoss(loss, {"discriminator_loss": loss.detach()}, "discriminator_")

    def _reconstruction_loss(
        self, target: Tensor, decoded: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of waveforms (B, N) without discriminators, and its terms to log."""
        with torch.autocast(target.device.type, enabled=False):
            waveform = waveform_loss(target, decoded)
            spectral = spectral_loss(stft_magnitudes(target), stft_magnitudes(decoded))
            mel = multi_resolution_log_mel_loss(target, decoded, self.crops.sample_rate)
            convergence = spectral_convergence_db(target, decoded.detach())
        loss = self.settings.mel_weight * mel + self.settings.spectral_weight * (
            spectral + waveform
        )
        return loss, {
            "waveform_loss": waveform.detach(),
            "spectral_loss": spectral.detach(),
            "multi_resolution_log_mel_loss": mel.detach(),
            "spectral_convergence_db": convergence,
        }

    def _adversarial_losses(self, target: Tensor, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """What the discriminators, which don't learn from it, say of the decoder, and how far their
        features are from those of recordings; shape ()."""
        with torch.no_grad():
            recorded = self.module.discriminators(target)
        fake = self.module.discriminators(decoded)
        return adversarial_loss(fake), feature_loss(recorded, fake)

    def evaluate(self) -> Metrics:
        """Reconstruction errors of the moving average on held-out crops; empty without any."""
        if self.held_out_crops is None:
            return {}
        rows = []
        for step in range(NUM_EVALUATION_BATCHES):
            batch = self.held_out_crops.batch(step, self.settings.batch_size).to(self.device)
            target, decoded = batch[:, 0], self.module.average(self._latents(batch))[:, 0]
            rows.append(_distances(target, decoded, self.crops.sample_rate))
        return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}

    def export(self) -> dict[str, Tensor]:
        """The encoder and codebook as they were, and the decoder's moving average in fp16."""
        decoder = self.module.average.state_dict()
        average = {f"decoder.{name}": value.half() for name, value in decoder.items()}
        return {**self.stored, **average}

    def exported_config(self, config: ModelConfig) -> ModelConfig:
        """The model's config with the size of the decoder."""
        if config.vqvae.decoder_sizes[self.level] == self.size:
            return config
        return replace(config, vqvae=config.vqvae.with_decoder(self.level, self.size))


def _distances(target: Tensor, decoded: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """Figures of waveforms (B, N), of shape ()."""
    spectra = stft_magnitudes(target), stft_magnitudes(decoded)
    return {
        "spectral_convergence_db": spectral_convergence_db(target, decoded),
        "log_mel_loss": log_mel_loss(*spectra, sample_rate),
        "multi_resolution_log_mel_loss": multi_resolution_log_mel_loss(
            target, decoded, sample_rate
        ),
    }


def balanced_loss(
    decoded: Tensor, loss: Tensor, others: Sequence[Tensor], weights: Sequence[float]
) -> Tensor:
    """`loss` plus the others times their weights, all functions of `decoded`; shape ().

    Its gradient at `decoded` is that of `loss` plus those of the others, each scaled to its weight
    times the norm of the first: discriminators judge as loudly however steep they are. Source:
    Defossez et al. 2022, "High Fidelity Neural Audio Compression", section 3.4, without the moving
    average.
    """
    with torch.autocast(decoded.device.type, enabled=False):
        (gradient,) = torch.autograd.grad(loss, decoded)
        norm = gradient.norm()
        for other, weight in zip(others, weights, strict=True):
            (of_other,) = torch.autograd.grad(other, decoded, retain_graph=True)
            gradient = gradient + weight * norm / of_other.norm().clamp_min(1e-12) * of_other
            loss = loss + weight * other
        linear = (decoded * gradient).sum()  # has this gradient
        return loss.detach() + linear - linear.detach()


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Within the block, the weights of a module get no gradient."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def _load_autoencoder(
    model: Model, level: int, size: DecoderSize, is_new: bool
) -> tuple[Mapping[str, Tensor], Autoencoder]:
    """The stored encoder and codebook, and the autoencoder with a decoder of a size."""
    part = f"vqvae-{level}"
    model.require_weights(part)
    weights = load_tensors(model.weights(part))
    config = model.config.vqvae
    autoencoder = Autoencoder(level, config.with_decoder(level, size))
    stored = {name: t for name, t in weights.items() if not name.startswith("decoder.")}
    load_weights(autoencoder.encoder, _of_part(stored, "encoder."), model)
    load_weights(autoencoder.codebook, _of_part(stored, "codebook."), model)
    if not is_new and can_grow(config.decoder_sizes[level], size):
        trained = Decoder(level, config)
        load_weights(trained, _of_part(weights, "decoder."), model)
        grow_decoder(trained, autoencoder.decoder)
    return stored, autoencoder


def _of_part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
