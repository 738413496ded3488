"""What every conditioner and every sampler must keep to, and what each of ours does."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import asdict, fields
from math import inf, log, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.artist import Artist
from jukebox_plugins.genre import Genre
from jukebox_plugins.samplers import Greedy, MinP, Temperature, TopK, TopP
from jukebox_plugins.timing import Timing
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.model.conditioning import Conditioning, sum_conditionings
from jukebox_cli.registry import Registry, load_installed
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)
TOTAL = 5 * SHAPE.context_length * SHAPE.hop_length
WINDOWS = [
    Window(
        n * SHAPE.context_length * SHAPE.hop_length, SHAPE.context_length * SHAPE.hop_length, TOTAL
    )
    for n in range(5)
]
SONGS: list[Song] = [
    {"artist": "Bo Marsh", "genre": ["rock", "jazz"]},
    {"artist": "Ada Vale", "genre": ["folk"]},
    {},
]
EVERY = load_installed(pytest.fail)


def fitted(name: str) -> Conditioner:
    return EVERY.make_conditioner(name, {}).fit(SONGS)


# every conditioner


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_arrays_have_one_shape_whatever_the_song_and_window(name: str) -> None:
    part = fitted(name)
    kinds = set()
    for song in SONGS:
        for window in WINDOWS:
            arrays = part.encode(song, window, SHAPE)
            assert arrays
            kinds.add(tuple((key, a.shape, a.dtype.str) for key, a in sorted(arrays.items())))
    assert len(kinds) == 1


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_encoding_is_pure_and_can_be_done_by_a_worker(name: str) -> None:
    part = fitted(name)
    sent = pickle.loads(pickle.dumps(part))
    assert sent == part
    for song in SONGS:
        first, again, there = (p.encode(song, WINDOWS[1], SHAPE) for p in (part, part, sent))
        for key, array in first.items():
            np.testing.assert_array_equal(again[key], array)
            np.testing.assert_array_equal(there[key], array)


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_what_was_learned_survives_the_file_beside_the_weights(name: str) -> None:
    part = fitted(name)
    assert EVERY.make_conditioner(name, json.loads(json.dumps(asdict(part)))) == part


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_fit_gives_a_copy_and_works_without_songs(name: str) -> None:
    part = EVERY.make_conditioner(name, {})
    before = asdict(part)
    part.fit(SONGS)
    assert asdict(part) == before
    part.fit([]).encode({}, WINDOWS[0], SHAPE)
    assert part.fit(SONGS) == part.fit(list(reversed(SONGS)))


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_the_module_gives_a_conditioning_of_the_priors_shape(name: str) -> None:
    part = fitted(name)
    module = part.module(SHAPE)
    rows = [part.encode(song, WINDOWS[1], SHAPE) for song in SONGS]
    arrays = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
    out = module(**arrays)
    assert isinstance(out, Conditioning)
    batch, width = len(SONGS), SHAPE.width
    given = {f.name: getattr(out, f.name) for f in fields(out) if getattr(out, f.name) is not None}
    assert given
    for key, tensor in given.items():
        wanted = {
            "start": (batch, width),
            "per_token": (batch, SHAPE.context_length, width),
            "memory": (batch, tensor.shape[1:2].numel(), width),
            "memory_places": (batch, SHAPE.context_length, width),
            "memory_guide": (batch, SHAPE.context_length, tensor.shape[2:3].numel()),
            "memory_mask": (batch, tensor.shape[1:2].numel()),
            "prefix": (batch, tensor.shape[1:2].numel(), width),
            "loss": (),
        }[key]
        assert tuple(tensor.shape) == wanted
    for item in range(batch):  # an item's conditions are its own
        alone = module(**{key: a[item : item + 1] for key, a in arrays.items()})
        for key, tensor in given.items():
            if key != "loss":
                torch.testing.assert_close(getattr(alone, key)[0], tensor[item])


@pytest.mark.parametrize("name", EVERY.conditioners)
def test_every_input_is_told_in_the_help(name: str) -> None:
    for f in fields(EVERY.conditioners[name].Input):
        assert f.default is None
        assert "Annotated[" in str(f.type)


def test_conditioners_need_no_torch_until_there_is_a_module() -> None:
    """In a process of its own: read, fit and encode of all of them."""
    code = f"""
