"""The text encoder, its alignment encoding and attention target, and the prefix."""

from __future__ import annotations

from math import exp, log2, nan
from typing import Any

import pytest
import torch
from jukebox_plugins.lyrics.conditioner import Lyrics
from jukebox_plugins.lyrics.network import TARGET_WIDTH, attention_target

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.conditioner import PriorShape
from jukebox_cli.model.prior import Prior

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
UNKNOWN = torch.full((1, 16), torch.nan)
UNTIMED = UNKNOWN, torch.zeros(1, 16), UNKNOWN
TINY: dict[str, Any] = {
    "max_characters": 8,
    "width": 16,
    "depth": 3,
    "heads": 2,
    "rows": 4,
    "charset": "abcdefgh",
}


def ids(*texts: str) -> torch.Tensor:
    return torch.tensor([["_abcdefgh".index(character) for character in t] for t in texts])


def test_the_encoder_predicts_characters_from_those_before() -> None:
    torch.manual_seed(0)
    encoder = Lyrics(**TINY).module(SHAPE).eval()
    one, other = (encoder(ids(text), *UNTIMED) for text in ("abcdefgh", "abcdefha"))
    assert one.memory.shape == (1, 8, 12)
    torch.testing.assert_close(one.memory[:, :7], other.memory[:, :7])  # 0 to 6 see up to 5
    assert not torch.allclose(one.memory[:, 7], other.memory[:, 7])


@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_prediction_loss_is_in_bits_per_token_of_music(weight: float) -> None:
    encoder = Lyrics(**TINY, prediction_loss_weight=weight).module(SHAPE)
    with torch.no_grad():
        encoder.output_weight.zero_()  # a uniform prediction
    loss = encoder(ids("abcdefgh", "hgfedcba"), *UNTIMED).loss
    assert loss.item() == pytest.approx(weight * 8 * log2(9) / SHAPE.context_length)


@pytest.mark.parametrize("tied", [True, False])
def test_a_prefix_has_embeddings_of_its_own(tied: bool) -> None:
    module = Lyrics(**TINY, form="prefix", tie_embeddings=tied).module(SHAPE)
    prefix = module(ids("abcdefgh")).prefix
    assert prefix.ids.tolist() == [list(range(1, 9))]
    assert prefix.embeddings.shape == (9, 12)
    assert (prefix.output_weight is None) == tied
    assert prefix.loss_weights.tolist() == pytest.approx([0.4] * 8)


def test_the_attention_target_is_gaussian_and_zero_where_unknown() -> None:
    target = attention_target(torch.tensor([[4.0, nan, -1.0, 8.5]]), 9)
    assert target.shape == (1, 4, 9)
    gaussian = [exp(-((s - 4) ** 2) / (2 * TARGET_WIDTH**2)) for s in range(9)]
    assert target[0, 0].tolist() == pytest.approx([g / sum(gaussian) for g in gaussian])
    assert not target[0, 1:].any()  # the last two are outside the window


def test_the_attention_target_is_for_training_only() -> None:
    encoder = Lyrics(**TINY).module(SHAPE)
    inputs = (ids("abcdefgh"), *UNTIMED)
    assert encoder.train()(*inputs).attention_target.shape == (1, 16, 8)
    assert encoder.eval()(*inputs).attention_target is None


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_heads_learn_to_attend_to_what_is_sung(weight: float) -> None:
    torch.manual_seed(0)
    fields = {
        **TINY,
        "max_characters": 16,
        "prediction_loss_weight": 0.0,
        "attention_loss_weight": weight,
    }
    encoder = Lyrics(**fields).module(
        PriorShape(width=32, context_length=16, hop_length=1, sample_rate=16)
    )
    config = PriorConfig(
        context_length=16, width=32, depth=2, rows=4, attention_patterns=("row", "cross_attention")
    )
    prior = Prior(config, 8, {"lyrics": encoder}).train()
    characters = torch.arange(16).remainder(8).add(1).expand(4, -1)
    positions = torch.arange(16.0).expand(4, -1)
    names = ("timed_positions", "uniform_positions", "target_positions")
    arrays = {"lyrics": {"ids": characters, **dict.fromkeys(names, positions)}}
    tokens = characters.remainder(8)
    optimizer = torch.optim.Adam(prior.parameters(), 3e-3)

    def attention_near_target() -> float:
        """The first head's attention within three characters of the one that is sung."""
        prior.eval()
        with torch.inference_mode():
            weights = prior.attention_weights(tokens, prior.condition(arrays), 1)[0, 0]
        prior.train()
        return float(sum(weights[n, max(0, n - 3) : n + 4].sum() for n in range(16)) / 16)

    before = attention_near_target()
    for _ in range(200):
        optimizer.zero_grad()
        prior.loss(tokens, prior.condition(arrays)).total.backward()
        optimizer.step()
    assert before < 0.6
    assert (attention_near_target() > 0.75) is (weight > 0)


@pytest.mark.parametrize("enabled", [True, False])
def test_queries_encode_the_position_in_the_text(enabled: bool) -> None:
    encoder = Lyrics(**TINY, alignment_encoding=enabled).module(SHAPE).eval()
    uniform = torch.zeros(1, 16)
    unknown, known = (
        encoder(ids("abcdefgh"), timed, uniform, UNKNOWN) for timed in (UNKNOWN, uniform + 3)
    )
    assert (unknown.query_encoding is None) is not enabled
    if enabled:
        assert unknown.query_encoding.shape == (1, 16, 12)
        assert not torch.allclose(unknown.query_encoding, known.query_encoding)
