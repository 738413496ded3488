"""The prior: what it starts from, what joins at every position, and what it is trained on."""

from __future__ import annotations

from math import log, log2

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.conditioning import (
    Conditioning,
    Prefix,
    stack_conditionings,
    sum_conditionings,
)
from jukebox_cli.model.embeddings import RangeEmbedding, StartEmbedding
from jukebox_cli.model.kv_cache import Layout
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.transformer import TransformerLayer
from jukebox_cli.model.upsampler_conditioner import UpsamplerConditioner

BINS, WIDTH, FRAMES = 20, 16, 24


def tiny(conditioners: dict[str, nn.Module] | None = None, strides=None, **knobs: object) -> Prior:
    torch.manual_seed(0)
    config = {"context_length": FRAMES, "rows": 4, "depth": 3, "heads": 2, **knobs}
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
    for block in prior.transformer.layer_list():
        block.scale = 0.0
    return prior


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_what_is_before_and_after_the_transformer(tied, norm):
    prior, given = without_layers(tiny(tie_embeddings=tied, final_norm=norm)), tokens()
    frames, start = random(2, FRAMES, WIDTH), random(2, WIDTH)
    before = torch.cat([start[:, None], prior.token_embedding.weight[given[:, :-1]]], dim=1)
    x = before + prior.position_embedding + frames
    x = prior.final_norm(x + frames if tied else x)
    wanted = (
        x @ prior.token_embedding.weight.T if tied else x @ prior.output.weight + prior.output.bias
    )
    torch.testing.assert_close(prior(given, Conditioning(start, frames)), wanted)


def test_a_tied_prior_has_no_output_layer_of_its_own():
    untied = {name for name, _ in tiny(tie_embeddings=False).named_parameters()}
    tied = {name for name, _ in tiny(tie_embeddings=True).named_parameters()}
    assert untied - tied == {"head.weight", "head.bias"}
    assert not tied - untied


def test_without_a_start_the_sequence_starts_from_a_learned_one():
    prior = tiny()
    learned = prior(tokens(), Conditioning())
    said = prior(tokens(), Conditioning(start=prior.start_embedding.expand(2, -1)))
    torch.testing.assert_close(learned, said)
    learned.sum().backward()
    assert prior.start_embedding.grad is not None
    assert prior.start_embedding.grad.any()


def test_a_start_takes_the_place_of_the_learned_one():
    prior = tiny()
    logits = prior(tokens(), Conditioning(start=random(2, WIDTH)))
    logits.sum().backward()
    assert prior.start_embedding.grad is None
    other = prior(tokens(), Conditioning(start=2 * random(2, WIDTH)))
    assert (logits - other).abs().amin(dim=(0, 2))[0] > 1e-6


def test_starts_of_two_conditioners_add_up():
    parts = {"one": StartEmbedding(4, WIDTH), "two": StartEmbedding(5, WIDTH)}
    prior = tiny(parts)
    arrays = {"one": {"ids": torch.tensor([[1]])}, "two": {"ids": torch.tensor([[2, 4, -1]])}}
    one, two = (prior.conditioners[name].embedding.weight for name in parts)
    torch.testing.assert_close(prior.condition(arrays).start, (one[1] + two[2] + two[4])[None])


def test_conditions_join_by_what_they_do():
    one = Conditioning(start=random(1, 3), per_token=random(1, 5, 3), memory=random(1, 2, 3))
    two = Conditioning(start=random(1, 3), memory=random(1, 4, 3), loss=torch.tensor(1.0))
    both = sum_conditionings([one, two])
    torch.testing.assert_close(both.start, one.start + two.start)
    assert both.per_token is one.per_token
    assert both.memory.shape == (1, 6, 3)
    assert both.prefix is None
    assert float(both.loss) == 1.0