import sys
from pathlib import Path
from jukebox_cli.interfaces.conditioner import Shape, Window
from jukebox_cli.registry import installed
registry = installed(print)
for name in registry.conditioners:
    part = registry.conditioner(name, {{}})
    if name in ("artist", "genre"):
        part.read({{name: "rock"}}, Path())
    part = part.fit({SONGS!r})
    part.encode({SONGS[0]!r}, {WINDOWS[1]!r}, {SHAPE!r})
assert registry.conditioners
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# artist


def test_artists_are_numbered_from_one_in_order_and_zero_is_not_said() -> None:
    artist = Artist().fit(SONGS)
    assert artist.names == ("Ada Vale", "Bo Marsh")
    assert [artist.number(n) for n in (None, "", "Ada Vale", "Bo Marsh")] == [0, 0, 1, 2]


@pytest.mark.parametrize("name", ["ada vale", "ADA VALE", "Ada vale"])
def test_the_case_of_an_artist_does_not_matter(name: str) -> None:
    ids = Artist(names=("Ada Vale",)).encode({"artist": name}, WINDOWS[0], SHAPE)["ids"]
    assert ids.tolist() == [1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Ada", "did you mean 'Ada Vale'?"), ("xyz", "known are: Ada Vale, Bo Marsh")],
)
def test_an_unknown_artist_is_told(name: str, hint: str) -> None:
    artist = Artist().fit(SONGS)
    message = f"no artist '{name}' in this model, which knows 2"
    assert refusal(artist.encode, {"artist": name}, WINDOWS[0], SHAPE) == (message, hint)


@pytest.mark.parametrize("said", [311, ["a"], True])
def test_an_artist_that_is_no_text_is_told(said: Any) -> None:
    assert refusal(Artist().read, {"artist": said}, Path()) == (
        f"can't read artist {said!r}",
        "write a name, in quotes",
    )


# genre


@pytest.mark.parametrize(
    ("said", "genres"),
    [
        ("rock", ["rock"]),
        (" rock , jazz ", ["rock", "jazz"]),
        ("rock,,", ["rock"]),
        (["rock", "jazz"], ["rock", "jazz"]),
        ("", []),
    ],
)
def test_genres_are_read_with_commas_between(said: Any, genres: list[str]) -> None:
    assert Genre().read({"genre": said}, Path()) == {"genre": genres}


@pytest.mark.parametrize("said", [3, ["rock", 3], {"rock": 1}])
def test_genres_that_are_no_text_are_told(said: Any) -> None:
    assert refusal(Genre().read, {"genre": said}, Path()) == (
        f"can't read genre {said!r}",
        "write words with commas between",
    )


@pytest.mark.parametrize(
    ("genres", "ids"),
    [
        (["JAZZ"], [2, -1, -1]),
        (["rock", "folk"], [3, 1, -1]),
        (["folk", "jazz", "rock"], [1, 2, 3]),
        ([], [0, -1, -1]),
        (None, [0, -1, -1]),
    ],
)
def test_genres_fill_slots_and_none_is_id_zero(genres: list[str] | None, ids: list[int]) -> None:
    genre = Genre(max_genres=3).fit(SONGS)
    assert genre.names == ("folk", "jazz", "rock")
    assert genre.encode({"genre": genres}, WINDOWS[0], SHAPE)["ids"].tolist() == ids


def test_bad_genres_are_told() -> None:
    genre = Genre(max_genres=2).fit(SONGS)
    for genres, message, hint in (
        (["rokc"], "no genre 'rokc' in this model, which knows 3", "did you mean 'rock'?"),
        (["polka"], "no genre 'polka' in this model, which knows 3", "did you mean 'folk'?"),
        (["rock", "jazz", "folk"], "3 genres are more than 2", "name fewer"),
    ):
        assert refusal(genre.encode, {"genre": genres}, WINDOWS[0], SHAPE) == (message, hint)


