"""The autoencoders: lengths and the bottleneck."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.model.vqvae import VQVAE, Autoencoder, Codebook, ResidualConv, residual_stack

CONFIG = VQVAEConfig(
    sample_rate=8000,
    strides=((4,), (2, 2), (6,)),
    codebook_size=16,
    embedding_dim=4,
    widths=(8, 6, 4),
    depths=(2, 1, 1),
)


def autoencoder(level: int = 0) -> Autoencoder:
    torch.manual_seed(0)
    made = Autoencoder(level, CONFIG)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.mul_(2.0)
        made.codebook.vectors.normal_()
    return made


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("level", "hop"), [(0, 4), (1, 16), (2, 96)])
def test_a_token_is_as_many_samples_as_the_strides_up_to_its_level(level, hop):
    assert CONFIG.hop_lengths[level] == hop
    network = VQVAE(CONFIG).level(level)
    codes = network.encode(noise(2, 1, 5 * hop))
    assert codes.shape == (2, 5)
    assert network.decode(codes).shape == (2, 1, 5 * hop)
    assert network(noise(2, 1, 5 * hop)).audio.shape == (2, 1, 5 * hop)


@pytest.mark.parametrize("strides", [((3,),), ((2, 1),), ((0,),)])
def test_strides_that_give_no_whole_tokens_are_refused(strides):
    with pytest.raises(ValueError, match="strides must be even"):
        VQVAEConfig(strides=strides, widths=(8,), depths=(1,))


@pytest.mark.parametrize("bins", [0, 65537])
def test_more_bins_than_a_token_on_disk_can_say_are_refused(bins):
    with pytest.raises(ValueError, match="bins must be from 1 to 65536"):
        VQVAEConfig(codebook_size=bins)


def dilations(network: torch.nn.Module) -> list[int]:
    return [m.dilated.dilation[0] for m in network.modules() if isinstance(m, ResidualConv)]


@pytest.mark.parametrize(
    ("knobs", "wanted"),
    [
        ({"depth": 4}, [1, 3, 9, 27]),
        ({"depth": 3, "growth": 2}, [1, 2, 4]),
        ({"depth": 5, "cycle": 2}, [1, 3, 1, 3, 1]),
        ({"depth": 3, "reverse": True}, [9, 3, 1]),
        ({"depth": 3, "cycle": 2, "reverse": True}, [1, 3, 1]),
    ],
)
def test_dilations_grow_start_anew_and_reverse(knobs, wanted):
    stack = residual_stack(4, **knobs)
    assert dilations(stack) == wanted
    assert stack(noise(1, 4, 7)).shape == (1, 4, 7)


def test_the_decoder_runs_through_the_dilations_in_reverse():
    network = autoencoder()
    assert dilations(network.encoder) == [1, 3]
    assert dilations(network.decoder) == [3, 1]


def test_a_code_is_the_nearest_vector():
    codebook = autoencoder().codebook
    latents = noise(2, 4, 50)
    every = latents.transpose(1, 2)[:, :, None] - codebook.vectors
    assert torch.equal(codebook.encode(latents), every.square().sum(-1).argmin(-1))
    assert torch.equal(
        codebook.encode(codebook.decode(torch.arange(16)[None])), torch.arange(16)[None]
    )


def test_codes_are_compared_in_full_precision_under_autocast():
    codebook, latents = autoencoder().codebook, noise(4, 4, 500)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = codebook.encode(latents)
    assert torch.equal(coarse, codebook.encode(latents))


def test_what_the_decoder_hears_is_the_codes():
    network, audio = autoencoder(), noise(1, 1, 64)
    out = network(audio)
    assert torch.equal(out.codes, network.encode(audio))
    torch.testing.assert_close(out.audio, network.decode(out.codes))
    quantized = network.codebook.decode(out.codes)
    torch.testing.assert_close(out.commit, (out.latents - quantized).square().mean())


def test_gradients_pass_straight_by_the_bottleneck_to_the_encoder():
    network = autoencoder()
    out = network(noise(1, 1, 64))
    out.latents.retain_grad()
    out.audio.square().sum().backward()
    quantized = network.codebook.decode(out.codes).detach().requires_grad_()
    network.decoder(quantized).square().sum().backward()
    torch.testing.assert_close(out.latents.grad, quantized.grad)
    assert all(p.grad is not None and p.grad.any() for p in network.encoder.parameters())


def test_the_commitment_loss_moves_the_latents_to_their_codes():
    network = autoencoder()
    out = network(noise(1, 1, 64))
    out.latents.retain_grad()
    out.commit.backward()
    away = out.latents - network.codebook.decode(out.codes)
    torch.testing.assert_close(out.latents.grad, 2 * away / away.numel())


def test_one_update_is_a_moving_average_of_sums_and_counts():
    codebook, latents = Codebook(4, 3, decay=0.9), noise(2, 3, 40)
    codebook.initialize_from_batch(latents, seeded())
    codes = codebook.encode(latents)
    flat, numbers = latents.transpose(1, 2).reshape(-1, 3).numpy(), codes.flatten().numpy()
    counts = np.bincount(numbers, minlength=4)
    sums = np.stack([flat[numbers == k].sum(0) for k in range(4)])
    usage = 0.9 * 20 + 0.1 * counts
    wanted = (0.9 * codebook.vectors.numpy() * 20 + 0.1 * sums) / usage[:, None]
    codebook.update(latents, codes, seeded())
    np.testing.assert_allclose(codebook.usage.numpy(), usage, rtol=1e-5)
    np.testing.assert_allclose(codebook.vectors.numpy(), wanted, rtol=1e-4, atol=1e-5)


def test_vectors_that_were_learned_before_are_begun_with_as_if_used_equally():
    codebook, latents = Codebook(4, 3), noise(2, 3, 40)
    learned = noise(4, 3)
    codebook.vectors.copy_(learned)
    codebook.initialize(latents, seeded())
    assert torch.equal(codebook.vectors, learned)
    assert codebook.usage.tolist() == [20.0] * 4
    torch.testing.assert_close(codebook.sums, learned * 20)


def clusters(centers: Tensor, each: int) -> Tensor:
    """(1, E, centers * each): points near centers."""
    points = centers.repeat_interleave(each, 0) + 0.1 * noise(len(centers) * each, centers.shape[1])
    return points.T[None]


def test_vectors_move_to_the_means_of_their_clusters():
    centers = torch.tensor([[5.0, 0.0], [0.0, 5.0], [-5.0, -5.0]])
    latents = clusters(centers, 30)
    codebook = Codebook(3, 2)
    codebook.initialize_from_batch(latents, seeded())
    codebook.vectors.copy_(centers + 1.0)
    codebook.sums.copy_(codebook.vectors * codebook.usage[:, None])
    for step in range(300):
        codebook.update(latents, codebook.encode(latents), seeded(step))
    means = latents[0].T.view(3, 30, 2).mean(1)
    torch.testing.assert_close(codebook.vectors, means, atol=2e-3, rtol=0)


def distances(vectors: Tensor, latents: Tensor) -> Tensor:
    """(K, E) and (1, E, T) -> (K, T)."""
    return (vectors[:, None] - latents[0].T).norm(dim=2)


def rows_in(vectors: Tensor, latents: Tensor) -> Tensor:
    """Which vectors are one of the latents."""
    return distances(vectors, latents).amin(1) < 1e-4


@pytest.mark.parametrize("points", [8, 64, 1000], ids="{} latents for 64 codes".format)
def test_dead_codes_are_restarted_on_the_batch_and_live_ones_are_not(points):
    latents = clusters(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), points // 2)
    codebook = Codebook(64, 2)
    codebook.initialize_from_batch(latents, seeded())
    far = torch.arange(64.0)[:, None] + torch.tensor([100.0, 100.0])
    far[:2] = torch.tensor([[9.0, 0.0], [0.0, 9.0]])  # the only ones that are used
    codebook.vectors.copy_(far)
    codebook.sums.copy_(far * codebook.usage[:, None])
    steps = ceil(log(0.1) / log(0.97))  # until the usage of 1 that decays is a tenth of it
    for step in range(steps):
        codebook.update(latents, codebook.encode(latents), seeded(step))
        moved = (codebook.vectors - far).norm(dim=1)
        assert moved[:2].max() < 1
        assert (moved[2:] > 50).all() == (step == steps - 1)
    assert rows_in(codebook.vectors[2:], latents).all()
    torch.testing.assert_close(codebook.usage[2:], torch.full((62,), points / 64))


def test_a_restarted_code_is_not_dead_at_the_next_step():
    latents = noise(1, 2, 8)
    codebook = Codebook(64, 2)
    codebook.initialize_from_batch(latents, seeded())
    codebook.usage.fill_(1e-6)
    codebook.update(latents, torch.zeros(1, 8, dtype=torch.long), seeded())
    placed = codebook.vectors.clone()
    codebook.update(latents, torch.zeros(1, 8, dtype=torch.long), seeded(1))
    torch.testing.assert_close(codebook.vectors[1:], placed[1:])


def test_a_codebook_starts_on_latents_each_once_before_any_twice():
    latents = noise(1, 2, 10) * 100
    codebook = Codebook(15, 2)
    codebook.initialize_from_batch(latents, seeded())
    away = distances(codebook.vectors, latents)
    assert 0 < away.amin(1).min() < away.amin(1).max() < 10  # slightly apart
    assert sorted(away.argmin(1).bincount().tolist()) == [1] * 5 + [2] * 5
