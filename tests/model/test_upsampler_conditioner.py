"""The network that conditions an upsampler on the tokens of the level above."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.config.schema import UpsamplerConditionerConfig
from jukebox_cli.model.convolution import ResidualConv
from jukebox_cli.model.upsampler_conditioner import UpsamplerConditioner
from support.networks import CODEBOOK_SIZE, WIDTH, random_tokens


def make_network(strides: tuple[int, ...], **options: object) -> UpsamplerConditioner:
    torch.manual_seed(0)
    config = UpsamplerConditionerConfig(**{"width": 8, "depth": 2, **options})  # type: ignore[arg-type]
    return UpsamplerConditioner(CODEBOOK_SIZE, WIDTH, strides, config)


@pytest.mark.parametrize("strides", [(2,), (4, 2), (2, 2, 2)])
def test_the_output_has_a_vector_per_token_of_the_level(strides: tuple[int, ...]) -> None:
    ratio = int(torch.tensor(strides).prod())
    conditions = make_network(strides)(random_tokens(2, 6))
    assert conditions.per_token.shape == (2, 6 * ratio, WIDTH)


def test_a_token_of_the_level_above_influences_the_tokens_below_it() -> None:
    network = make_network((2, 2), depth=1).double()
    tokens = random_tokens(1, 30)
    changed = tokens.clone()
    changed[0, 15] = (tokens[0, 15] + 1) % CODEBOOK_SIZE
    before, after = network(tokens).per_token, network(changed).per_token
    influenced = (before != after)[0].any(dim=1).nonzero()[:, 0]
    assert set(range(60, 64)) <= set(influenced.tolist()) < set(range(40, 84))


def test_the_embedding_has_the_priors_width_unless_the_config_says_otherwise() -> None:
    assert make_network((2,)).embedding.embedding_dim == WIDTH
    assert make_network((2,), embedding_dim=4).embedding.embedding_dim == 4


@pytest.mark.parametrize(("residual_scale", "expected"), [(True, 0.5), (False, 1.0)])
def test_residual_branches_are_divided_by_the_root_of_the_depth(
    residual_scale: bool, expected: float
) -> None:
    network = make_network((2,), depth=4, residual_scale=residual_scale)
    layers = [m for m in network.modules() if isinstance(m, ResidualConv)]
    assert [layer.residual_scale for layer in layers] == [expected] * 4
