"""The prior: what it starts from, what joins at every position, and what it is trained on."""

from __future__ import annotations

from math import log2

import pytest
import torch
from torch import Tensor, nn

from jukebox_cli.conditioning import Conditioning, RangeEmbedding, StartEmbedding, join
from jukebox_cli.config import ModelConfig, PriorConfig, UpperConfig, VQVAEConfig
from jukebox_cli.prior import Prior, Upper
from jukebox_cli.transformer import Block, Layout

BINS, WIDTH, FRAMES = 20, 16, 24


def tiny(conditioners: dict[str, nn.Module] | None = None, strides=None, **knobs: object) -> Prior:
    torch.manual_seed(0)
    config = {"frames": FRAMES, "blocks": 4, "depth": 3, "heads": 2, **knobs}
    prior = Prior(PriorConfig(width=WIDTH, **config), BINS, conditioners or {}, strides)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(10.0)
    return prior.double()


def tokens(batch: int = 2, total: int = FRAMES) -> Tensor:
    return torch.randint(BINS, (batch, total), generator=torch.Generator().manual_seed(1))


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def without_layers(prior: Prior) -> Prior:
    """So that only what is before and after the transformer is left."""
    for block in prior.transformer.blocks():
        block.scale = 0.0
    return prior


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_what_is_before_and_after_the_transformer(tied, norm):
    prior, given = without_layers(tiny(tied=tied, norm=norm)), tokens()
    frames, start = random(2, FRAMES, WIDTH), random(2, WIDTH)
    before = torch.cat([start[:, None], prior.tokens.weight[given[:, :-1]]], dim=1)
    x = before + prior.positions + frames
    x = prior.norm(x + frames if tied else x)
    wanted = x @ prior.tokens.weight.T if tied else x @ prior.head.weight + prior.head.bias
    torch.testing.assert_close(prior(given, Conditioning(start, frames)), wanted)


def test_a_tied_prior_has_no_output_layer_of_its_own():
    untied = {name for name, _ in tiny(tied=False).named_parameters()}
    tied = {name for name, _ in tiny(tied=True).named_parameters()}
    assert untied - tied == {"head.weight", "head.bias"}
    assert not tied - untied


def test_without_a_start_the_sequence_starts_from_a_learned_one():
    prior = tiny()
    learned = prior(tokens(), Conditioning())
    said = prior(tokens(), Conditioning(start=prior.start.expand(2, -1)))
    torch.testing.assert_close(learned, said)
    learned.sum().backward()
    assert prior.start.grad is not None
    assert prior.start.grad.any()


def test_a_start_takes_the_place_of_the_learned_one():
    prior = tiny()
    logits = prior(tokens(), Conditioning(start=random(2, WIDTH)))
    logits.sum().backward()
    assert prior.start.grad is None
    other = prior(tokens(), Conditioning(start=2 * random(2, WIDTH)))
    assert (logits - other).abs().amin(dim=(0, 2))[0] > 1e-6


def test_starts_of_two_conditioners_add_up():
    parts = {"one": StartEmbedding(4, WIDTH), "two": StartEmbedding(5, WIDTH)}
    prior = tiny(parts)
    arrays = {"one": {"ids": torch.tensor([[1]])}, "two": {"ids": torch.tensor([[2, 4, -1]])}}
    one, two = (prior.conditioners[name].embedding.weight for name in parts)
    torch.testing.assert_close(prior.condition(arrays).start, (one[1] + two[2] + two[4])[None])


def test_conditions_join_by_what_they_do():
    one = Conditioning(start=random(1, 3), frames=random(1, 5, 3), memory=random(1, 2, 3))
    two = Conditioning(start=random(1, 3), memory=random(1, 4, 3), loss=torch.tensor(1.0))
    both = join([one, two])
    torch.testing.assert_close(both.start, one.start + two.start)
    assert both.frames is one.frames
    assert both.memory.shape == (1, 6, 3)
    assert both.prefix is None
    assert float(both.loss) == 1.0


@pytest.mark.parametrize("tied", [True, False])
def test_a_frame_changes_its_own_logits_and_those_after(tied):
    prior = tiny(tied=tied, patterns=("dense",))
    frames = random(1, FRAMES, WIDTH).requires_grad_()
    logits = prior(tokens(1), Conditioning(frames=frames))
    towards = random(BINS)
    for n in range(FRAMES):
        (slope,) = torch.autograd.grad(logits[0, n] @ towards, frames, retain_graph=True)
        felt = slope[0].abs().sum(1) > 0
        assert felt[: n + 1].all()
        assert not felt[n + 1 :].any()


def test_a_number_is_clamped_into_the_range_of_its_embedding():
    part = RangeEmbedding(bins=4, low=10.0, high=18.0, width=3)
    values = torch.tensor([[-5.0, 10.0, 11.99, 12.0, 17.9, 18.0, 99.0]])
    torch.testing.assert_close(part(values)[0], part.embedding.weight[[0, 0, 0, 1, 3, 3, 3]])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("steered", [True, False])
