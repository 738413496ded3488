"""Sampling: windows are stitched without a seam, and a song is the same however it came about."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jukebox_plugins.samplers import Guidance
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from jukebox_cli.config.schema import ModelConfig, PriorConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import Conditioning, Prefix, stack_conditionings
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.sampler import (
    LevelSampler,
    PartialTokens,
    ProgressCallbacks,
    sample_windows,
)
from jukebox_cli.sampling.windows import TokenWindow, token_windows
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig, Tokens
from jukebox_cli.storage.tensors import save_tensors

FRAMES, TOTAL = 16, 44


def drafts(items: Sequence[int], known: Sequence[int] | int = 0) -> list[PartialTokens]:
    """Drafts of a song whose token at position p is p, as far as it is known."""
    known = [known] * len(items) if isinstance(known, int) else known
    return [
        PartialTokens(item, np.where(np.arange(TOTAL) < done, np.arange(TOTAL), 0), done)
        for item, done in zip(items, known, strict=True)
    ]


@dataclass
class Counting:
    """A prior that makes token p at position p, and looks at what it is told of those before."""

    position_embedding: Tensor = field(default_factory=lambda: torch.zeros(1))
    codebook_size: int = TOTAL
    letters: tuple[int, ...] = ()  # where it makes letter p in place of token p

    def make_caches(self, batch: int, conditions: Conditioning) -> list[list[int]]:
        return [[], []]  # all positions so far, those that were known when the window began

    def prefill(self, tokens: Tensor, conditions: Conditioning, caches: list[list[int]]) -> None:
        start = int(conditions.per_token[0, 0, 0])
        wanted = [self.kept(start + n) for n in range(tokens.shape[1])]
        assert tokens.tolist() == [wanted] * len(tokens)
        for each in caches:
            each.extend(range(tokens.shape[1]))

    def step(
        self, last: Tensor, n: int, conditions: Conditioning, caches: list[list[int]]
    ) -> Tensor:
        place = int(conditions.per_token[0, n, 0])
        wanted = (self.kept if n - 1 in caches[1] else self.drawn)(place - 1)
        assert n == 0 or last.tolist() == [wanted] * len(last)
        assert caches[0] == list(range(n))  # every position before went through the cache, once
        caches[0].append(n)
        logits = torch.full((len(last), 2 * TOTAL), -torch.inf)
        return logits.index_fill(1, torch.tensor([self.drawn(place)]), 0.0)

    def drawn(self, place: int) -> int:
        return place + self.codebook_size if place in self.letters else place

    def kept(self, place: int) -> int:
        """What is left of it when its window is whole."""
        return 0 if place in self.letters else place


def places(stretch: TokenWindow, batch: int = 2) -> Conditioning:
    frames = stretch.start + torch.arange(FRAMES, dtype=torch.float)
    return Conditioning(per_token=frames[None, :, None].expand(batch, -1, -1))


@dataclass
class Kill:
    """A pulse that interrupts at the n-th tick that tells of new tokens, counted from 1."""

    at: int | None = None
    ticks: int = 0
    saved: list[list[PartialTokens]] = field(default_factory=list)
    working: Sequence[PartialTokens] = ()

    def pulse(
        self, working: Sequence[PartialTokens], seconds: float = 1e9, every: int = 1
    ) -> ProgressCallbacks:
        self.working = working
        return ProgressCallbacks(self.tick, self.save, seconds, every)

    def tick(self, count: int) -> None:
        self.ticks += count > 0
        if count and self.ticks == self.at:
            raise KeyboardInterrupt

    def save(self) -> None:
        self.saved.append([replace(d, tokens=d.tokens.copy()) for d in self.working])


def count(
    working: Sequence[PartialTokens],
    hop: float,
    given: int = 0,
    at: int | None = None,
    letters: tuple[int, ...] = (),
    **pulse: float,
) -> Kill:
    kill = Kill(at)
    stretches = token_windows(TOTAL, FRAMES, hop, given)
    level, told = (
        LevelSampler(0, Counting(letters=letters), [], seed=0),
        kill.pulse(working, **pulse),
    )
    try:
        sample_windows(level, working, stretches, lambda s: places(s, len(working)), told)
    except KeyboardInterrupt:
        assert at is not None
    return kill


@pytest.mark.parametrize("given", [0, 1, 15, 16, 17, 43])
@pytest.mark.parametrize("hop", [0.1, 0.5, 0.75, 1.0])
def test_windows_are_stitched_without_a_seam(hop, given):
    working = drafts([0, 1], given)
    count(working, hop, given)
    for draft in working:
        assert draft.tokens.tolist() == list(range(TOTAL))
        assert draft.num_done == TOTAL


@pytest.mark.parametrize("hop", [0.5, 1.0])
def test_a_song_shorter_than_a_window(hop):
    working = [PartialTokens(0, np.zeros(5, np.int64), 0)]
    stretches = token_windows(5, FRAMES, hop)
    level = LevelSampler(0, Counting(), [], seed=0)
    sample_windows(level, working, stretches, lambda s: places(s, 1), ProgressCallbacks())
    assert working[0].tokens.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_what_is_there_after_a_kill_is_a_prefix_and_nothing_is_lost(at):
    working = drafts([0, 1])
    count(working, hop=0.5, at=at)
    for draft in working:
        assert draft.num_done == at
        assert draft.tokens[:at].tolist() == list(range(at))
        assert not draft.tokens[at:].any()
    count(working, hop=0.5)
    assert [d.tokens.tolist() for d in working] == [list(range(TOTAL))] * 2


LETTERS = (0, 3, 4, 14, 15, 16, 17, 23, 24, 31, 32, 42, 43)  # on both sides of every border


def half_drawn(done: int) -> list[int]:
    """What is there of `LETTERS` and tokens when so much is drawn, with a hop of a half."""
    whole = max([w.end for w in token_windows(TOTAL, FRAMES, 0.5) if w.end <= done], default=0)
    prior = Counting(letters=LETTERS)
    return [prior.kept(p) if p < whole else prior.drawn(p) for p in range(done)]


@pytest.mark.parametrize("at", range(1, TOTAL + 1))
def test_a_letter_is_kept_while_its_window_is_half_drawn_and_then_is_token_0(at):
    working = drafts([0, 1])
    count(working, hop=0.5, at=at, letters=LETTERS)
    for draft in working:
        assert draft.num_done == at
        assert draft.tokens.tolist() == half_drawn(at) + [0] * (TOTAL - at)
    count(working, hop=0.5, letters=LETTERS)
    assert [d.tokens.tolist() for d in working] == [half_drawn(TOTAL)] * 2
    assert max(half_drawn(TOTAL)) < TOTAL <= max(half_drawn(15))


@pytest.mark.parametrize("every", [1, 3])
def test_letters_of_a_half_drawn_window_are_saved_as_they_were_drawn(every):
    kill = count(drafts([0, 1]), 0.5, letters=LETTERS, seconds=-1.0, every=every)
    assert len(kill.saved) > TOTAL / every
    for saved in kill.saved:
        for draft in saved:
            assert draft.tokens[: draft.num_done].tolist() == half_drawn(draft.num_done)


def test_what_is_saved_is_a_prefix_that_grows():
    kill = count(drafts([0, 1]), hop=0.5, seconds=-1.0, every=3)
    lengths = [saved[0].num_done for saved in kill.saved]
    assert lengths == sorted(lengths)
    assert len(lengths) > TOTAL / 3
    for saved in kill.saved:
        for draft in saved:
            assert draft.tokens.tolist() == [
                *range(draft.num_done),
                *[0] * (TOTAL - draft.num_done),
            ]


def test_nothing_is_saved_sooner_than_it_was_asked_for():
    kill = count(drafts([0, 1]), hop=0.5, seconds=1e9)
    assert [saved[0].num_done for saved in kill.saved] == [
        w.end for w in token_windows(TOTAL, FRAMES, 0.5)
    ]


def test_conditions_are_asked_for_once_for_each_window_that_is_drawn():
    asked: list[TokenWindow] = []

    def conditions(stretch: TokenWindow) -> Conditioning:
        asked.append(stretch)
        return places(stretch)

    stretches = token_windows(TOTAL, FRAMES, 0.5)
    level, working = LevelSampler(0, Counting(), [], seed=0), drafts([0, 1], [30, 25])
    sample_windows(level, working, stretches, conditions, ProgressCallbacks())
    assert asked == [s for s in stretches if s.end > 25]


@pytest.mark.parametrize("known", [[0, 0, 0], [5, 21, 44], [16, 17, 18]])
def test_ticks_count_the_tokens_that_are_drawn(known):
    ticks: list[int] = []
    level, stretches = LevelSampler(0, Counting(), [], seed=0), token_windows(TOTAL, FRAMES, 0.5)
    pulse = ProgressCallbacks(ticks.append, every=5)
    sample_windows(level, drafts(range(3), known), stretches, lambda s: places(s, 3), pulse)
    assert sum(ticks) == 3 * TOTAL - sum(known)


@dataclass
class Remembering:
    """A sampler that keeps what it was given as history."""

    histories: list[Tensor] = field(default_factory=list)

    def __call__(self, logits: Tensor, history: Tensor) -> Tensor:
        self.histories.append(history.clone())
        return logits


def test_samplers_see_the_tokens_of_the_window_before_the_one_that_is_drawn():
    spy, stretches = Remembering(), token_windows(TOTAL, FRAMES, 0.5)
    level = LevelSampler(0, Counting(), [spy], seed=0)
    sample_windows(level, drafts([0, 1]), stretches, places, ProgressCallbacks())
    wanted = [list(range(s.start, n)) for s in stretches for n in range(s.sample_from, s.end)]
    assert [h.tolist() for h in spy.histories] == [[row, row] for row in wanted]


def test_samplers_shape_the_distribution_in_their_order():
    def only(token: int) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda logits, history: torch.full_like(logits, -50.0).index_fill(
            1, torch.tensor([token]), 50.0
        )

    level = LevelSampler(0, one_prior(), [only(3), only(5)], seed=0)
    working = [PartialTokens(0, np.zeros(8, np.int64), 0)]
    sample_windows(level, working, token_windows(8, FRAMES, 0.5), steered([0]), ProgressCallbacks())
    assert working[0].tokens.tolist() == [5] * 8


BINS = 24
#: Steers as an item does that is told nothing.
NOBODY = 99


@cache
def one_prior(prefix: int = 0) -> Prior:
    """Random weights, and logits that depend strongly on all that came before."""
    torch.manual_seed(0)
    size = {
        "context_length": FRAMES,
        "prefix_length": prefix,
        "rows": 4,
        "width": 32,
        "depth": 4,
        "heads": 2,
    }
    patterns = ("row", "column", "previous", "prefix" if prefix else "dense")
    prior = Prior(PriorConfig(**size, attention_patterns=patterns), BINS, {}).eval()
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.mul_(8.0)
        prior.token_embedding.weight.mul_(4.0)
    return prior


def steered(items: Sequence[int], prefix: int = 0) -> Callable[[TokenWindow], Conditioning]:
    """Conditions that are a function of the item and the window."""
    letters = torch.randn(BINS, 32, generator=torch.Generator().manual_seed(0))

    def one(item: int, stretch: TokenWindow) -> Conditioning:
        generator = torch.Generator().manual_seed(1000 * item + stretch.start)
        start, frames = (torch.randn(1, n, 32, generator=generator) for n in (1, FRAMES))
        ids = torch.randint(BINS, (1, prefix), generator=generator)
        before = Prefix(ids, 0.6 * letters, torch.ones(prefix)) if prefix else None
        return Conditioning(0.3 * start[:, 0], 0.3 * frames, prefix=before)

    return lambda stretch: stack_conditionings([one(item, stretch) for item in items])


def draw_on(
    working: Sequence[PartialTokens],
    given: int = 0,
    at: int | None = None,
    seed: int = 3,
    prefix: int = 0,
    samplers: Sequence[Sampler] = (),
) -> None:
    kill, stretches = Kill(at), token_windows(TOTAL, FRAMES, 0.5, given)
    level = LevelSampler(2, one_prior(prefix), samplers, seed)
    nobody = [NOBODY] * len(working) if level.guidance_samplers else []
    conditions = steered([*(d.item for d in working), *nobody], prefix)
    try:
        sample_windows(level, working, stretches, conditions, kill.pulse(working))
    except KeyboardInterrupt:
        assert at is not None


def blank(items: Sequence[int], primer: Sequence[int] = ()) -> list[PartialTokens]:
    song = np.zeros(TOTAL, np.int64)
    song[: len(primer)] = primer
    return [PartialTokens(item, song.copy(), len(primer)) for item in items]


@cache
def songs(primer: tuple[int, ...] = (), prefix: int = 0) -> dict[int, list[int]]:
    """What 16 items are when they are drawn in one go."""
    working = blank(range(16), primer)
    draw_on(working, len(primer), prefix=prefix)
    return {d.item: d.tokens.tolist() for d in working}


def tokens_of(working: Sequence[PartialTokens]) -> dict[int, list[int]]:
    return {d.item: d.tokens.tolist() for d in working}


def test_songs_differ_by_item_and_by_seed():
    assert len({tuple(song) for song in songs().values()}) == 16
    other = blank([0])
    draw_on(other, seed=4)
    assert other[0].tokens.tolist() != songs()[0]


@pytest.mark.parametrize("items", [[0], [9, 2], [15, 4, 0], [7] * 3])
def test_a_song_does_not_depend_on_what_it_is_drawn_with(items):
    working = blank(items)
    draw_on(working)
    for draft in working:
        assert draft.tokens.tolist() == songs()[draft.item]


@cache
def guided(guidance: float) -> dict[int, list[int]]:
    working = blank(range(4))
    draw_on(working, samplers=[Guidance(guidance)])
    return tokens_of(working)


def test_a_song_that_is_guided_by_1_is_the_one_that_is_not_guided():
    assert guided(1.0) == {item: songs()[item] for item in range(4)}
    assert not any(guided(1.5)[item] == songs()[item] for item in range(4))


def test_a_song_that_is_guided_by_0_is_the_one_of_nobody():
    working = blank([3])
    level = LevelSampler(2, one_prior(), [], 3)
    stretches = token_windows(TOTAL, FRAMES, 0.5)
    sample_windows(level, working, stretches, steered([NOBODY]), ProgressCallbacks())
    assert working[0].tokens.tolist() == guided(0.0)[3]


@pytest.mark.parametrize("at", [1, 15, 16, 23, 44])
@pytest.mark.parametrize("items", [[0], [3, 1]])
def test_a_guided_song_is_the_same_whatever_it_is_drawn_with_and_wherever_it_was_stopped(at, items):
    working = blank(items)
    draw_on(working, at=at, samplers=[Guidance(1.5)])
    draw_on(working, samplers=[Guidance(1.5)])
    assert tokens_of(working) == {item: guided(1.5)[item] for item in items}


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, TOTAL), min_size=1, max_size=3),
    st.lists(st.integers(0, 15), min_size=1, max_size=3, unique=True),
)
def test_a_song_does_not_depend_on_how_often_it_was_stopped(kills, items):
    working = blank(items)
    for at in kills:
        draw_on(working, at=at)
        for draft in working:
            assert draft.tokens[: draft.num_done].tolist() == songs()[draft.item][: draft.num_done]
    draw_on(working)
    assert tokens_of(working) == {item: songs()[item] for item in items}


@settings(max_examples=8, deadline=None)
@given(st.dictionaries(st.integers(0, 15), st.integers(0, TOTAL), min_size=2, max_size=4))
def test_items_of_different_progress_go_on_side_by_side(progress):
    working = blank(list(progress))
    for draft in working:
        draft.num_done = progress[draft.item]
        draft.tokens[: draft.num_done] = songs()[draft.item][: draft.num_done]
    draw_on(working)
    assert tokens_of(working) == {item: songs()[item] for item in progress}


def test_what_is_settled_is_not_drawn_again_while_others_are():
    working = blank([0, 1])
    working[0].tokens[:30], working[0].num_done = 9, 30  # nothing that it would draw
    draw_on(working)
    assert working[0].tokens[:30].tolist() == [9] * 30
    assert working[0].tokens[30:].tolist() != [9] * 14
    assert working[1].tokens.tolist() == songs()[1]


def with_letters(working: Sequence[PartialTokens], at: int | None = None) -> None:
    """Draws on with a prior that has a prefix, and whose letters are as likely as its tokens."""
    draw_on(working, at=at, prefix=4)


def heard(draft: PartialTokens) -> list[int]:
    """What is there, with token 0 in place of letters."""
    return [token if token < BINS else 0 for token in draft.tokens[: draft.num_done].tolist()]


def test_a_song_has_token_0_in_place_of_the_letters_that_were_drawn():
    working = blank(range(16))
    with_letters(working, at=15)
    drawn = np.stack([d.tokens[:15] for d in working])
    assert 0.2 < (drawn >= BINS).mean() < 0.8
    for draft in working:
        assert heard(draft) == songs(prefix=4)[draft.item][:15]
        assert max(songs(prefix=4)[draft.item]) < BINS


@pytest.mark.parametrize("at", [1, 7, 15, 16, 17, 23, 24, 31, 33, 43, 44])
def test_a_song_of_tokens_and_letters_does_not_depend_on_where_it_was_stopped(at):
    working = blank([3, 8])
    with_letters(working, at)
    for draft in working:
        assert draft.num_done == at
        assert heard(draft) == songs(prefix=4)[draft.item][:at]
    with_letters(working)
    assert tokens_of(working) == {3: songs(prefix=4)[3], 8: songs(prefix=4)[8]}


@settings(max_examples=8, deadline=None)
@given(st.dictionaries(st.integers(0, 15), st.integers(1, TOTAL), min_size=2, max_size=4))
def test_items_whose_windows_are_half_drawn_in_letters_go_on_side_by_side(progress):
    working = blank(list(progress))
    for draft in working:
        with_letters([draft], progress[draft.item])
    with_letters(working)
    assert tokens_of(working) == {item: songs(prefix=4)[item] for item in progress}


PRIMER = (5, 1, 4, 1, 3, 2, 0, 23, 5, 1, 4, 1, 3, 2, 0, 23, 5, 6, 7)


@pytest.mark.parametrize("length", [1, 4, 15, 16, 19])
def test_a_primed_song_keeps_what_was_given_and_goes_on_from_it(length):
    primer = PRIMER[:length]
    assert all(tuple(song[:length]) == primer for song in songs(primer).values())
    changed = [songs(primer)[i][length:] != songs()[i][length:] for i in range(16)]
    assert sum(changed) > 10
    working = blank([3, 1], primer)
    for at in (3, 1, 20):
        draw_on(working, length, at)
    draw_on(working, length)
    assert tokens_of(working) == {item: songs(primer)[item] for item in (3, 1)}


SAMPLES = 1590  # 100 tokens at the top, 200 and 400 below; the last one is half silence
CONFIG = RunConfig(sample_rate=8000, seed=7, hop_fraction=(0.5, 0.75, 0.3), sampling=({}, {}, {}))


@pytest.fixture(scope="module")
def job(tiny, registry, tmp_path_factory) -> Callable[..., Job]:
    """A job on a run in a new folder, or on that of another job."""
    asked = ItemSpecs(SAMPLES, {"artist": "Bo Marsh"}, {1: (SAMPLES, {"genre": ["jazz"]})})

    def make(items: Sequence[int], like: Job | None = None, **changes: object) -> Job:
        path = like.run.path if like else tmp_path_factory.mktemp("run")
        made = Job(Run(path), tiny, registry, items, CONFIG, asked, device="cpu")
        return replace(made, **changes)

    return make


def on_disk(job: Job) -> dict[tuple[int, int], list[int]]:
    found = {(n, i): job.run.read_tokens(n, i) for n in range(3) for i in job.items}
    return {key: value.tokens.tolist() for key, value in found.items() if value is not None}


@pytest.fixture(scope="module")
def whole(job) -> dict[tuple[int, int], list[int]]:
    """The tokens of three items at all levels, drawn in one go."""
    done = job(range(3))
    pipeline.complete_run(done, "tokens")
    return on_disk(done)


def test_all_levels_are_drawn_to_their_whole_length(whole):
    lengths = {level: {len(whole[level, item]) for item in range(3)} for level in range(3)}
    assert lengths == {0: {400}, 1: {200}, 2: {100}}
    assert all(max(song) < 64 and len(set(song)) > 1 for song in whole.values())


@pytest.mark.parametrize("items", [[2], [2, 0]])
def test_a_part_of_the_items_is_the_same_on_disk(job, whole, items):
    mine = job(items)
    pipeline.complete_run(mine, "tokens")
    assert on_disk(mine) == {key: song for key, song in whole.items() if key[1] in items}


def test_small_batches_are_the_same_on_disk(job, whole):
    mine = job(range(3), batch_size=2)
    pipeline.complete_run(mine, "tokens")
    assert on_disk(mine) == whole


def killed(job: Job, at: int) -> bool:
    """Works until the at-th tick; whether there was one."""
    kill = Kill(at)
    try:
        pipeline.complete_run(replace(job, progress=lambda *_: kill.tick), "tokens")
    except KeyboardInterrupt:
        return True
    return False


def trained_on(model: Model, folder: Path) -> Model:
    """A copy of a model whose top prior has learned a little more."""
    other = Model(folder)
    shutil.copytree(model.path, other.path)
    path = other.weights("prior-2")
    weights = {name: tensor + 1e-3 for name, tensor in load_file(path).items()}
    save_file(weights, path)
    return other


def test_a_song_is_not_finished_with_other_weights_than_it_was_begun_with(job, tiny, tmp_path):
    mine = job([1])
    assert killed(mine, 2)
    other = trained_on(tiny, tmp_path / "tiny")
    with pytest.raises(InputError) as caught:
        pipeline.complete_run(replace(mine, model=other), "tokens")
    assert caught.value.message == (
        f"item 1 of {mine.run.path} was begun at level 2 with other weights of prior-2 than 'tiny' "
        "has now"
    )
    pipeline.complete_run(mine, "tokens")  # the old ones go on


def test_a_whole_song_of_other_weights_is_told(job, tiny, tmp_path):
    mine = job([1])
    pipeline.complete_run(mine, "tokens")
    before = on_disk(mine)
    message = "was drawn with other weights of prior-2 and stays as it is"
    with pytest.warns(InputWarning, match=message):
        pipeline.complete_run(replace(mine, model=trained_on(tiny, tmp_path / "tiny")), "tokens")
    assert on_disk(mine) == before


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_run_that_is_killed_over_and_over_leaves_prefixes_and_ends_the_same(job, whole, every):
    mine = job([1, 2])
    times = 0
    while killed(mine, every):
        times += 1
        for key, song in on_disk(mine).items():
            assert song == whole[key][: len(song)]
    assert times >= 2
    assert on_disk(mine) == {key: song for key, song in whole.items() if key[1] in (1, 2)}


def test_items_begun_apart_are_finished_together(job, whole):
    first = job([0])
    assert killed(first, 2)
    assert killed(job([1], first), 4)
    together = job(range(3), first)
    lengths = {item: len(song) for (level, item), song in on_disk(together).items() if level == 2}
    assert lengths == {0: 64, 1: 100}
    pipeline.complete_run(together, "tokens")
    assert on_disk(together) == whole


def guided_by(job: Job, *strengths: float) -> Job:
    return replace(job, config=replace(CONFIG, sampling=[{"guidance": g} for g in strengths]))


def test_a_run_may_be_guided_at_each_level_by_what_its_items_are_told(job, whole):
    plain, mine = guided_by(job([0]), 1, 1, 1), guided_by(job([0]), 1, 4, 1)
    for each in (plain, mine):
        pipeline.complete_run(each, "tokens")
    assert on_disk(plain) == {key: song for key, song in whole.items() if key[1] == 0}
    assert on_disk(mine)[2, 0] == whole[2, 0]
    assert on_disk(mine)[1, 0] != whole[1, 0]


def test_items_are_guided_away_from_what_is_made_when_nothing_is_told(job):
    silent, mine = job([0, 1]), guided_by(job([0, 1]), 0, 0, 0)
    silent = replace(silent, specs=ItemSpecs(SAMPLES, {}))
    for each in (silent, mine):
        pipeline.complete_run(each, "tokens")
    assert on_disk(mine) == on_disk(silent)


def prime(job: Job, lengths: dict[int, int]) -> None:
    """Gives items that many tokens of the top level, and as much below."""
    for item, length in lengths.items():
        for level, ratio in ((2, 1), (1, 2), (0, 4)):
            song = np.arange(length * ratio) % 50
            tokens = Tokens(song, len(song))
            job.run.write_tokens(level, item, tokens, job.model.config.vqvae)


def test_primed_items_on_disk_go_on_from_what_was_given(job):
    lengths = {0: 30, 1: 30, 2: 7}
    once, often = job(range(3)), job(range(3))
    prime(once, lengths)
    prime(often, lengths)
    pipeline.complete_run(once, "tokens")
    while killed(often, 3):
        for item in range(3):
            assert often.run.read_tokens(2, item).primed == lengths[item]
    assert on_disk(often) == on_disk(once)
    for (level, item), song in on_disk(once).items():
        length = lengths[item] * (4, 2, 1)[level]
        assert song[:length] == [n % 50 for n in range(length)]
        assert len(song) == (400, 200, 100)[level]


def test_a_run_that_is_whole_is_left_alone(job, whole):
    mine = job([0])
    pipeline.complete_run(mine, "tokens")
    files = sorted(Path(mine.run.path).rglob("*"))
    before = [f.stat().st_mtime_ns for f in files]
    pipeline.complete_run(mine, "tokens")
    assert sorted(Path(mine.run.path).rglob("*")) == files
    assert [f.stat().st_mtime_ns for f in files] == before


@dataclass(frozen=True)
class Spelling(Conditioner):
    """Gives a prefix of 8 letters out of 64."""

    name: ClassVar[str] = "spelling"

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        return {"ids": (window.start + np.arange(8)) % 64}

    def module(self, shape: PriorShape) -> nn.Module:
        return Letters(shape.width)


class Letters(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.letters = nn.Parameter(torch.randn(64, width) * 0.02)

    def forward(self, ids: Tensor) -> Conditioning:
        return Conditioning(prefix=Prefix(ids, self.letters, torch.ones(8)))


SPELLED = """
vqvae: {sample_rate: 8000, strides: [[4]], codebook_size: 64, embedding_dim: 8, widths: [8], depths: [1]}
priors:
  - {context_length: 64, prefix_length: 8, rows: 8, width: 16, depth: 2, heads: 2, attention_patterns: [prefix, row],
     conditioners: {spelling: {}}}
