"""Conditions: how they are combined, cut into items, stacked and converted."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import Tensor

from jukebox_cli.model.conditioning import (
    Conditioning,
    Prefix,
    arrays_to_device,
    stack_conditionings,
    sum_conditionings,
    to_device,
)
from support.networks import random_tensor

P, V, W = 6, 7, 3


def make_prefix(batch: int = 2, with_output: bool = True) -> Prefix:
    ids = torch.stack([(torch.arange(P) + item) % V for item in range(batch)])
    weights = torch.linspace(0.0, 1.0, P, dtype=torch.float64)
    return Prefix(ids, random_tensor(V, W), weights, random_tensor(V, W) if with_output else None)


def make_conditions(batch: int) -> Conditioning:
    """Conditions with every field but the loss, which has no batch axis."""
    return Conditioning(
        start=random_tensor(batch, W),
        per_token=random_tensor(batch, 5, W),
        memory=random_tensor(batch, 4, W),
        memory_mask=random_tensor(batch, 4) > 0,
        query_encoding=random_tensor(batch, 5, W, seed=3),
        attention_target=random_tensor(batch, 5, 4).abs(),
        prefix=make_prefix(batch),
    )


def tensors(conditions: Conditioning | Prefix) -> dict[str, Tensor]:
    values = {field.name: getattr(conditions, field.name) for field in fields(conditions)}
    own = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    prefix = values.get("prefix")
    return own if prefix is None else own | {f"prefix.{k}": v for k, v in tensors(prefix).items()}


def test_each_field_is_added_or_concatenated() -> None:
    first = Conditioning(
        start=random_tensor(1, 3), per_token=random_tensor(1, 5, 3), memory=random_tensor(1, 2, 3)
    )
    second = Conditioning(
        start=random_tensor(1, 3), memory=random_tensor(1, 4, 3), loss=torch.tensor(1.0)
    )
    both = sum_conditionings([first, second])
    assert first.start is not None
    assert second.start is not None
    assert both.start is not None
    torch.testing.assert_close(both.start, first.start + second.start)
    assert both.per_token is first.per_token
    assert both.memory is not None
    assert both.memory.shape == (1, 6, 3)
    assert both.prefix is None
    assert both.loss is not None
    assert float(both.loss) == 1.0


def test_the_sum_of_nothing_is_empty() -> None:
    assert sum_conditionings([]) == Conditioning()


def test_a_memory_without_a_mask_is_attended_whole_beside_one_with_a_mask() -> None:
    mask, full = torch.tensor([[True, False], [False, True]]), torch.ones(2, 3, dtype=torch.bool)
    masked = Conditioning(memory=random_tensor(2, 2, W), memory_mask=mask)
    plain = Conditioning(memory=random_tensor(2, 3, W))
    masks = [(masked + plain).memory_mask, (plain + masked).memory_mask]
    assert torch.equal(masks[0], torch.cat([mask, full], dim=1))  # type: ignore[arg-type]
    assert torch.equal(masks[1], torch.cat([full, mask], dim=1))  # type: ignore[arg-type]
    assert (masked + Conditioning()).memory_mask is mask
    assert (plain + plain).memory_mask is None


def test_a_memory_without_an_attention_target_gets_a_target_of_zeros() -> None:
    target = torch.rand(2, 5, 2)
    guided = Conditioning(memory=random_tensor(2, 2, W), attention_target=target)
    plain = Conditioning(memory=random_tensor(2, 3, W))
    targets = [(guided + plain).attention_target, (plain + guided).attention_target]
    zeros = torch.zeros(2, 5, 3)
    assert torch.equal(targets[0], torch.cat([target, zeros], dim=2))  # type: ignore[arg-type]
    assert torch.equal(targets[1], torch.cat([zeros, target], dim=2))  # type: ignore[arg-type]
    assert (plain + plain).attention_target is None


def test_prefixes_are_concatenated_with_separate_vocabularies() -> None:
    first, second = make_prefix(), make_prefix()
    assert first.output_weight is not None
    assert second.output_weight is not None
    both = first + Prefix(
        second.ids[:, :2],
        -second.embeddings,
        second.loss_weights[:2] + 2,
        -second.output_weight,
    )
    assert both.ids.tolist() == [[0, 1, 2, 3, 4, 5, V, V + 1], [1, 2, 3, 4, 5, 6, V + 1, V + 2]]
    assert torch.equal(both.embeddings, torch.cat([first.embeddings, -first.embeddings]))
    assert both.output_weight is not None
    assert torch.equal(both.output_weight, torch.cat([first.output_weight, -first.output_weight]))
    weights = first.loss_weights.tolist()
    assert both.loss_weights.tolist() == [*weights, *(w + 2 for w in weights[:2])]
    plain = make_prefix(with_output=False)
    assert (plain + plain).output_weight is None


@pytest.mark.parametrize("with_output", [True, False])
def test_prefixes_with_and_without_an_output_weight_can_not_be_combined(with_output: bool) -> None:
    message = "either both prefixes or neither must have an output_weight"
    with pytest.raises(ValueError, match=message):
        make_prefix(with_output=with_output) + make_prefix(with_output=not with_output)


def test_items_are_stacked_to_the_batch_they_were_cut_from() -> None:
    conditions = make_conditions(3)
    items = [conditions.item(item) for item in range(3)]
    assert [item.start.tolist() for item in items if item.start is not None] == [
        [row] for row in random_tensor(3, W).tolist()
    ]
    stacked, original = tensors(stack_conditionings(items)), tensors(conditions)
    assert stacked.keys() == original.keys()
    assert all(torch.equal(stacked[name], original[name]) for name in original)
    assert stack_conditionings([Conditioning(), Conditioning()]) == Conditioning()


def test_conditions_get_the_dtype_of_the_priors_activations() -> None:
    converted = make_conditions(2).to_dtype(torch.bfloat16)
    kept = {"memory_mask": torch.bool, "attention_target": torch.float64, "prefix.ids": torch.int64}
    dtypes = {name: tensor.dtype for name, tensor in tensors(converted).items()}
    assert dtypes == {name: kept.get(name, torch.bfloat16) for name in dtypes}
    assert Conditioning().to_dtype(torch.float16) == Conditioning()


def test_arrays_are_copied_to_a_device() -> None:
    array = np.arange(4, dtype=np.int64)
    assert to_device(array, "cpu").tolist() == [0, 1, 2, 3]
    copied = arrays_to_device({"artist": {"ids": array}}, torch.device("cpu"))
    assert copied["artist"]["ids"].dtype == torch.int64
    assert copied["artist"]["ids"].tolist() == [0, 1, 2, 3]
