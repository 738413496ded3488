"""Logits of the native engine: those of `Prior.step`, and the same bits however they are computed.

How windows are sampled is in `test_native_sample`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.config.schema import ATTENTION_PATTERNS
from jukebox_cli.engine import library
from jukebox_cli.engine.native import PATTERNS, WEIGHT_FORMATS, NativePrior, NativeWindow
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.prior import Prior
from support.engines import (
    each_kernels,
    native_steps,
    needs_native_engine,
    pack,
    prior_with_logits,
    torch_steps,
)
from support.networks import (
    CONTEXT,
    PRIOR_SIZES,
    make_prior,
    random_conditions,
    random_tokens,
)

pytestmark = needs_native_engine

each_size = pytest.mark.parametrize("size", PRIOR_SIZES)
each_format = pytest.mark.parametrize("weight_format", WEIGHT_FORMATS)


def make_mild_prior(**options: Any) -> Prior:
    """A prior with a layer of each pattern, unless `options` say otherwise, which rounding does not
    change much: with the large weights of `make_prior` every layer multiplies it."""
    every = {"depth": len(ATTENTION_PATTERNS), "attention_patterns": ATTENTION_PATTERNS}
    prior = make_prior(**{**every, **options})
    for module in prior.modules():
        if isinstance(module, nn.LayerNorm):
            nn.init.normal_(module.weight, 1.0, 0.2)
            nn.init.normal_(module.bias, 0.0, 0.2)
    return prior


def make_inputs(prior: Prior, count: int = 3) -> tuple[Conditioning, Tensor]:
    """Conditions of every kind, and tokens. The second item may attend to nothing."""
    conditions = stack_conditionings(random_conditions(prior, count))
    assert conditions.memory_mask is not None
    conditions.memory_mask[1:2] = False
    encoding = torch.randn(count, CONTEXT, prior.config.width)
    tokens = random_tokens(count, codebook_size=prior.codebook_size)
    return replace(conditions, query_encoding=encoding), tokens


def assert_close(
    actual: Tensor, prior: Prior, conditions: Conditioning, tokens: Tensor, prompt: int = 0
) -> None:
    """Asserts that logits are as near to those in exact arithmetic as the fp32 reference's."""
    exact_inputs = (conditions.to_dtype(torch.float64), tokens, prompt)
    exact = torch_steps(deepcopy(prior).double(), *exact_inputs)
    of_reference = (torch_steps(prior, conditions, tokens, prompt) - exact).abs().max()
    assert of_reference < 0.005
    assert (actual - exact).abs().max() <= 3 * of_reference + 1e-6 * exact.abs().max()
    if exact.shape[2] > 1:
        assert exact.std() > 0.5


def assert_steps_are_close(
    prior: Prior, conditions: Conditioning, tokens: Tensor, prompt: int = 0
) -> None:
    actual = native_steps(pack(prior), conditions, tokens, prompt)
    assert_close(actual, prior, conditions, tokens, prompt)


def test_patterns_are_numbered_as_in_the_config() -> None:
    assert set(PATTERNS) == set(ATTENTION_PATTERNS)


# the logits of the reference


@pytest.mark.parametrize("prompt", [0, 1, 7, CONTEXT - 1])
@each_size
def test_logits_are_those_of_the_reference(size: str, prompt: int) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    assert_steps_are_close(prior, *make_inputs(prior), prompt)


@pytest.mark.parametrize("prefix_length", [0, 8])
@pytest.mark.parametrize("pattern", ATTENTION_PATTERNS)
def test_each_attention_pattern_alone(pattern: str, prefix_length: int) -> None:
    if pattern == "prefix" and not prefix_length:
        prefix_length = 4
    options = {"depth": 2, "attention_patterns": (pattern,), "prefix_length": prefix_length}
    prior = make_mild_prior(**options)
    assert_steps_are_close(prior, *make_inputs(prior))