"""


@pytest.fixture(scope="module")
def spelled(tmp_path_factory) -> Callable[[], Job]:
    """A job on a new run of a model with one level, whose prior draws letters too."""
    plugin = SimpleNamespace(jukebox_conditioners=hookimpl(lambda: [Spelling]))
    registry, folder = Registry({"spelling": plugin}), tmp_path_factory.mktemp("spelled")
    (folder / "recipe.yaml").write_text(SPELLED)
    model = Model(folder / "model")
    model.write_config(load_config(ModelConfig, folder / "recipe.yaml"))
    model.write_fitted_conditioners(0, {"spelling": {}})
    torch.manual_seed(0)
    prior = build_prior(model.config, 0, {"spelling": Spelling()})
    weights = {name: 5.0 * tensor for name, tensor in prior.state_dict().items()}
    save_tensors(model.weights("prior-0"), weights)
    config = RunConfig(sample_rate=8000, seed=7, hop_fraction=(0.5,), sampling=({},))

    def make() -> Job:
        run = Run(tmp_path_factory.mktemp("run"))
        return Job(run, model, registry, [0, 1], config, ItemSpecs(400, {}), device="cpu")

    return make


def bins_on_disk(job: Job, item: int) -> str:
    with safe_open(str(job.run.token_file(0, item)), "np") as file:
        return file.metadata()["vocab_size"]


def test_a_run_that_is_killed_with_letters_on_disk_ends_as_if_it_was_not(spelled):
    once, often, letters = spelled(), spelled(), 0
    pipeline.complete_run(once, "tokens")
    wanted = {item: once.run.read_tokens(0, item).tokens for item in (0, 1)}
    while killed(often, 1):  # half a window
        for item, song in wanted.items():
            there = often.run.read_tokens(0, item).tokens
            letters += (there >= 64).sum()
            assert np.where(there < 64, there, 0).tolist() == song[: len(there)].tolist()
    assert letters > 0
    for item, song in wanted.items():
        assert len(song) == 100
        assert often.run.read_tokens(0, item).tokens.tolist() == song.tolist()
        assert bins_on_disk(often, item) == "64"  # there are no letters in it any more