@pytest.mark.parametrize("tied", [True, False])
def test_a_frame_changes_its_own_logits_and_those_after(tied):
    prior = tiny(tie_embeddings=tied, attention_patterns=("dense",))
    frames = random(1, FRAMES, WIDTH).requires_grad_()
    logits = prior(tokens(1), Conditioning(per_token=frames))
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
    prior, given = tiny(tie_embeddings=tied), tokens()
    conditions = Conditioning(random(2, WIDTH), random(2, FRAMES, WIDTH))
    conditions = conditions if steered else Conditioning()
    whole, caches = prior(given, conditions), prior.make_caches(2, conditions)
    prior.prefill(given[:, :7], conditions, caches)
    for n in range(7, FRAMES):
        for place in (n, torch.tensor([n])):  # the second as it is told where steps are recorded
            step = prior.step_at(given[:, n - 1], place, conditions, caches)
            torch.testing.assert_close(step, whole[:, n])


@pytest.mark.parametrize("total", [1, 5, 6, 7, 23])
def test_a_window_that_ends_within_a_row_is_the_beginning_of_a_whole_one(total):
    prior = tiny(attention_patterns=("row", "column", "previous", "dense"), depth=4)
    conditions = Conditioning(per_token=random(2, FRAMES, WIDTH))
    whole = prior(tokens(), conditions)
    torch.testing.assert_close(prior(tokens()[:, :total], conditions), whole[:, :total])


def test_the_loss_of_knowing_nothing_is_the_bits_of_a_token():
    prior = tiny(tie_embeddings=False)
    with torch.no_grad():
        prior.output.weight.zero_()
        prior.output.bias.zero_()
    assert prior.loss(tokens(), Conditioning()).bits.item() == pytest.approx(log2(BINS))


def test_the_loss_leaves_out_what_is_past_the_end_of_a_song():
    prior, given = tiny(), tokens()
    cut = given.clone()
    cut[:, 10:] = -1
    mine = prior.loss(cut, Conditioning())
    torch.testing.assert_close(mine, prior.loss(given[:, :10], Conditioning()))
    assert abs(mine.bits - prior.loss(given, Conditioning()).bits).item() > 1e-3


def test_each_token_counts_alike_in_songs_of_different_lengths():
    prior, given = tiny(), tokens()
    given[0, 4:] = -1
    short, long = (prior.loss(given[i : i + 1], Conditioning()).bits for i in (0, 1))
    mean = (4 * short + FRAMES * long) / (4 + FRAMES)
    torch.testing.assert_close(prior.loss(given, Conditioning()).bits, mean)


def test_what_conditioners_learn_by_is_added_to_the_loss_but_is_no_bit_of_the_music():
    prior, more = tiny(), torch.tensor(0.25, dtype=torch.float64)
    plain, loss = (prior.loss(tokens(), Conditioning(loss=x)) for x in (None, more))
    assert plain.total == plain.bits == loss.bits
    assert loss.total == loss.bits + more


def test_residual_branches_are_scaled_by_the_depth():
    scaled, plain = tiny(residual_scale=True), tiny(residual_scale=False)
    assert [block.scale for block in scaled.transformer.layer_list()] == [1 / 3] * 3
    x = random(2, FRAMES, WIDTH)
    for one, other in zip(
        scaled.transformer.layer_list(), plain.transformer.layer_list(), strict=True
    ):
        torch.testing.assert_close(3 * (one(x) - x), other(x) - x)


def test_the_branch_of_a_block_is_attention_and_then_an_mlp_on_top_of_it():
    torch.manual_seed(0)
    block = TransformerLayer("row", Layout(2, 3), WIDTH, 8, 32, 2, scale=0.5, out_std=1.0).double()
    x = random(2, 6, WIDTH)
    a = block.attention(block.attention_norm(x))
    hidden = block.mlp_in(block.mlp_norm(x + a))
    m = block.mlp_out(hidden * torch.sigmoid(1.702 * hidden))
    torch.testing.assert_close(block(x), x + 0.5 * (a + m))


