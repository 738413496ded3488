"""The prior: input and output, steps, conditions, prefix, and equal results in any batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.embeddings import StartEmbedding
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from support.networks import (
    CODEBOOK_SIZE,
    CONTEXT,
    MEMORY_LENGTH,
    PRIOR_SIZES,
    WIDTH,
    Network,
    make_full_prior,
    make_prior,
    random_conditions,
    random_inputs,
    random_tensor,
    random_tokens,
)
from support.results import refusal


def without_layers(prior: Prior) -> Prior:
    """A prior whose transformer is the identity."""
    for layer in prior.transformer.layer_list():
        layer.residual_scale = 0.0
    return prior


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


# with a prefix of P characters out of V

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
    """What precedes each position, plus its position, plus the conditions of the music."""
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


# whatever the batch


@torch.inference_mode()
def logits_of_item_5(prior: Prior, batch: list[int], prompt: int) -> Tensor:
    """The logits of its steps after the prompt, computed together with other items."""
    conditions = random_conditions(prior, 16)
    tokens = torch.randint(prior.codebook_size, (16, CONTEXT))[batch]
    batched = stack_conditionings([conditions[item] for item in batch])
    caches = prior.make_caches(len(batch), batched)
    prior.prefill(tokens[:, :prompt], batched, caches)
    steps = [prior.step(tokens[:, n - 1], n, batched, caches) for n in range(prompt, CONTEXT)]
    return torch.stack(steps, dim=1)[batch.index(5)]


BATCHES = ([1, 5, 2], list(range(16)))


@pytest.mark.parametrize("prompt", [0, 9])
@pytest.mark.parametrize("size", PRIOR_SIZES)
def test_an_item_is_the_same_to_the_bit_in_any_batch(size: str, prompt: int) -> None:
    prior = make_full_prior(**PRIOR_SIZES[size])
    alone = logits_of_item_5(prior, [5], prompt)
    for batch in BATCHES:
        assert torch.equal(logits_of_item_5(prior, batch, prompt), alone)


@pytest.fixture
def use_two_threads() -> Iterator[Callable[[], None]]:
    before = torch.get_num_threads()
    yield lambda: torch.set_num_threads(2)
    torch.set_num_threads(before)


@pytest.mark.parametrize("prefix_length", [0, 8])
def test_an_item_is_the_same_to_the_bit_in_any_batch_with_several_threads(
    use_two_threads: Callable[[], None], prefix_length: int
) -> None:
    prior = make_full_prior(**PRIOR_SIZES["wide"], prefix_length=prefix_length)
    prompt = CONTEXT - 2  # steps of a small prior are slow with two threads
    use_two_threads()
    alone = logits_of_item_5(prior, [5], prompt)
    assert torch.equal(logits_of_item_5(prior, [1, 5, 2], prompt), alone)


def store_weights_as_fp16(network: Network) -> Network:
    for module in network.modules():
        if isinstance(module, BatchInvariantLinear):
            module.store_weight_as_fp16()
    return network


@pytest.mark.parametrize("size", PRIOR_SIZES)
def test_an_item_is_the_same_to_the_bit_in_any_batch_with_fp16_weights(size: str) -> None:
    prior = store_weights_as_fp16(make_full_prior(**PRIOR_SIZES[size]))
    alone = logits_of_item_5(prior, [5], prompt=9)
    assert alone.dtype == torch.float32
    for batch in BATCHES:
        assert torch.equal(logits_of_item_5(prior, batch, prompt=9), alone)


@torch.inference_mode()
@pytest.mark.parametrize("prefix_length", [0, 4])
def test_a_prompt_is_prefilled_to_the_same_bits_in_any_batch(prefix_length: int) -> None:
    prior = make_full_prior(width=200, prefix_length=prefix_length)
    tokens = random_tokens(16, 5)
    conditions = stack_conditionings(random_conditions(prior, 16))
    together = prior.make_caches(16, conditions)
    prior.prefill(tokens, conditions, together)
    for item in range(16):
        of_item = conditions.item(item)
        alone = prior.make_caches(1, of_item)
        prior.prefill(tokens[item : item + 1], of_item, alone)
        for expected, cache in zip(alone, together, strict=True):
            part = cache.for_item(item, heads=2)
            assert torch.equal(expected.keys, part.keys)
            assert torch.equal(expected.values, part.values)
            assert expected.keys.any()
