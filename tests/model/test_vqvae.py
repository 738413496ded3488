"""The autoencoders: lengths, the bottleneck and its gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import DecoderSize, VQVAEConfig
from jukebox_cli.model.convolution import ResidualConv
from jukebox_cli.model.vqvae import VQVAE, Autoencoder

CONFIG = VQVAEConfig(
    sample_rate=8000,
    strides=((4,), (2, 2), (6,)),
    codebook_size=16,
    embedding_dim=4,
    widths=(8, 6, 4),
    depths=(2, 1, 1),
)


def make_autoencoder(level: int = 0) -> Autoencoder:
    torch.manual_seed(0)
    autoencoder = Autoencoder(level, CONFIG)
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.mul_(2.0)
        autoencoder.codebook.vectors.normal_()
    return autoencoder


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("level", "hop_length"), [(0, 4), (1, 16), (2, 96)])
def test_a_token_spans_the_product_of_the_strides_up_to_its_level(
    level: int, hop_length: int
) -> None:
    assert CONFIG.hop_lengths[level] == hop_length
    network = VQVAE(CONFIG).level(level)
    codes = network.encode(noise(2, 1, 5 * hop_length))
    assert codes.shape == (2, 5)
    assert network.decode(codes).shape == (2, 1, 5 * hop_length)
    assert network(noise(2, 1, 5 * hop_length)).audio.shape == (2, 1, 5 * hop_length)


def test_a_decoder_may_have_another_size_than_its_encoder() -> None:
    other = Autoencoder(0, CONFIG.with_decoder(0, DecoderSize(10, 3)))
    plain = Autoencoder(0, CONFIG)
    shapes = [[p.shape for p in each.encoder.parameters()] for each in (plain, other)]
    assert shapes[0] == shapes[1]
    blocks = [m for m in other.decoder.modules() if isinstance(m, ResidualConv)]
    assert [block.dilated.dilation for block in blocks] == [(9,), (3,), (1,)]
    assert {block.dilated.in_channels for block in blocks} == {10}
    assert other.decode(torch.zeros(1, 5, dtype=torch.long)).shape == (1, 1, 20)


def test_levels_have_widths_and_depths_of_their_own() -> None:
    vqvae = VQVAE(CONFIG)
    widths = [[m.pointwise.out_channels for m in residuals(level)] for level in vqvae.levels]
    assert widths == [[8] * 4, [6] * 6, [4] * 8]
    assert vqvae.device == torch.device("cpu")


def residuals(network: nn.Module) -> list[ResidualConv]:
    return [m for m in network.modules() if isinstance(m, ResidualConv)]


def test_the_decoder_reverses_the_dilations() -> None:
    network = make_autoencoder()
    assert [m.dilated.dilation[0] for m in residuals(network.encoder)] == [1, 3]
    assert [m.dilated.dilation[0] for m in residuals(network.decoder)] == [3, 1]


def test_a_training_pass_decodes_the_codes() -> None:
    network, audio = make_autoencoder(), noise(1, 1, 64)
    out = network(audio)
    assert torch.equal(out.codes, network.encode(audio))
    torch.testing.assert_close(out.audio, network.decode(out.codes))
    quantized = network.codebook.decode(out.codes)
    torch.testing.assert_close(out.commit_loss, (out.latents - quantized).square().mean())


def test_gradients_pass_straight_through_the_bottleneck() -> None:
    network = make_autoencoder()
    out = network(noise(1, 1, 64))
    out.latents.retain_grad()
    out.audio.square().sum().backward()
    quantized = network.codebook.decode(out.codes).detach().requires_grad_()
    network.decoder(quantized).square().sum().backward()
    torch.testing.assert_close(out.latents.grad, quantized.grad)
    assert all(p.grad is not None and p.grad.any() for p in network.encoder.parameters())


def test_the_commitment_loss_moves_the_latents_to_their_codes() -> None:
    network = make_autoencoder()
    out = network(noise(1, 1, 64))
    out.latents.retain_grad()
    out.commit_loss.backward()
    difference = out.latents - network.codebook.decode(out.codes)
    torch.testing.assert_close(out.latents.grad, 2 * difference / difference.numel())