@pytest.mark.parametrize("strides", [(2,), (4, 2), (2, 2, 2)])
def test_an_upsampler_makes_a_frame_for_each_of_its_tokens(strides):
    upper = UpsamplerConditioner(BINS, WIDTH, strides, UpsamplerConditionerConfig(width=8, depth=2))
    ratio = torch.tensor(strides).prod()
    assert upper(tokens(2, 6)).frames.shape == (2, 6 * ratio, WIDTH)


def test_strides_are_undone_from_the_last():
    upper = UpsamplerConditioner(
        BINS, WIDTH, (8, 4, 2), UpsamplerConditionerConfig(width=8, depth=1)
    )
    made = [m.stride[0] for m in upper.modules() if isinstance(m, nn.ConvTranspose1d)]
    assert made == [2, 4, 8]


def test_a_frame_hears_the_codes_that_lie_over_it():
    upper = UpsamplerConditioner(
        BINS, WIDTH, (2, 2), UpsamplerConditionerConfig(width=8, depth=1)
    ).double()
    codes = tokens(1, 30)
    other = codes.clone()
    other[0, 15] = (codes[0, 15] + 1) % BINS
    changed = (upper(codes).frames != upper(other).frames)[0].any(dim=1).nonzero()[:, 0]
    assert set(range(60, 64)) <= set(changed.tolist()) < set(range(40, 84))


