"""Embeddings for conditioner networks."""

from __future__ import annotations

import torch

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding


def test_a_start_is_the_sum_of_the_embeddings_of_the_filled_slots() -> None:
    embedding = StartEmbedding(5, 3)
    weight = embedding.embedding.weight
    conditions = embedding(torch.tensor([[1, 4, -1], [-1, -1, -1]]))
    torch.testing.assert_close(
        conditions.start, torch.stack([weight[1] + weight[4], 0 * weight[0]])
    )
    assert conditions == Conditioning(start=conditions.start)


def test_numbers_are_clamped_into_the_range() -> None:
    embedding = RangeEmbedding(num_bins=4, low=10.0, high=18.0, width=3)
    values = torch.tensor([[-5.0, 10.0, 11.99, 12.0, 17.9, 18.0, 99.0]])
    expected = embedding.embedding.weight[[0, 0, 0, 1, 3, 3, 3]]
    torch.testing.assert_close(embedding(values)[0], expected)
