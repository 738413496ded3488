"""Network parts for conditioners."""

from __future__ import annotations

import torch

from jukebox_cli.api.nn import Conditioning, RangeEmbedding, StartEmbedding


def test_conditions_are_summed() -> None:
    start, per_token = torch.ones(2, 4), torch.ones(2, 3, 4)
    both = Conditioning(start=start) + Conditioning(start=start, per_token=per_token)
    assert both.start is not None
    assert both.per_token is not None
    assert torch.equal(both.start, 2 * start)
    assert torch.equal(both.per_token, per_token)


def test_embeddings_have_the_width_of_the_prior() -> None:
    ids = torch.tensor([[1, 2], [1, -1]])
    start = StartEmbedding(3, 4)(ids).start
    assert start is not None
    assert start.shape == (2, 4)
    assert RangeEmbedding(8, 0.0, 1.0, 4)(torch.rand(2, 5)).shape == (2, 5, 4)
