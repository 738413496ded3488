"""Discriminators: what they see, their losses by their formulas, and that they learn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from jukebox_cli.train.discriminators import (
    PERIODS,
    WINDOW_LENGTHS,
    Discriminators,
    Features,
    PeriodDiscriminator,
    SpectrogramDiscriminator,
    adversarial_loss,
    discriminator_loss,
    feature_loss,
)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def judgements(*values: float) -> list[Features]:
    """Features of discriminators whose judgement is one of the values, after a layer of 2."""
    return [[torch.full((1, 3), 2.0), torch.full((1, 4), value)] for value in values]


def test_every_weight_of_every_discriminator_gets_a_gradient() -> None:
    discriminators = Discriminators()
    features = discriminators(noise(2, 1, 3001))
    assert len(features) == len(PERIODS) + len(WINDOW_LENGTHS)
    discriminator_loss(features, features).backward()
    for name, parameter in discriminators.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_a_period_discriminator_has_one_column_for_each_sample_of_a_period() -> None:
    features = PeriodDiscriminator(7)(noise(1, 1, 700))
    assert [each.shape[3] for each in features] == [7] * 6
    assert [each.shape[2] for each in features] == [34, 12, 4, 2, 2, 2]


def test_columns_of_a_period_discriminator_do_not_mix() -> None:
    discriminator, audio = PeriodDiscriminator(5), noise(1, 1, 500)
    changed = audio.clone()
    changed[..., 3::5] += 1
    pairs = zip(discriminator(audio), discriminator(changed), strict=True)
    assert all((x != y).any(dim=(0, 1, 2)).tolist() == [0, 0, 0, 1, 0] for x, y in pairs)


@torch.no_grad()
def test_a_band_sees_its_frequencies_alone() -> None:
    discriminator = SpectrogramDiscriminator(512)
    time = torch.arange(4096) / 2
    low, high = (0.3 * torch.sin(torch.pi * time * f)[None, None] for f in (0.1, 1.5))
    pairs = zip(discriminator(low), discriminator(low + 1e-2 * high), strict=True)
    changes = [(x - y).abs().max().item() for x, y in pairs]
    bands = [max(changes[4 * i : 4 * i + 4]) for i in range(4)]
    assert bands[3] > 10 * max(bands[:2])


def test_quiet_treble_is_seen_beside_loud_bass() -> None:
    """Its magnitude is a hundredth of the bass's, and a tenth after compression."""
    time = torch.arange(4096)
    bass = torch.sin(2 * torch.pi * time / 32)
    spectrogram = SpectrogramDiscriminator(512)._spectrogram
    loud, quiet = (spectrogram(x[None, None]).abs().amax() for x in (bass, 0.01 * bass))
    assert 0.09 < quiet / loud < 0.11


def test_the_gradient_is_finite_in_silence() -> None:
    audio = torch.zeros(1, 1, 3000, requires_grad=True)
    adversarial_loss(Discriminators()(audio)).backward()
    assert audio.grad is not None
    assert audio.grad.isfinite().all()


def test_the_losses_are_their_formulas() -> None:
    real, fake = judgements(1.0, 0.5), judgements(0.5, 0.25)
    assert discriminator_loss(real, fake).item() == pytest.approx((0.25 + 0.25 + 0.0625) / 2)
    assert adversarial_loss(fake).item() == pytest.approx((0.25 + 0.5625) / 2)
    fake[0][0] = torch.full((1, 3), 1.0)
    assert feature_loss(real, fake).item() == pytest.approx((0.5 + 0) / 2)


def test_recordings_get_no_gradient_from_the_loss_of_features() -> None:
    real, fake = judgements(1.0), judgements(1.0)
    real[0][0].requires_grad_(True)
    fake[0][0] = torch.ones((1, 3), requires_grad=True)
    feature_loss(real, fake).backward()
    assert real[0][0].grad is None
    assert fake[0][0].grad is not None


def test_discriminators_learn_to_tell_noise_from_a_tone() -> None:
    torch.manual_seed(0)
    discriminators = Discriminators()
    optimizer = torch.optim.AdamW(discriminators.parameters(), 1e-3)
    tone = 0.2 * torch.sin(torch.arange(2048) / 5)[None, None]
    losses = []
    for step in range(12):
        torch.manual_seed(step)
        loss = discriminator_loss(
            discriminators(tone), discriminators(0.2 * torch.randn(1, 1, 2048))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
