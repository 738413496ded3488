"""The zero-initialised projection of an added conditioner."""

from __future__ import annotations

import torch

from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.zero_projection import ZeroProjection

CONDITIONS = Conditioning(
    start=torch.ones(2, 3), per_token=torch.ones(2, 5, 3), memory=torch.ones(2, 4, 3)
)


def test_it_is_zero_at_first_but_has_a_gradient() -> None:
    projection = ZeroProjection(3)
    projected = projection(CONDITIONS)
    assert not projected.start.any()
    assert not projected.per_token.any()
    (projected.start.sum() + projected.per_token.sum()).backward()
    assert projection.weight.grad is not None
    assert projection.weight.grad.all()


def test_it_projects_start_and_per_token_and_passes_the_memory() -> None:
    projection = ZeroProjection(3)
    with torch.no_grad():
        projection.weight.copy_(torch.diag(torch.tensor([1.0, 2.0, 3.0])))
    projected = projection(CONDITIONS)
    assert projected.start.tolist() == [[1.0, 2.0, 3.0]] * 2
    assert torch.equal(projected.per_token, projected.start[:, None].expand(2, 5, 3))
    assert projected.memory is CONDITIONS.memory


def test_missing_fields_stay_missing() -> None:
    assert ZeroProjection(3)(Conditioning()) == Conditioning()