def test_steps_equal_all_positions_at_once(tied, steered):
    prior, given = tiny(tied=tied), tokens()
    conditions = Conditioning(random(2, WIDTH), random(2, FRAMES, WIDTH))
    conditions = conditions if steered else Conditioning()
    whole, caches = prior(given, conditions), prior.caches(2)
    prior.prefill(given[:, :7], conditions, caches)
    for n in range(7, FRAMES):
        step = prior.step(given[:, n - 1], n, conditions, caches)
        torch.testing.assert_close(step, whole[:, n])


@pytest.mark.parametrize("total", [1, 5, 6, 7, 23])
def test_a_window_that_ends_within_a_row_is_the_beginning_of_a_whole_one(total):
    prior = tiny(patterns=("row", "column", "previous", "dense"), depth=4)
    conditions = Conditioning(frames=random(2, FRAMES, WIDTH))
    whole = prior(tokens(), conditions)
    torch.testing.assert_close(prior(tokens()[:, :total], conditions), whole[:, :total])


def test_the_loss_of_knowing_nothing_is_the_bits_of_a_token():
    prior = tiny(tied=False)
    with torch.no_grad():
        prior.head.weight.zero_()
        prior.head.bias.zero_()
    assert prior.loss(tokens(), Conditioning()).item() == pytest.approx(log2(BINS))


def test_the_loss_leaves_out_what_is_past_the_end_of_a_song():
    prior, given = tiny(), tokens()
    cut = given.clone()
    cut[:, 10:] = -1
    mine = prior.loss(cut, Conditioning())
    torch.testing.assert_close(mine, prior.loss(given[:, :10], Conditioning()))
    assert abs(mine - prior.loss(given, Conditioning())).item() > 1e-3


def test_each_token_counts_alike_in_songs_of_different_lengths():
    prior, given = tiny(), tokens()
    given[0, 4:] = -1
    short, long = (prior.loss(given[i : i + 1], Conditioning()) for i in (0, 1))
    mean = (4 * short + FRAMES * long) / (4 + FRAMES)
    torch.testing.assert_close(prior.loss(given, Conditioning()), mean)


def test_residual_branches_are_scaled_by_the_depth():
    scaled, plain = tiny(scale=True), tiny(scale=False)
    assert [block.scale for block in scaled.transformer.blocks()] == [1 / 3] * 3
    x = random(2, FRAMES, WIDTH)
    for one, other in zip(scaled.transformer.blocks(), plain.transformer.blocks(), strict=True):
        torch.testing.assert_close(3 * (one(x) - x), other(x) - x)


def test_the_branch_of_a_block_is_attention_and_then_an_mlp_on_top_of_it():
    torch.manual_seed(0)
    block = Block("row", Layout(2, 3), WIDTH, 8, 32, 2, scale=0.5, out_std=1.0).double()
    x = random(2, 6, WIDTH)
    a = block.attention(block.before_attention(x))
    hidden = block.widen(block.before_mlp(x + a))
    m = block.narrow(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(block(x), x + 0.5 * (a + m))


@pytest.mark.parametrize("strides", [(2,), (4, 2), (2, 2, 2)])
def test_an_upsampler_makes_a_frame_for_each_of_its_tokens(strides):
    upper = Upper(BINS, WIDTH, strides, UpperConfig(width=8, depth=2))
    ratio = torch.tensor(strides).prod()
    assert upper(tokens(2, 6)).frames.shape == (2, 6 * ratio, WIDTH)


def test_strides_are_undone_from_the_last():
    upper = Upper(BINS, WIDTH, (8, 4, 2), UpperConfig(width=8, depth=1))
    made = [m.stride[0] for m in upper.modules() if isinstance(m, nn.ConvTranspose1d)]
    assert made == [2, 4, 8]


def test_a_frame_hears_the_codes_that_lie_over_it():
    upper = Upper(BINS, WIDTH, (2, 2), UpperConfig(width=8, depth=1)).double()
    codes = tokens(1, 30)
    other = codes.clone()
    other[0, 15] = (codes[0, 15] + 1) % BINS
    changed = (upper(codes).frames != upper(other).frames)[0].any(dim=1).nonzero()[:, 0]
    assert set(range(60, 64)) <= set(changed.tolist()) < set(range(40, 84))


def test_an_upsampler_adds_the_codes_above_to_its_conditioners():
    prior = tiny({"frames": Frames()}, strides=(2, 2))
    said = {"frames": {"level": torch.tensor([2.0, 3.0], dtype=torch.float64)}}
    above = tokens(2, FRAMES // 4)
    wanted = prior.upper(above).frames + torch.tensor([2.0, 3.0])[:, None, None]
    torch.testing.assert_close(prior.condition(said, above).frames, wanted)


class Frames(nn.Module):
    def forward(self, level: Tensor) -> Conditioning:
        return Conditioning(frames=level[:, None, None].expand(-1, FRAMES, WIDTH))


def test_a_window_must_hold_whole_tokens_of_the_level_above():
    codec = VQVAEConfig(strides=((4,), (4,)), widths=(8, 8), depths=(1, 1))
    priors = (PriorConfig(frames=90, blocks=9), PriorConfig(frames=64, blocks=8))
    with pytest.raises(ValueError, match="frames of level 0 must be a multiple of 4"):
        ModelConfig(vqvae=codec, priors=priors)
