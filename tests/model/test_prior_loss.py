"""The training loss of a prior."""

from __future__ import annotations

from math import log, log2

import pytest
import torch
from torch import Tensor

from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.prior_loss import compute_prior_loss
from support.networks import (
    CODEBOOK_SIZE,
    CONTEXT,
    WIDTH,
    make_prior,
    random_tensor,
    random_tokens,
)

P, V = 6, 7


def make_conditions() -> Conditioning:
    """A prefix with loss weights from 0 to 1."""
    ids = torch.stack([(torch.arange(P) + item) % V for item in range(2)])
    weights = torch.linspace(0.0, 1.0, P, dtype=torch.float64)
    prefix = Prefix(ids, random_tensor(V, WIDTH), weights, random_tensor(V, WIDTH, seed=3))
    return Conditioning(start=random_tensor(2, WIDTH), prefix=prefix)


def make_prefix_prior(tie_embeddings: bool = True) -> Prior:
    return make_prior(prefix_length=P, rows=5, tie_embeddings=tie_embeddings).double()


def test_equal_logits_cost_the_bits_of_a_token() -> None:
    logits = torch.zeros(2, CONTEXT, CODEBOOK_SIZE)
    loss = compute_prior_loss(logits, random_tokens(), Conditioning(), [])
    assert loss.bits.item() == pytest.approx(log2(CODEBOOK_SIZE))
    assert loss.total == loss.bits


def test_positions_past_the_end_of_a_song_do_not_count() -> None:
    prior, tokens = make_prior().double(), random_tokens()
    cut = tokens.clone()
    cut[:, 10:] = -1
    loss = prior.loss(cut, Conditioning())
    torch.testing.assert_close(loss, prior.loss(tokens[:, :10], Conditioning()))
    assert abs(loss.bits - prior.loss(tokens, Conditioning()).bits).item() > 1e-3


def test_every_token_counts_the_same_in_songs_of_different_lengths() -> None:
    prior, tokens = make_prior().double(), random_tokens()
    tokens[0, 4:] = -1
    short, long = (prior.loss(tokens[i : i + 1], Conditioning()).bits for i in (0, 1))
    mean = (4 * short + CONTEXT * long) / (4 + CONTEXT)
    torch.testing.assert_close(prior.loss(tokens, Conditioning()).bits, mean)


def test_the_loss_of_conditioners_is_part_of_the_total_alone() -> None:
    prior, auxiliary = make_prior().double(), torch.tensor(0.25, dtype=torch.float64)
    plain = prior.loss(random_tokens(), Conditioning())
    loss = prior.loss(random_tokens(), Conditioning(loss=auxiliary))
    assert plain.total == plain.bits == loss.bits
    assert loss.total == loss.bits + auxiliary


def test_the_mean_of_the_attention_losses_is_part_of_the_total_alone() -> None:
    logits, losses = torch.zeros(2, CONTEXT, CODEBOOK_SIZE), [torch.tensor(1.0), torch.tensor(2.0)]
    loss = compute_prior_loss(logits, random_tokens(), Conditioning(), losses)
    assert loss.total.item() == pytest.approx(loss.bits.item() + 1.5)


def test_the_attention_losses_are_those_of_the_cross_attention_layers() -> None:
    prior = make_prior(attention_patterns=("row", "cross_attention"), depth=4).double()
    target = torch.rand(2, CONTEXT, 5)
    conditions = Conditioning(memory=random_tensor(2, 5, WIDTH), attention_target=target)
    loss = prior.loss(random_tokens(), conditions)
    expected = [
        -(target * prior.attention_weights(random_tokens(), conditions, layer)[:, 0].log2())
        for layer in (1, 3)
    ]
    mean = torch.stack(expected).sum(3).mean().float()
    torch.testing.assert_close((loss.total - loss.bits).float(), mean, rtol=1e-4, atol=1e-4)


def bits_of(logits: Tensor, targets: Tensor) -> Tensor:
    return -logits.log_softmax(2).gather(2, targets[:, :, None])[:, :, 0] / log(2)


def test_characters_of_the_prefix_count_by_their_weights() -> None:
    prior, tokens, conditions = make_prefix_prior(), random_tokens(), make_conditions()
    assert conditions.prefix is not None
    tokens[1, 9:] = -1
    loss = prior.loss(tokens, conditions)
    logits = prior(tokens.clamp_min(0), conditions)
    music = bits_of(logits[:, P:], tokens.clamp_min(0))[tokens >= 0].mean()
    characters = bits_of(logits[:, :P], conditions.prefix.ids + CODEBOOK_SIZE)  # (B, P)
    weighted = (characters * conditions.prefix.loss_weights).sum(1).mean()
    assert loss.bits.item() == pytest.approx(music.item(), rel=1e-5)
    assert loss.total.item() == pytest.approx((music + weighted / CONTEXT).item(), rel=1e-5)


def test_equal_logits_with_a_prefix_cost_the_bits_of_codes_and_characters() -> None:
    prior, conditions = make_prefix_prior(tie_embeddings=False), make_conditions()
    assert prior.output is not None
    assert conditions.prefix is not None
    assert conditions.prefix.output_weight is not None
    with torch.no_grad():
        prior.output.weight.zero_()
        prior.output.bias.zero_()
        conditions.prefix.output_weight.zero_()
    loss = prior.loss(random_tokens(), conditions)
    assert loss.bits.item() == pytest.approx(log2(CODEBOOK_SIZE + V))
    weight = conditions.prefix.loss_weights.sum().item()
    assert loss.total.item() == pytest.approx(log2(CODEBOOK_SIZE + V) * (1 + weight / CONTEXT))