@pytest.mark.parametrize(
    "options",
    [
        {"tie_embeddings": False},
        {"final_norm": False},
        {"residual_scale": True},
        {"rows": 1},
        {"rows": CONTEXT},
        {"heads": 8, "attention_ratio": 1.0},  # 2 channels each
        {"heads": 1, "attention_ratio": 1 / 16},  # one channel
        {"width": 15, "heads": 5, "attention_ratio": 1.0, "mlp_ratio": 0.2},
        {"width": 80, "attention_ratio": 2.0},  # 80 channels each
        {"codebook_size": 1},
    ],
    ids=str,
)
def test_each_option_of_a_prior(options: dict[str, Any]) -> None:
    prior = make_mild_prior(**options)
    assert_steps_are_close(prior, *make_inputs(prior))


@pytest.mark.parametrize(
    "missing", ["start", "per_token", "memory_mask", "query_encoding", "prefix"]
)
@pytest.mark.parametrize("tied", [True, False])
def test_any_condition_may_be_missing(missing: str, tied: bool) -> None:
    prior = make_mild_prior(prefix_length=0 if missing == "prefix" else 8, tie_embeddings=tied)
    conditions, tokens = make_inputs(prior)
    conditions = replace(conditions, **{missing: None})
    assert_steps_are_close(prior, conditions, tokens)


def test_without_a_memory() -> None:
    prior = make_mild_prior(attention_patterns=("row", "column", "previous"))
    assert_steps_are_close(prior, Conditioning(), random_tokens(3))


def test_a_memory_that_is_longer_than_the_window_and_than_what_is_prefilled_at_once() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    memory, mask = torch.randn(3, 130, prior.config.width), torch.rand(3, 130) < 0.5
    assert_steps_are_close(prior, replace(conditions, memory=memory, memory_mask=mask), tokens)


def test_a_prompt_that_is_longer_than_what_is_prefilled_at_once() -> None:
    prior = make_mild_prior(context_length=120, rows=10)
    conditions = Conditioning(memory=torch.randn(2, 5, prior.config.width))
    assert_steps_are_close(prior, conditions, random_tokens(2, 120), prompt=111)


def with_output_weight(conditions: Conditioning) -> Conditioning:
    prefix = conditions.prefix
    assert isinstance(prefix, Prefix)
    output_weight = torch.randn_like(prefix.embeddings)
    return replace(conditions, prefix=replace(prefix, output_weight=output_weight))


@pytest.mark.parametrize("own_output", [True, False])
def test_characters_of_a_prefix_may_be_sampled(own_output: bool) -> None:
    """They are numbered after the codes, in the logits and as inputs."""
    prior = make_mild_prior(prefix_length=8)
    conditions, tokens = make_inputs(prior)
    tokens[:, ::3] = prior.codebook_size + tokens[:, ::3] % 9
    conditions = with_output_weight(conditions) if own_output else conditions
    assert_steps_are_close(prior, conditions, tokens)


# formats of weights


def with_weights(prior: Prior, change: Any) -> Prior:
    """A copy in which the weights of linear layers, and of the tied output, are changed: a function
    of a matrix (in, out)."""
    changed = deepcopy(prior)
    with torch.no_grad():
        if changed.output is None:
            embeddings = changed.token_embedding.weight
            changed.output = BatchInvariantLinear(*embeddings.T.shape)
            changed.output.weight.copy_(embeddings.T)
        for module in (*changed.transformer.modules(), changed.output):
            if isinstance(module, BatchInvariantLinear):
                module.weight.copy_(change(module.weight))
    return changed


def quantise(weight: Tensor) -> Tensor:
    """Multiples of a 127th of the largest weight of each output."""
    scale = weight.abs().amax(dim=0) / 127
    scale[scale == 0] = 1
    return (weight / scale).round() * scale


@each_size
def test_int8_weights_are_multiples_of_a_scale_per_output(size: str) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    conditions, tokens = make_inputs(prior)
    actual = native_steps(pack(prior, "int8"), conditions, tokens)
    assert_close(actual, with_weights(prior, quantise), conditions, tokens)
    assert not torch.allclose(actual, torch_steps(prior, conditions, tokens), atol=1e-2)


def test_an_output_whose_weights_are_all_0_has_no_scale() -> None:
    prior = make_mild_prior(tie_embeddings=False)
    assert prior.output is not None
    with torch.no_grad():
        prior.output.weight[:, 3] = 0
    logits = native_steps(pack(prior, "int8"), *make_inputs(prior))
    assert logits[..., 3].eq(0).all()