def test_several_genres_are_the_sum_of_each() -> None:
    genre = Genre(max_genres=3).fit(SONGS)
    module = genre.module(SHAPE)

    def start(*genres: str) -> Tensor:
        ids = genre.encode({"genre": list(genres)}, WINDOWS[0], SHAPE)["ids"]
        found: Tensor = module(torch.from_numpy(ids)[None]).start
        return found

    torch.testing.assert_close(start("rock", "jazz"), start("rock") + start("jazz"))
    assert not torch.equal(start(), start("rock"))


def test_conditions_are_joined_by_adding() -> None:
    parts = [fitted(name) for name in ("artist", "genre", "timing")]
    made = [
        part.module(SHAPE)(
            **{
                k: torch.from_numpy(a)[None]
                for k, a in part.encode(SONGS[0], WINDOWS[0], SHAPE).items()
            }
        )
        for part in parts
    ]
    both = sum_conditionings(made)
    assert both.start is not None
    assert made[0].start is not None
    torch.testing.assert_close(both.start, made[0].start + made[1].start)
    assert both.per_token is made[2].per_token


# timing


@pytest.mark.parametrize(("start", "elapsed"), [(0, 0.0), (40_000, 0.25), (128_000, 0.8)])
def test_timing_says_where_every_frame_stands(start: int, elapsed: float) -> None:
    window = Window(start, 32_000, 160_000)  # 4 s of 20 s
    arrays = Timing().encode({}, window, SHAPE)
    step = 32_000 / SHAPE.context_length
    assert arrays["total"].tolist() == [160_000]
    np.testing.assert_allclose(arrays["position"], start + step * np.arange(16))
    wanted = elapsed + step / 160_000 * np.arange(16)
    np.testing.assert_allclose(arrays["elapsed"], wanted, rtol=1e-6)


def test_timing_knows_the_beginning_from_the_middle_and_the_end() -> None:
    timing = Timing(num_bins=16, max_seconds=20.0)
    module = timing.module(SHAPE)
    windows = [Window(start, 16_000, 160_000) for start in (0, 72_000, 144_000)]
    made = []
    for window in windows:
        arrays = timing.encode({}, window, SHAPE)
        made.append(module(**{k: torch.from_numpy(a)[None] for k, a in arrays.items()}).per_token)
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])


@pytest.mark.parametrize(
    ("song", "least", "total"),
    [({}, 0.0, 2.0), ({"total": 90.0}, 0.0, 90.0), ({}, 60.0, 60.0), ({"total": 1.0}, 60.0, 2.0)],
)
def test_what_is_made_may_be_the_beginning_of_a_longer_song(
    song: Song, least: float, total: float
) -> None:
    arrays = Timing(assumed_total=least).encode(song, Window(8_000, 8_000, 16_000), SHAPE)
    assert arrays["total"] == total * SHAPE.sample_rate
    assert arrays["elapsed"][0] == pytest.approx(1 / total)
    assert arrays["position"][0] == 8_000


def test_a_total_is_read_as_seconds() -> None:
    assert Timing().read({"total": "90"}, Path()) == {"total": 90.0}
    for said in ("long", -1, 0, nan, inf):
        problem = (f"can't read total {said!r}", "write seconds, such as 90")
        assert refusal(Timing().read, {"total": said}, Path()) == problem


def test_lengths_and_places_beyond_the_longest_are_clamped() -> None:
    timing = Timing(num_bins=8, max_seconds=10.0)
    module = timing.module(SHAPE)

    def frames(start: int, total: int) -> Tensor:
        arrays = timing.encode({}, Window(start, 8_000, total), SHAPE)
        found: Tensor = module(
            **{k: torch.from_numpy(a)[None] for k, a in arrays.items()}
        ).per_token
        return found

    late = 8_000 * 400
    torch.testing.assert_close(frames(late, late * 2), frames(late * 2, late * 4))
    past_the_end = frames(16_000, 8_000)
    assert past_the_end.isfinite().all()