def test_an_upsampler_adds_the_codes_above_to_its_conditioners():
    prior = tiny({"frames": Frames()}, strides=(2, 2))
    said = {"frames": {"level": torch.tensor([2.0, 3.0], dtype=torch.float64)}}
    above = tokens(2, FRAMES // 4)
    wanted = prior.upsampler_conditioner(above).frames + torch.tensor([2.0, 3.0])[:, None, None]
    torch.testing.assert_close(prior.condition(said, above).per_token, wanted)


class Frames(nn.Module):
    def forward(self, level: Tensor) -> Conditioning:
        return Conditioning(per_token=level[:, None, None].expand(-1, FRAMES, WIDTH))


def test_a_window_must_hold_whole_tokens_of_the_level_above():
    codec = VQVAEConfig(strides=((4,), (4,)), widths=(8, 8), depths=(1, 1))
    priors = (PriorConfig(context_length=90, rows=9), PriorConfig(context_length=64, rows=8))
    with pytest.raises(ValueError, match="frames of level 0 must be a multiple of 4"):
        ModelConfig(vqvae=codec, priors=priors)


# a prefix of P letters, out of V

P, V = 6, 7


def spelling(conditioners: dict[str, nn.Module] | None = None, **knobs: object) -> Prior:
    """A prior with a prefix, which `prefix` layers see together with a little of the music."""
    patterns = ("prefix", "dense", "memory", "row")
    config = {"prefix": P, "blocks": 5, "depth": 4, "patterns": patterns, **knobs}
    return tiny(conditioners, **config)


def prefix(batch: int = 2, untied: bool = True) -> Prefix:
    """No letter is twice in it."""
    ids = torch.stack([(torch.arange(P) + item) % V for item in range(batch)])
    letters, share = random(V, WIDTH), torch.linspace(0.0, 1.0, P, dtype=torch.float64)
    return Prefix(ids, letters, share, random(V + 1, WIDTH)[1:] if untied else None)


def spelled(batch: int = 2, untied: bool = True) -> Conditioning:
    return Conditioning(
        start=random(batch, WIDTH),
        per_token=random(batch, FRAMES, WIDTH),
        memory=random(batch, 5, WIDTH),
        memory_mask=torch.ones(batch, 5, dtype=torch.bool),
        prefix=prefix(batch, untied),
    )


@pytest.mark.parametrize("total", [1, 6, 23, FRAMES])
def test_there_are_logits_of_letters_and_bins_at_every_position(total):
    prior = spelling()
    assert prior.position_embedding.shape == (P + FRAMES, WIDTH)
    whole = prior(tokens(), spelled())
    assert whole.shape == (2, P + FRAMES, BINS + V)
    logits = prior(tokens()[:, :total], spelled())
    torch.testing.assert_close(logits, whole[:, : P + total])


def inputs(prior: Prior, tokens: Tensor, conditions: Conditioning) -> Tensor:
    """Of each position what stands before it, where it is, and the conditions of the music."""
    letters, total = conditions.prefix.embeddings[conditions.prefix.ids], tokens.shape[1]
    start, music = conditions.start[:, None], prior.token_embedding.weight[tokens[:, :-1]]
    frames = F.pad(conditions.per_token[:, :total], (0, 0, P, 0))
    return (
        torch.cat([start, letters, music], dim=1) + prior.position_embedding[: P + total] + frames
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("untied", [True, False])
def test_what_is_before_and_after_the_transformer_with_a_prefix(tied, untied):
    prior, given = without_layers(spelling(tie_embeddings=tied)), tokens()
    conditions, letters = spelled(untied=untied), prefix(untied=untied)
    x = inputs(prior, given, conditions)
    x = prior.final_norm(x + F.pad(conditions.per_token, (0, 0, P, 0)) if tied else x)
    music = (
        x @ prior.token_embedding.weight.T if tied else x @ prior.output.weight + prior.output.bias
    )
    wanted = torch.cat(
        [music, x @ (letters.output_weight if untied else letters.embeddings).T], dim=2
    )
    torch.testing.assert_close(prior(given, conditions), wanted)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("untied", [True, False])
@pytest.mark.parametrize("begun", [0, 1, 7])
def test_steps_after_a_prefix_equal_all_positions_at_once(tied, untied, begun):
    prior, given, conditions = spelling(tie_embeddings=tied), tokens(), spelled(untied=untied)
    whole, caches = prior(given, conditions), prior.make_caches(2, conditions)
    prior.prefill(given[:, :begun], conditions, caches)
    for n in range(begun, FRAMES):
        step = prior.step(given[:, n - 1], n, conditions, caches)
        torch.testing.assert_close(step, whole[:, P + n])


def test_a_letter_that_is_drawn_is_heard_as_what_it_is_in_the_prefix():
    prior, conditions, last = spelling(), spelled(), torch.tensor([3, 4])
    heard = torch.tensor([BINS + 2, 4])  # the letter 2 in one item, the same token in the other
    with torch.no_grad():
        prior.token_embedding.weight[3] = conditions.prefix.embeddings[2]
    logits = []
    for before in (last, heard):
        caches = prior.make_caches(2, conditions)
        prior.prefill(tokens()[:, :5], conditions, caches)
        logits.append(prior.step(before, 5, conditions, caches))
    torch.testing.assert_close(logits[0], logits[1])


@pytest.mark.parametrize("tied", [True, False])
def test_frames_do_not_reach_the_prefix(tied):
    prior, conditions = spelling(tie_embeddings=tied), spelled()
    frames = conditions.per_token.requires_grad_()
    logits, towards = prior(tokens(), conditions), random(BINS + V)
    for n in range(P + FRAMES):
        (slope,) = torch.autograd.grad((logits[0, n] @ towards), frames, retain_graph=True)
        felt = slope[0].abs().sum(1) > 0
        assert felt[: max(0, n + 1 - P)].all()
        assert not felt[max(0, n + 1 - P) :].any()


def test_the_music_sees_the_whole_prefix_and_a_letter_those_before_it():
    prior, conditions = spelling(), spelled(1)
    letters = conditions.prefix.embeddings.requires_grad_()
    logits, towards = prior(tokens(1), conditions), random(BINS + V)
    for n in range(P + FRAMES):
        (slope,) = torch.autograd.grad(logits[0, n] @ towards, letters, retain_graph=True)
        felt = (slope.abs().sum(1) > 0)[conditions.prefix.ids[0]]
        assert felt[:n].all()
        assert not felt[n:].any()


class Letters(nn.Module):
    """Gives a prefix of any ids."""

    def forward(self, ids: Tensor) -> Conditioning:
        return Conditioning(prefix=Prefix(ids, random(V, WIDTH), torch.ones(ids.shape[1])))


@pytest.mark.parametrize(
    ("wanted", "lengths", "given"), [(P, [3], 3), (P, [], 0), (0, [3], 3), (P, [3, 4], 7)]
)
def test_a_prefix_of_another_length_than_the_config_says_is_refused(wanted, lengths, given):
    parts = {f"part {n}": Letters() for n in range(len(lengths))}
    arrays = {
        name: {"ids": torch.zeros(2, length, dtype=torch.int64)}
        for name, length in zip(parts, lengths, strict=True)
    }
    prior = spelling(parts, prefix_length=wanted, rows=6)
    with pytest.raises(InputError) as caught:
        prior.condition(arrays)
    what = f"its conditioners give {given} letters to go before the music"
    assert caught.value.message == f"{what}, and there is place for {wanted}"
    assert caught.value.hint == f"set `prefix_length: {given}` in the prior's config"


def test_prefixes_of_two_conditioners_are_laid_end_to_end():
    prior = spelling({"one": Letters(), "two": Letters()}, attention_patterns=("dense",))
    ids = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0, 1, 2, 3], [6, 5, 4, 3]])
    arrays = {name: {"ids": each} for name, each in zip(("one", "two"), ids, strict=True)}
    both = prior.condition(arrays).prefix
    assert both.ids.tolist() == [[1, 2, V, V + 1, V + 2, V + 3], [3, 4, V + 6, V + 5, V + 4, V + 3]]
    torch.testing.assert_close(both.embeddings, random(V, WIDTH).repeat(2, 1))
    assert both.loss_weights.tolist() == [1.0] * P
    assert both.output_weight is None
    assert prior(tokens(), Conditioning(prefix=both)).shape[2] == BINS + 2 * V


