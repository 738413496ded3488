"""The prior with a prefix of characters: logits, steps, conditions and attention weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.prior import Prior
from support.networks import (
    CODEBOOK_SIZE,
    CONTEXT,
    WIDTH,
    make_prior,
    random_tensor,
    random_tokens,
    without_layers,
)
from support.results import refusal

#: Length of the prefix, and the number of different characters.
P, V = 6, 7


def make_prefix_prior(conditioners: dict[str, nn.Module] | None = None, **options: Any) -> Prior:
    """A prior whose `prefix` layers attend to the prefix and a little of the music."""
    patterns = ("prefix", "dense", "cross_attention", "row")
    config = {"prefix_length": P, "rows": 5, "depth": 4, "attention_patterns": patterns, **options}
    return make_prior(conditioners, **config).double()


def make_prefix(batch: int = 2, with_output: bool = True) -> Prefix:
    """A prefix in which no character occurs twice."""
    ids = torch.stack([(torch.arange(P) + item) % V for item in range(batch)])
    weights = torch.linspace(0.0, 1.0, P, dtype=torch.float64)
    output_weight = random_tensor(V + 1, WIDTH)[1:] if with_output else None
    return Prefix(ids, random_tensor(V, WIDTH), weights, output_weight)


def prefix_of(conditions: Conditioning) -> Prefix:
    assert conditions.prefix is not None
    return conditions.prefix


def make_conditions(batch: int = 2, with_output: bool = True) -> Conditioning:
    return Conditioning(
        start=random_tensor(batch, WIDTH),
        per_token=random_tensor(batch, CONTEXT, WIDTH),
        memory=random_tensor(batch, 5, WIDTH),
        memory_mask=torch.ones(batch, 5, dtype=torch.bool),
        prefix=make_prefix(batch, with_output),
    )


def expected_inputs(prior: Prior, tokens: Tensor, conditions: Conditioning) -> Tensor:
    """The transformer's input: embeddings of what precedes each position, of the position, and the
    conditions."""
    assert conditions.start is not None
    assert conditions.per_token is not None
    prefix, total = prefix_of(conditions), tokens.shape[1]
    start, music = conditions.start[:, None], prior.token_embedding.weight[tokens[:, :-1]]
    x = torch.cat([start, prefix.embeddings[prefix.ids], music], dim=1)
    per_token = F.pad(conditions.per_token[:, :total], (0, 0, P, 0))
    return x + prior.position_embedding[: P + total] + per_token


@pytest.mark.parametrize("total", [1, 6, 23, CONTEXT])
def test_every_position_has_logits_of_codes_and_characters(total: int) -> None:
    prior = make_prefix_prior()
    assert prior.position_embedding.shape == (P + CONTEXT, WIDTH)
    whole = prior(random_tokens(), make_conditions())
    assert whole.shape == (2, P + CONTEXT, CODEBOOK_SIZE + V)
    logits = prior(random_tokens()[:, :total], make_conditions())
    torch.testing.assert_close(logits, whole[:, : P + total])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("with_output", [True, False])
def test_inputs_and_logits_with_a_prefix_are_their_formula(tied: bool, with_output: bool) -> None:
    prior = without_layers(make_prefix_prior(tie_embeddings=tied))
    tokens, conditions = random_tokens(), make_conditions(with_output=with_output)
    assert conditions.per_token is not None
    x = expected_inputs(prior, tokens, conditions)
    x = prior.final_norm(x + F.pad(conditions.per_token, (0, 0, P, 0)) if tied else x)
    if prior.output is None:
        music = x @ prior.token_embedding.weight.T
    else:
        music = x @ prior.output.weight + prior.output.bias
    prefix = prefix_of(conditions)
    weight = prefix.embeddings if prefix.output_weight is None else prefix.output_weight
    expected = torch.cat([music, x @ weight.T], dim=2)
    torch.testing.assert_close(prior(tokens, conditions), expected)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("with_output", [True, False])
@pytest.mark.parametrize("prompt", [0, 1, 7])
def test_steps_after_a_prefix_equal_the_whole_window(
    tied: bool, with_output: bool, prompt: int
) -> None:
    prior, tokens = make_prefix_prior(tie_embeddings=tied), random_tokens()
    conditions = make_conditions(with_output=with_output)
    expected, caches = prior(tokens, conditions), prior.make_caches(2, conditions)
    prior.prefill(tokens[:, :prompt], conditions, caches)
    for n in range(prompt, CONTEXT):
        logits = prior.step(tokens[:, n - 1], n, conditions, caches)
        torch.testing.assert_close(logits, expected[:, P + n])


def test_a_sampled_character_has_the_embedding_it_has_in_the_prefix() -> None:
    prior, conditions = make_prefix_prior(), make_conditions()
    tokens, mixed = torch.tensor([3, 4]), torch.tensor([CODEBOOK_SIZE + 2, 4])
    with torch.no_grad():  # token 3 and character 2 have one embedding
        prior.token_embedding.weight[3] = prefix_of(conditions).embeddings[2]
    logits = []
    for last in (tokens, mixed):
        caches = prior.make_caches(2, conditions)
        prior.prefill(random_tokens()[:, :5], conditions, caches)
        logits.append(prior.step(last, 5, conditions, caches))
    torch.testing.assert_close(logits[0], logits[1])


@pytest.mark.parametrize("tied", [True, False])
def test_per_token_conditions_do_not_influence_the_prefix(tied: bool) -> None:
    prior, conditions = make_prefix_prior(tie_embeddings=tied), make_conditions()
    assert conditions.per_token is not None
    per_token = conditions.per_token.requires_grad_()
    logits, direction = prior(random_tokens(), conditions), random_tensor(CODEBOOK_SIZE + V)
    for n in range(P + CONTEXT):
        scalar = logits[0, n] @ direction
        (gradient,) = torch.autograd.grad(scalar, per_token, retain_graph=True)
        has_influence = gradient[0].abs().sum(1) > 0
        assert has_influence[: max(0, n + 1 - P)].all()
        assert not has_influence[max(0, n + 1 - P) :].any()


def test_a_character_influences_everything_after_it() -> None:
    prior, conditions = make_prefix_prior(), make_conditions(1)
    prefix = prefix_of(conditions)
    embeddings = prefix.embeddings.requires_grad_()
    logits, direction = prior(random_tokens(1), conditions), random_tensor(CODEBOOK_SIZE + V)
    for n in range(P + CONTEXT):
        scalar = logits[0, n] @ direction
        (gradient,) = torch.autograd.grad(scalar, embeddings, retain_graph=True)
        has_influence = (gradient.abs().sum(1) > 0)[prefix.ids[0]]
        assert has_influence[:n].all()
        assert not has_influence[n:].any()


class PrefixOf(nn.Module):
    """A conditioner network that gives a prefix of any ids."""

    def forward(self, ids: Tensor) -> Conditioning:
        return Conditioning(prefix=Prefix(ids, random_tensor(V, WIDTH), torch.ones(ids.shape[1])))


@pytest.mark.parametrize(
    ("expected", "lengths"), [(P, [3]), (P, []), (0, [3]), (P, [3, 4])], ids=str
)
def test_a_prefix_of_another_length_than_the_config_says_is_an_error(
    expected: int, lengths: list[int]
) -> None:
    networks: dict[str, nn.Module] = {str(i): PrefixOf() for i in range(len(lengths))}
    arrays = {
        name: {"ids": torch.zeros(2, length, dtype=torch.int64)}
        for name, length in zip(networks, lengths, strict=True)
    }
    prior = make_prefix_prior(networks, prefix_length=expected, rows=6)
    assert refusal(prior.condition, arrays) == (
        f"the conditioners give a prefix of {sum(lengths)} characters, "
        f"but the prior has room for {expected}",
        f"set `prefix_length: {sum(lengths)}` in the prior's config",
    )


def test_prefixes_of_two_conditioners_are_concatenated() -> None:
    prior = make_prefix_prior({"a": PrefixOf(), "b": PrefixOf()}, attention_patterns=("dense",))
    a, b = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0, 1, 2, 3], [6, 5, 4, 3]])
    prefix = prefix_of(prior.condition({"a": {"ids": a}, "b": {"ids": b}}))
    assert prefix.ids.tolist() == [
        [1, 2, V, V + 1, V + 2, V + 3],
        [3, 4, V + 6, V + 5, V + 4, V + 3],
    ]
    torch.testing.assert_close(prefix.embeddings, random_tensor(V, WIDTH).repeat(2, 1))
    assert prefix.loss_weights.tolist() == [1.0] * P
    assert prefix.output_weight is None
    logits = prior(random_tokens(), Conditioning(prefix=prefix))
    assert logits.shape[2] == CODEBOOK_SIZE + 2 * V


@pytest.mark.parametrize("total", [5, CONTEXT])
def test_attention_weights_to_the_prefix_are_those_of_the_transformer(total: int) -> None:
    prior, conditions = make_prefix_prior(), make_conditions()
    tokens = random_tokens()[:, :total]
    weights = prior.attention_weights(tokens, conditions, 0)
    assert weights.shape == (2, 2, total, P)
    assert (weights > 0).all()
    x = expected_inputs(prior, tokens, conditions)
    torch.testing.assert_close(weights, prior.transformer.attention_weights(x, 0))


def test_a_head_without_preferences_attends_evenly() -> None:
    prior = make_prefix_prior()
    with torch.no_grad():
        prior.get_parameter("transformer.layers.0.attention.qkv.weight").zero_()
    weights = prior.attention_weights(random_tokens(), make_conditions(), 0)
    assert prior.transformer.layout.prefix_span == 10  # the prefix and 4 tokens
    for n in range(CONTEXT):
        expected = torch.full((2, 2, P), 1 / min(P + n + 1, 10), dtype=torch.float64)
        torch.testing.assert_close(weights[:, :, n], expected)