# every sampler

ON: dict[str, list[Any]] = {
    "guidance": [0.0, 1.0, 3.0],
    "temperature": [0.001, 0.5, 1.0, 3.0],
    "top_k": [1, 3, 1000],
    "top_p": [1e-9, 0.5, 1.0],
    "min_p": [0.0, 0.3, 1.0],
    "greedy": [True, False],
}
SAMPLERS = [
    (name, knob, value)
    for name, kind in EVERY.samplers.items()
    for knob in (f.name for f in fields(kind))
    for value in ON.get(knob, [])
]


def logits() -> Tensor:
    """(4, 10): ordinary ones, equal ones, some forbidden, all but one forbidden; far apart."""
    rows = torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 3
    rows[1] = 2.5
    rows[2, ::2] = -inf
    rows[3] = -inf
    rows[3, 7] = -80.0
    return rows


HISTORY = torch.zeros(4, 3, dtype=torch.int64)


def test_every_knob_of_ours_is_tried() -> None:
    ours = {f.name for kind in EVERY.samplers.values() for f in fields(kind)}
    assert ours == set(ON)


@pytest.mark.parametrize("name", EVERY.samplers)
def test_a_sampler_that_is_not_asked_for_does_nothing(name: str) -> None:
    kind = EVERY.samplers[name]
    assert all(f.default is None for f in fields(kind))
    assert torch.equal(kind()(logits(), HISTORY), logits())
    assert EVERY.make_samplers({f.name: None for f in fields(kind)}) == []


@pytest.mark.parametrize(("name", "knob", "value"), SAMPLERS)
def test_a_sampler_keeps_rows_apart_and_leaves_something_to_draw(
    name: str, knob: str, value: Any
) -> None:
    [sampler] = EVERY.make_samplers({knob: value})
    before, after = logits(), sampler(logits(), HISTORY)
    assert after.shape == before.shape
    assert not after.isnan().any()
    assert (after > -inf).any(dim=1).all()
    assert ((before > -inf) | (after == -inf)).all()  # what is forbidden stays forbidden
    assert not after.softmax(dim=1).isnan().any()
    for row in range(4):
        alone = sampler(before[row : row + 1], HISTORY[row : row + 1])
        assert torch.equal(alone[0], after[row])
    turned = sampler(before.flip(0), HISTORY)
    assert torch.equal(turned.flip(0), after)


@pytest.mark.parametrize(("name", "knob", "value"), SAMPLERS)
def test_a_sampler_does_not_write_into_its_input(name: str, knob: str, value: Any) -> None:
    [sampler] = EVERY.make_samplers({knob: value})
    given = logits()
    sampler(given, HISTORY)
    assert torch.equal(given, logits())


COLD = "sampler 'temperature': must be 0.001 or more (for the likeliest token use --greedy)"


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        *[
            (
                "temperature",
                value,
                COLD,
            )
            for value in (0, -1.0, nan, inf, 1e-9)
        ],
        *[("top_k", value, "sampler 'top-k': must be 1 or more") for value in (0, -3)],
        *[
            ("top_p", value, "sampler 'top-p': must be more than 0 and at most 1")
            for value in (0, 1.5, -1, nan)
        ],
        *[("min_p", value, "sampler 'min-p': must be from 0 to 1") for value in (-0.1, 1.1, nan)],
        *[("guidance", v, "sampler 'guidance': must be 0 or more") for v in (-1, nan, inf)],
    ],
)
def test_a_bad_knob_is_told(knob: str, value: Any, message: str) -> None:
    expected = (message, "see `jukebox plugin list`")
    assert refusal(EVERY.make_samplers, {knob: value}) == expected


# each sampler


