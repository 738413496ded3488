"""The codebook: nearest vectors, moving averages, restarts, initialisation."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.model.codebook import Codebook


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_codebook() -> Codebook:
    codebook = Codebook(16, 4)
    codebook.vectors.copy_(noise(16, 4, seed=5))
    return codebook


def test_a_code_is_the_nearest_vector() -> None:
    codebook, latents = random_codebook(), noise(2, 4, 50)
    differences = latents.transpose(1, 2)[:, :, None] - codebook.vectors
    assert torch.equal(codebook.encode(latents), differences.square().sum(-1).argmin(-1))


def test_every_code_is_that_of_its_own_vector() -> None:
    codebook, codes = random_codebook(), torch.arange(16)[None]
    assert torch.equal(codebook.encode(codebook.decode(codes)), codes)


def test_many_latents_are_encoded_as_a_few() -> None:
    codebook, latents = random_codebook(), noise(1, 4, 2500)
    parts = [codebook.encode(part) for part in latents.split(100, dim=2)]
    assert torch.equal(codebook.encode(latents), torch.cat(parts, dim=1))


def test_codes_are_compared_in_full_precision_under_autocast() -> None:
    codebook, latents = random_codebook(), noise(4, 4, 500)
    with torch.autocast("cpu", torch.bfloat16):
        codes = codebook.encode(latents)
    assert torch.equal(codes, codebook.encode(latents))


def test_an_update_is_a_moving_average_of_sums_and_counts() -> None:
    codebook, latents = Codebook(4, 3, ema_decay=0.9), noise(2, 3, 40)
    codebook.initialize_from_batch(latents, seeded())
    codes = codebook.encode(latents)
    flat, numbers = latents.transpose(1, 2).reshape(-1, 3).numpy(), codes.flatten().numpy()
    counts = np.bincount(numbers, minlength=4)
    sums = np.stack([flat[numbers == k].sum(0) for k in range(4)])
    usage = 0.9 * 20 + 0.1 * counts
    expected = (0.9 * codebook.vectors.numpy() * 20 + 0.1 * sums) / usage[:, None]
    codebook.update(latents, codes, seeded())
    np.testing.assert_allclose(codebook.usage.numpy(), usage, rtol=1e-5)
    np.testing.assert_allclose(codebook.vectors.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_trained_vectors_are_kept_with_equal_usage() -> None:
    codebook, latents, trained = Codebook(4, 3), noise(2, 3, 40), noise(4, 3)
    codebook.vectors.copy_(trained)
    codebook.initialize(latents, seeded())
    assert torch.equal(codebook.vectors, trained)
    assert codebook.usage.tolist() == [20.0] * 4
    torch.testing.assert_close(codebook.sums, trained * 20)


def test_an_untrained_codebook_is_initialised_from_the_batch() -> None:
    first, second, latents = Codebook(4, 3), Codebook(4, 3), noise(2, 3, 40)
    first.initialize(latents, seeded())
    second.initialize_from_batch(latents, seeded())
    assert first.vectors.any()
    assert torch.equal(first.vectors, second.vectors)


def clusters(centers: Tensor, count: int) -> Tensor:
    """(1, E, centers * count): points near the centers."""
    points = centers.repeat_interleave(count, 0)
    return (points + 0.1 * noise(len(points), centers.shape[1])).T[None]


def test_vectors_move_to_the_means_of_their_clusters() -> None:
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


def are_latents(vectors: Tensor, latents: Tensor) -> Tensor:
    """Whether each vector (K, E) is one of the latents."""
    return distances(vectors, latents).amin(1) < 1e-4


@pytest.mark.parametrize("points", [8, 64, 1000], ids="{} latents for 64 codes".format)
def test_dead_codes_restart_at_latents_of_the_batch(points: int) -> None:
    latents = clusters(torch.tensor([[9.0, 0.0], [0.0, 9.0]]), points // 2)
    codebook = Codebook(64, 2)
    codebook.initialize_from_batch(latents, seeded())
    far = torch.arange(64.0)[:, None] + torch.tensor([100.0, 100.0])
    far[:2] = torch.tensor([[9.0, 0.0], [0.0, 9.0]])  # the only codes in use
    codebook.vectors.copy_(far)
    codebook.sums.copy_(far * codebook.usage[:, None])
    steps = ceil(log(0.1) / log(0.97))  # until an average usage has decayed to the threshold
    for step in range(steps):
        codebook.update(latents, codebook.encode(latents), seeded(step))
        moved = (codebook.vectors - far).norm(dim=1)
        assert moved[:2].max() < 1
        assert bool((moved[2:] > 50).all()) == (step == steps - 1)
    assert are_latents(codebook.vectors[2:], latents).all()
    torch.testing.assert_close(codebook.usage[2:], torch.full((62,), points / 64))


def test_a_restarted_code_is_not_dead_at_the_next_step() -> None:
    latents = noise(1, 2, 8)
    codebook = Codebook(64, 2)
    codebook.initialize_from_batch(latents, seeded())
    codebook.usage.fill_(1e-6)
    codebook.update(latents, torch.zeros(1, 8, dtype=torch.long), seeded())
    restarted = codebook.vectors.clone()
    codebook.update(latents, torch.zeros(1, 8, dtype=torch.long), seeded(1))
    torch.testing.assert_close(codebook.vectors[1:], restarted[1:])


def test_initial_vectors_use_every_latent_once_before_any_twice() -> None:
    latents = noise(1, 2, 10) * 100
    codebook = Codebook(15, 2)
    codebook.initialize_from_batch(latents, seeded())
    distance = distances(codebook.vectors, latents)
    assert 0 < distance.amin(1).min() < distance.amin(1).max() < 10  # a little noise
    assert sorted(distance.argmin(1).bincount().tolist()) == [1] * 5 + [2] * 5
