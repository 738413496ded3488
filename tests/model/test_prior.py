"""The prior: input and output, steps, conditions and attention weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.embeddings import StartEmbedding
from support.networks import (
    CODEBOOK_SIZE,
    CONTEXT,
    MEMORY_LENGTH,
    WIDTH,
    make_full_prior,
    make_prior,
    random_inputs,
    random_tensor,
    random_tokens,
    without_layers,
)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_inputs_and_logits_are_their_formula(tied: bool, norm: bool) -> None:
    prior = without_layers(make_prior(tie_embeddings=tied, final_norm=norm).double())
    tokens = random_tokens()
    start, per_token = random_tensor(2, WIDTH), random_tensor(2, CONTEXT, WIDTH)
    previous = torch.cat([start[:, None], prior.token_embedding.weight[tokens[:, :-1]]], dim=1)
    x = previous + prior.position_embedding + per_token
    x = prior.final_norm(x + per_token if tied else x)
    if prior.output is None:
        expected = x @ prior.token_embedding.weight.T
    else:
        expected = x @ prior.output.weight + prior.output.bias
    torch.testing.assert_close(prior(tokens, Conditioning(start, per_token)), expected)


def test_a_tied_prior_has_no_output_layer() -> None:
    untied = {name for name, _ in make_prior(tie_embeddings=False).named_parameters()}
    tied = {name for name, _ in make_prior(tie_embeddings=True).named_parameters()}
    assert untied - tied == {"output.weight", "output.bias"}
    assert not tied - untied


def test_without_a_start_the_sequence_starts_with_a_learned_embedding() -> None:
    prior = make_prior().double()
    logits = prior(random_tokens(), Conditioning())
    start = prior.start_embedding.expand(2, -1)
    torch.testing.assert_close(logits, prior(random_tokens(), Conditioning(start=start)))
    logits.sum().backward()
    assert prior.start_embedding.grad is not None
    assert prior.start_embedding.grad.any()


def test_a_start_replaces_the_learned_embedding() -> None:
    prior = make_prior().double()
    logits = prior(random_tokens(), Conditioning(start=random_tensor(2, WIDTH)))
    logits.sum().backward()
    assert prior.start_embedding.grad is None
    other = prior(random_tokens(), Conditioning(start=2 * random_tensor(2, WIDTH)))
    assert (logits - other).abs().amin(dim=(0, 2))[0] > 1e-6


def test_starts_of_two_conditioners_are_added() -> None:
    networks = {"a": StartEmbedding(4, WIDTH), "b": StartEmbedding(5, WIDTH)}
    prior = make_prior(dict(networks)).double()
    arrays = {"a": {"ids": torch.tensor([[1]])}, "b": {"ids": torch.tensor([[2, 4, -1]])}}
    a, b = (network.embedding.weight for network in networks.values())
    torch.testing.assert_close(prior.condition(arrays).start, (a[1] + b[2] + b[4])[None])


class PerToken(nn.Module):
    """A conditioner network that gives the same number at every position."""

    def forward(self, level: Tensor) -> Conditioning:
        return Conditioning(per_token=level[:, None, None].expand(-1, CONTEXT, WIDTH))


def test_an_upsampler_adds_the_upper_tokens_to_its_conditioners() -> None:
    prior = make_prior({"level": PerToken()}, strides=(2, 2)).double()
    assert prior.upsampler_conditioner is not None
    level = torch.tensor([2.0, 3.0], dtype=torch.float64)
    upper_tokens = random_tokens(2, CONTEXT // 4)
    expected = prior.upsampler_conditioner(upper_tokens).per_token + level[:, None, None]
    conditions = prior.condition({"level": {"level": level}}, upper_tokens)
    torch.testing.assert_close(conditions.per_token, expected)


def test_conditions_have_the_dtype_of_the_prior() -> None:
    prior = make_prior({"level": PerToken()}).half()
    conditions = prior.condition({"level": {"level": torch.ones(2)}})
    assert conditions.per_token is not None
    assert conditions.per_token.dtype == torch.float16


@pytest.mark.parametrize("tied", [True, False])
def test_per_token_conditions_influence_their_own_and_later_logits(tied: bool) -> None:
    prior = make_prior(tie_embeddings=tied, attention_patterns=("dense",)).double()
    per_token = random_tensor(1, CONTEXT, WIDTH).requires_grad_()
    logits = prior(random_tokens(1), Conditioning(per_token=per_token))
    direction = random_tensor(CODEBOOK_SIZE)
    for n in range(CONTEXT):
        scalar = logits[0, n] @ direction
        (gradient,) = torch.autograd.grad(scalar, per_token, retain_graph=True)
        has_influence = gradient[0].abs().sum(1) > 0
        assert has_influence[: n + 1].all()
        assert not has_influence[n + 1 :].any()


@pytest.mark.parametrize(
    "patterns", [*((p,) for p in ATTENTION_PATTERNS), ATTENTION_PATTERNS], ids="+".join
)
def test_logits_do_not_depend_on_their_own_or_later_tokens(patterns: tuple[str, ...]) -> None:
    prior = make_full_prior(width=32, attention_patterns=patterns).double()
    embedded: list[Tensor] = []
    prior.token_embedding.register_forward_hook(lambda module, args, out: embedded.append(out))
    memory = random_inputs(1, MEMORY_LENGTH).repeat(1, 1, 2).requires_grad_()
    logits = prior(random_tokens(1), Conditioning(memory=memory))
    direction = random_tensor(CODEBOOK_SIZE)
    for n in range(CONTEXT):
        tokens_gradient, memory_gradient = torch.autograd.grad(
            logits[0, n] @ direction, (embedded[0], memory), retain_graph=True, allow_unused=True
        )
        has_influence = tokens_gradient[0].abs().sum(1) > 0  # by token
        assert not has_influence[n:].any()
        if "dense" in patterns:
            assert has_influence[:n].all()
        if "cross_attention" in patterns:  # all of the memory, from the first token on
            assert (memory_gradient[0].abs().sum(1) > 0).all()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("conditioned", [True, False])
def test_steps_equal_the_whole_window(tied: bool, conditioned: bool) -> None:
    prior, tokens = make_prior(tie_embeddings=tied).double(), random_tokens()
    conditions = Conditioning(random_tensor(2, WIDTH), random_tensor(2, CONTEXT, WIDTH))
    conditions = conditions if conditioned else Conditioning()
    expected, caches = prior(tokens, conditions), prior.make_caches(2, conditions)
    prior.prefill(tokens[:, :7], conditions, caches)
    for n in range(7, CONTEXT):
        for position in (n, torch.tensor([n])):  # the tensor is what a CUDA graph reads
            logits = prior.step_batch(tokens[:, n - 1], position, conditions, caches)
            torch.testing.assert_close(logits, expected[:, n])


@pytest.mark.parametrize("total", [1, 5, 6, 7, 23])
def test_a_shorter_window_is_the_beginning_of_a_longer_one(total: int) -> None:
    patterns = ("row", "column", "previous", "dense")
    prior = make_prior(attention_patterns=patterns, depth=4).double()
    conditions = Conditioning(per_token=random_tensor(2, CONTEXT, WIDTH))
    expected = prior(random_tokens(), conditions)[:, :total]
    torch.testing.assert_close(prior(random_tokens()[:, :total], conditions), expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1.0] * 3),
        ({"residual_scale": True}, [1 / 3] * 3),
        ({"residual_scale": True, "residual_scale_depth": 2}, [1 / 2] * 3),
    ],
)
def test_residual_branches_are_divided_by_the_depth(
    options: dict[str, Any], expected: list[float]
) -> None:
    layers = make_prior(**options).transformer.layer_list()
    assert [layer.residual_scale for layer in layers] == expected


@pytest.mark.parametrize("masked", [True, False])
def test_attention_weights_of_a_memory_sum_to_one_over_unmasked_states(masked: bool) -> None:
    prior = make_prior(attention_patterns=("row", "cross_attention")).double()
    mask = torch.tensor([[1, 0, 1, 1, 0], [0] * 5]).bool() if masked else None
    conditions = Conditioning(memory=random_tensor(2, 5, WIDTH), memory_mask=mask)
    weights = prior.attention_weights(random_tokens(), conditions, 1)
    assert weights.shape == (2, 2, CONTEXT, 5)
    visible = torch.ones(2, 5).bool() if mask is None else mask
    visible = visible[:, None, None].expand_as(weights)
    assert torch.equal(weights > 0, visible)
    torch.testing.assert_close(weights.sum(3), visible.any(3).double())