@pytest.mark.parametrize(
    ("guidance", "goes"), [(0.0, "untold"), (1.0, "told"), (3.0, "told + 2 * (told - untold)")]
)
def test_guidance_goes_on_from_untold_to_told(guidance: float, goes: str) -> None:
    [guide] = EVERY.make_samplers({"guidance": guidance})
    told, untold = torch.randn(2, 4, 10).unbind()
    wanted = eval(goes, {"told": told, "untold": untold})
    torch.testing.assert_close(guide.combine(told, untold), wanted)


@pytest.mark.parametrize(("guidance", "looks"), [(None, False), (1.0, False), (1.5, True)])
def test_guidance_looks_again_only_where_it_changes_something(
    guidance: float | None, looks: bool
) -> None:
    guide = EVERY.samplers["guidance"](guidance)
    assert guide.needs_unconditional is looks
    told, untold = torch.randn(2, 4, 10).unbind()
    assert torch.equal(guide.combine(told, untold), told) is not looks


def kept(sampler: Sampler, shares: list[float]) -> list[int]:
    """Which tokens a sampler leaves of a distribution."""
    out = sampler(torch.tensor([[log(s) for s in shares]]), HISTORY[:1])
    return out[0].isfinite().nonzero().flatten().tolist()


def test_temperature_divides_the_logits() -> None:
    torch.testing.assert_close(Temperature(0.5)(logits(), HISTORY), logits() * 2)


@pytest.mark.parametrize(
    ("k", "shares", "left"),
    [
        (1, [0.2, 0.5, 0.3], [1]),
        (2, [0.2, 0.5, 0.3], [1, 2]),
        (9, [0.2, 0.5, 0.3], [0, 1, 2]),
        (2, [0.2, 0.4, 0.2, 0.2], [0, 1, 2, 3]),  # equals of the last one stay
        (1, [0.25, 0.25, 0.25, 0.25], [0, 1, 2, 3]),
    ],
)
def test_top_k_keeps_the_k_likeliest_and_their_equals(
    k: int, shares: list[float], left: list[int]
) -> None:
    assert kept(TopK(k), shares) == left


@pytest.mark.parametrize(
    ("p", "shares", "left"),
    [
        (0.5, [0.3, 0.6, 0.1], [1]),
        (0.7, [0.3, 0.6, 0.1], [0, 1]),
        (0.95, [0.3, 0.6, 0.1], [0, 1, 2]),
        (1e-9, [0.3, 0.6, 0.1], [1]),  # never nothing
        (1e-9, [0.25, 0.25, 0.25, 0.25], [0]),
    ],
)
def test_top_p_keeps_the_likeliest_that_make_up_p(
    p: float, shares: list[float], left: list[int]
) -> None:
    assert kept(TopP(p), shares) == left


@pytest.mark.parametrize(
    ("p", "shares", "left"),
    [
        (0.0, [0.3, 0.6, 0.1], [0, 1, 2]),
        (0.4, [0.3, 0.6, 0.1], [0, 1]),
        (0.6, [0.3, 0.6, 0.1], [1]),
        (1.0, [0.4, 0.2, 0.4], [0, 2]),
    ],
)
def test_min_p_keeps_what_is_near_the_likeliest(
    p: float, shares: list[float], left: list[int]
) -> None:
    assert kept(MinP(p), shares) == left


def test_greedy_leaves_the_likeliest_and_of_equals_the_first() -> None:
    assert kept(Greedy(True), [0.2, 0.5, 0.3]) == [1]
    assert kept(Greedy(True), [0.2, 0.4, 0.4]) == [1]
    assert kept(Greedy(False), [0.2, 0.4, 0.4]) == [0, 1, 2]


def test_samplers_run_from_temperature_to_greedy(registry: Registry) -> None:
    knobs = {"greedy": True, "min_p": 0.1, "top_p": 0.9, "top_k": 5, "temperature": 0.9}
    names = [sampler.name for sampler in registry.make_samplers(knobs)]
    assert names == ["temperature", "top-k", "top-p", "min-p", "greedy"]