def test_joined_prefixes_keep_the_output_layer_and_the_share_of_each():
    one, two = prefix(), prefix()
    both = one + Prefix(
        two.ids[:, :2], -two.embeddings, two.loss_weights[:2] + 2, -two.output_weight
    )
    torch.testing.assert_close(
        both.output_weight, torch.cat([one.output_weight, -one.output_weight])
    )
    assert both.loss_weights.tolist() == [
        *one.loss_weights.tolist(),
        *(two.loss_weights[:2] + 2).tolist(),
    ]


@pytest.mark.parametrize("untied", [True, False])
def test_a_prefix_with_an_output_layer_and_one_without_do_not_join(untied):
    message = "both prefixes of a prior or none must have an output layer"
    with pytest.raises(ValueError, match=message):
        prefix(untied=untied) + prefix(untied=not untied)


def test_rows_of_conditions_are_stacked_to_what_they_were():
    conditions = spelled(3)
    rows = [conditions.item(item) for item in range(3)]
    assert [row.prefix.ids.tolist() for row in rows] == [[i] for i in prefix(3).ids.tolist()]
    again = stack_conditionings(rows)
    for name in ("start", "per_token", "memory", "memory_mask"):
        assert torch.equal(getattr(again, name), getattr(conditions, name))
    for name in ("ids", "letters", "share", "out"):
        assert torch.equal(getattr(again.prefix, name), getattr(conditions.prefix, name))
    assert stack_conditionings([Conditioning(), Conditioning()]) == Conditioning()