@each_size
def test_fp16_weights_are_rounded_and_all_else_is_fp32(size: str) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    rounded = with_weights(prior, lambda weight: weight.half().float())
    inputs = make_inputs(prior)
    actual = native_steps(pack(prior, "fp16"), *inputs)
    assert_close(actual, rounded, *inputs)
    assert not torch.equal(actual, native_steps(pack(prior), *inputs))


@each_kernels
def test_weights_that_are_stored_as_fp16_lose_nothing(kernels: str) -> None:
    """Whether they are packed from fp16 or fp32, into fp16 or fp32."""
    prior = make_mild_prior(**PRIOR_SIZES["odd codebook size"])
    inputs = make_inputs(prior)
    rounded = with_weights(prior, lambda weight: weight.half().float())
    stored = deepcopy(prior)
    stored.transformer.half()
    assert stored.output is not None
    stored.output.half()
    for parameter, like in zip(stored.parameters(), prior.parameters(), strict=True):
        if parameter.ndim == 1:  # biases and norms stay fp32
            parameter.data = like.data
    fp32 = native_steps(pack(rounded, "fp32", kernels=kernels), *inputs)
    for each, weight_format in ((rounded, "fp16"), (stored, "fp16"), (stored, "fp32")):
        packed = pack(each, weight_format, kernels=kernels)
        assert torch.equal(native_steps(packed, *inputs), fp32)


def packed_values(values: np.ndarray, kernels: str) -> np.ndarray:
    """What the kernels read for weights that are packed as fp16."""
    prior, conditions = prior_with_logits(torch.zeros(1, len(values)))
    assert prior.output is not None
    prior.output.weight.data = torch.from_numpy(values[None].copy())
    tokens = torch.zeros(1, 1, dtype=torch.int64)
    return native_steps(pack(prior, "fp16", kernels=kernels), conditions, tokens)[0, 0].numpy()


@each_kernels
def test_all_fp16_numbers_are_kept(kernels: str) -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    expected = halves.astype(np.float32)
    np.testing.assert_array_equal(packed_values(halves, kernels), expected)
    np.testing.assert_array_equal(packed_values(expected, kernels), expected)


def test_fp32_numbers_are_rounded_to_fp16_as_by_numpy() -> None:
    halves = np.arange(2**15, dtype=np.uint16).view(np.float16).astype(np.float32)
    halves = halves[np.isfinite(halves)]
    ties = (halves[:-1] + halves[1:]) / 2  # halfway between neighbours
    rng = np.random.default_rng(0)
    patterns = rng.integers(2**32, size=50_000, dtype=np.uint64).astype(np.uint32)
    exponents = rng.standard_normal(50_000) * 2.0 ** rng.uniform(-30, 20, 50_000)
    borders = np.array([65504, 65519.996, 65520, 65536, 1e9, 2**-24, 2**-25, 2**-26, 6.1e-5])
    beside_ties = (np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1e9)))
    random = (patterns.view(np.float32), exponents.astype(np.float32))
    borders = np.concatenate([borders, -borders]).astype(np.float32)
    values = np.concatenate([ties, -ties, *beside_ties, *random, borders])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = values.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(packed_values(values, "plain"), expected)


# the same bits


BATCHES = ([5], [16, 5], [1, 5, 2], list(range(4, 9)), list(range(6)), list(range(17)))
PROMPT = CONTEXT - 4


@each_format
@each_size
def test_an_item_has_the_same_bits_in_any_batch_and_with_any_kernels(
    size: str, weight_format: str
) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    conditions, tokens = make_inputs(prior, 17)
    alone = native_steps(pack(prior, weight_format), *pick([5], conditions, tokens), PROMPT)
    for kernels in library.kernel_names():
        weights = pack(prior, weight_format, kernels=kernels)
        for batch in BATCHES:
            logits = native_steps(weights, *pick(batch, conditions, tokens), PROMPT)
            assert torch.equal(logits[batch.index(5)], alone[0]), (kernels, batch)


def pick(items: list[int], conditions: Conditioning, tokens: Tensor) -> tuple[Conditioning, Tensor]:
    return stack_conditionings([conditions.item(item) for item in items]), tokens[items]