def test_the_loss_is_of_the_music_and_of_each_letter_by_its_share():
    prior, given, conditions = spelling(), tokens(), spelled()
    given[1, 9:] = -1
    more = torch.tensor(0.25, dtype=torch.float64)
    loss = prior.loss(given, sum_conditionings([conditions, Conditioning(loss=more)]))
    bits = -prior(given.clamp_min(0), conditions).log_softmax(2) / log(2)
    music = bits[:, P:].gather(2, given.clamp_min(0)[:, :, None])[:, :, 0]
    letters = bits[:, :P].gather(2, conditions.prefix.ids[:, :, None] + BINS)[:, :, 0]
    assert loss.bits.item() == pytest.approx(music[given >= 0].mean().item(), rel=1e-5)
    worth = sum(
        share * letters[:, n].mean() for n, share in enumerate(conditions.prefix.loss_weights)
    )
    assert loss.total.item() == pytest.approx((loss.bits + worth / FRAMES + more).item(), rel=1e-5)


def test_the_music_of_a_prior_with_letters_that_knows_nothing_costs_the_bits_of_both():
    prior, conditions = spelling(tie_embeddings=False), spelled()
    with torch.no_grad():
        prior.output.weight.zero_()
        conditions.prefix.output_weight.zero_()
    loss = prior.loss(tokens(), conditions)
    assert loss.bits.item() == pytest.approx(log2(BINS + V))
    share = conditions.prefix.loss_weights.sum().item()
    assert loss.total.item() == pytest.approx(log2(BINS + V) * (1 + share / FRAMES))


@pytest.mark.parametrize("total", [5, FRAMES])
def test_looks_are_from_the_music_at_the_prefix_under_its_conditions(total):
    prior, conditions, given = spelling(), spelled(), tokens()[:, :total]
    looks = prior.attention_weights(given, conditions, 0)
    assert looks.shape == (2, 2, total, P)
    assert (looks > 0).all()
    x = inputs(prior, given, conditions)
    torch.testing.assert_close(looks, prior.transformer.attention_weights(x, 0))


def test_a_head_that_is_indifferent_looks_alike_at_all_it_sees():
    prior = spelling()
    with torch.no_grad():
        prior.transformer.layer_list()[0].attention.qkv.weight.zero_()
    looks = prior.attention_weights(tokens(), spelled(), 0)
    assert prior.transformer.layout.prefix_span == 10  # the prefix and 4 tokens
    for n in range(FRAMES):
        wanted = torch.full((2, 2, P), 1 / min(P + n + 1, 10), dtype=torch.float64)
        torch.testing.assert_close(looks[:, :, n], wanted)


@pytest.mark.parametrize("masked", [True, False])
def test_looks_of_the_music_at_a_memory(masked):
    prior, mask = (
        tiny(attention_patterns=("row", "cross_attention")),
        torch.tensor([[1, 0, 1, 1, 0], [0] * 5]).bool(),
    )
    conditions = Conditioning(memory=random(2, 5, WIDTH), memory_mask=mask if masked else None)
    looks = prior.attention_weights(tokens(), conditions, 1)
    assert looks.shape == (2, 2, FRAMES, 5)
    seen = (mask if masked else torch.ones(2, 5).bool())[:, None, None].expand_as(looks)
    assert torch.equal(looks > 0, seen)
    torch.testing.assert_close(looks.sum(3), seen.any(3).double())


def test_a_memory_without_a_mask_is_seen_whole_beside_one_that_has_one():
    mask = torch.tensor([[True, False], [False, True]])
    masked = Conditioning(memory=random(2, 2, WIDTH), memory_mask=mask)
    plain = Conditioning(memory=random(2, 3, WIDTH))
    whole = torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(
        sum_conditionings([masked, plain]).memory_mask, torch.cat([mask, whole], dim=1)
    )
    assert torch.equal(
        sum_conditionings([plain, masked]).memory_mask, torch.cat([whole, mask], dim=1)
    )
    assert torch.equal(sum_conditionings([masked, Conditioning()]).memory_mask, mask)
    assert sum_conditionings([plain, plain]).memory_mask is None