@pytest.mark.parametrize("position", [0, CONTEXT - 1])
@pytest.mark.parametrize("batch", range(1, 18))
def test_every_batch_size_has_the_same_bits(batch: int, position: int) -> None:
    """Of the first and the last item, at both ends of a window."""
    prior = make_mild_prior(**PRIOR_SIZES["prefix"])
    weights = pack(prior)
    conditions, tokens = make_inputs(prior, 17)
    tokens = tokens[:, : position + 1]
    logits = native_steps(
        weights, *pick(list(range(batch)), conditions, tokens), max(0, position - 1)
    )
    for item in (0, batch - 1):
        alone = native_steps(weights, *pick([item], conditions, tokens), max(0, position - 1))
        assert torch.equal(logits[item], alone[0])


@each_kernels
@each_size
def test_a_prefilled_prompt_has_the_same_bits_as_one_that_is_stepped_through(
    size: str, kernels: str
) -> None:
    prior = make_mild_prior(**PRIOR_SIZES[size])
    inputs = make_inputs(prior, 2)
    weights = pack(prior, kernels=kernels)
    stepped = native_steps(weights, *inputs, 0)
    for prompt in (1, 5, 6, 17, CONTEXT - 1):
        assert torch.equal(native_steps(weights, *inputs, prompt), stepped[:, prompt:])


def test_a_long_prompt_has_the_same_bits() -> None:
    """It is prefilled 48 positions at once."""
    prior = make_mild_prior(context_length=140, rows=10, prefix_length=10)
    prefix = Prefix(torch.randint(9, (2, 10)), torch.randn(9, prior.config.width), torch.ones(10))
    conditions = Conditioning(memory=torch.randn(2, 60, prior.config.width), prefix=prefix)
    tokens, weights = random_tokens(2, 140), pack(prior)
    stepped = native_steps(weights, conditions, tokens)
    for prompt in (37, 38, 39, 86, 139):
        logits = native_steps(weights, conditions, tokens, prompt)
        assert torch.equal(logits, stepped[:, prompt:])


@pytest.mark.parametrize("num_threads", [2, 3, 5])
@each_format
def test_any_number_of_threads_has_the_same_bits(weight_format: str, num_threads: int) -> None:
    """Layers of 256 KiB are shared among threads, and attention to 1 MiB of keys."""
    prior = make_mild_prior(
        width=256, codebook_size=4100, heads=4, mlp_ratio=4.0, attention_ratio=1.0
    )
    conditions, tokens = make_inputs(prior, 2)
    memory, mask = torch.randn(2, 1100, 256), torch.rand(2, 1100) < 0.5
    conditions = replace(conditions, memory=memory, memory_mask=mask)
    alone = native_steps(pack(prior, weight_format), conditions, tokens, PROMPT)
    weights = pack(prior, weight_format, num_threads)
    for count in (num_threads, 2, 1, num_threads):
        weights.set_threads(count)
        assert torch.equal(native_steps(weights, conditions, tokens, PROMPT), alone)


def test_a_step_that_is_computed_again_has_the_same_bits() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    repeated = [position for position in range(CONTEXT) for _ in range(2)]
    weights = pack(prior)
    logits = native_steps(weights, conditions, tokens)
    window = NativeWindow(weights, conditions, tokens, len(tokens))
    for position in repeated:
        assert torch.equal(window.logits(position), logits[:, position])


def test_the_prior_is_not_needed_after_it_is_packed() -> None:
    prior = make_mild_prior()
    inputs = make_inputs(prior)
    weights = pack(prior)
    before = native_steps(weights, *inputs)
    for parameter in prior.parameters():
        parameter.data = torch.full_like(parameter.data, torch.nan)
    assert torch.equal(native_steps(weights, *inputs), before)


def test_a_window_keeps_its_weights() -> None:
    prior = make_mild_prior()
    conditions, tokens = make_inputs(prior)
    expected = native_steps(pack(prior), conditions, tokens)[:, 0]
    window = NativeWindow(pack(prior), conditions, tokens, len(tokens))
    assert torch.equal(window.logits(0), expected)


def test_a_prior_that_has_no_room_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "function", lambda name: lambda *_: None)
    with pytest.raises(MemoryError, match="the native engine has no memory left"):
        NativePrior(make_prior(), "fp32")
