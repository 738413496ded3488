"""Runs in the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jukebox_cli.api import InputError, Registry
from jukebox_cli.api.runs import (
    LevelSampling,
    OpenRun,
    open_run,
    resolve_level_sampling,
    sampling_preset,
)
from jukebox_cli.config.schema import SongPreset
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.report_pages import change_conditions, truncate
from support.results import Result
from support.run_files import write_chord

Jukebox = Callable[..., Result]


@pytest.fixture
def path(here: Path, jukebox: Jukebox, tiny: Model) -> Path:
    """A run of two items, one of which was continued."""
    options = ("--seconds", 0.1, "--items", 2, "--artist", "Ada Vale", "--out", "run", "--quiet")
    assert jukebox("generate", "--model", tiny.path, *options).code == 0
    more = ("--only", 1, "--seconds", 0.1, "--seed", 9, "--genre", "jazz", "--quiet")
    assert jukebox("continue", "run", *more).code == 0
    return here / "run"


@pytest.fixture
def run(path: Path, registry: Registry) -> OpenRun:
    return open_run(registry, path)


def test_items_have_lengths_songs_and_segments(run: OpenRun) -> None:
    first, second = run.items
    assert (first.number, first.num_samples, first.song) == (0, 800, {"artist": "Ada Vale"})
    assert (second.number, second.num_samples) == (1, 1600)
    assert second.song == {"artist": "Ada Vale", "genre": ["jazz"]}
    assert [segment.seed for segment in second.segments] == [0, 9]
    assert run.song == {"artist": "Ada Vale"}
    assert run.num_samples == 800
    assert run.num_levels == 3


def test_items_can_be_chosen(path: Path, registry: Registry) -> None:
    assert [item.number for item in open_run(registry, path, "1").items] == [1]
    with pytest.raises(InputError, match="has no item 5"):
        open_run(registry, path, "5")
    with pytest.raises(InputError, match="does not exist"):
        open_run(registry, path / "x")


def test_tokens_of_an_item_are_read(run: OpenRun, tiny: Model) -> None:
    item = run.items[0]
    assert run.levels_with_tokens(item) == [0, 1, 2]
    tokens = run.read_tokens(1, item)
    assert tokens is not None
    assert (tokens.hop_length, tokens.num_tokens, tokens.num_primed) == (8, 100, 0)
    assert tokens.is_complete
    assert tokens.tokens.dtype == np.int64
    truncate(run.path, tiny, 1, 0, 30)
    cut = run.read_tokens(1, item)
    assert cut is not None
    assert not cut.is_complete
    (run.path / "tokens/level-0/item-00.safetensors").unlink()
    assert run.read_tokens(0, item) is None


def test_tokens_of_a_recording_are_primed(
    here: Path, jukebox: Jukebox, tiny: Model, registry: Registry
) -> None:
    write_chord(here / "a.wav", 0.1)
    assert jukebox("tokenize", "a.wav", "--model", tiny.path, "--out", "recorded").code == 0
    assert jukebox("continue", "recorded", "--seconds", 0.1, "-q").code == 0
    run = open_run(registry, here / "recorded")
    tokens = run.read_tokens(2, run.items[0])
    assert tokens is not None
    assert (tokens.num_primed, tokens.num_tokens) == (50, 100)


def test_audio_files_that_are_up_to_date(run: OpenRun) -> None:
    item = run.items[0]
    assert run.audio_file(0, item) == run.path / "audio" / "item-00.wav"
    assert run.audio_file(1, item) is None


def test_songs_are_described_and_returned(run: OpenRun) -> None:
    song = {"artist": "Ada Vale", "genre": ["rock", "jazz"], "swing": 0.5}
    assert run.describe(song) == {"artist": "Ada Vale", "genre": "rock, jazz", "swing": "0.5"}
    options = run.to_options(song)
    assert options.options == (("--artist", "Ada Vale"), ("--genre", "rock,jazz"))
    assert options.notes == ("The value of “swing”: no option gives it.",)
    changed = run.to_options({**song, "artist": "Bo Marsh"}, previous=song)
    assert changed.options == (("--artist", "Bo Marsh"),)


def test_texts_of_conditioners(run: OpenRun, registry: Registry) -> None:
    assert run.timed_texts(run.items[0]) == []
    change_conditions(run.path, lyrics="la la", lyrics_times=[], lyrics_sections=[])
    again = open_run(registry, run.path)
    (text,) = again.timed_texts(again.items[0])
    assert text.title == "Lyrics"
    assert "".join(word.text for word in text.lines[0].words) == "la la"


def test_the_model_is_found(run: OpenRun, tiny: Model) -> None:
    assert run.find_model().fingerprint() == tiny.fingerprint()
    with pytest.raises(InputError, match="is a run of another model than 'mini'"):
        run.find_model("mini")


def test_events_are_logged_and_passed_on(path: Path, registry: Registry) -> None:
    seen: list[dict[str, Any]] = []

    class Listener:
        from jukebox_cli.api import hookimpl

        @hookimpl
        def jukebox_event(self, run: Path, event: dict[str, Any]) -> None:
            seen.append({"run": run, **event})

    conditioners = {name: plugin for name, plugin in registry.manager.list_name_plugin()}
    run = open_run(Registry({**conditioners, "listener": Listener()}), path)
    run.log_event("weighed", grams=3)
    (line,) = [event for event in run.read_events() if event["event"] == "weighed"]
    assert line["grams"] == 3
    assert seen == [{"run": path, **line}]
    assert json.loads((path / "log.jsonl").read_text().splitlines()[-1]) == line


def test_a_run_without_a_log_has_no_events(run: OpenRun) -> None:
    (run.path / "log.jsonl").unlink()
    assert run.read_events() == []


def test_sampling_options_are_resolved_for_each_level(
    here: Path, registry: Registry, tiny: Model
) -> None:
    levels = resolve_level_sampling(registry, tiny, {"top_k": 3})
    assert levels == (LevelSampling(0.5, {"top_k": 3}),) * 3
    Path("preset.yaml").write_text(sampling_preset(levels))
    preset = load_config(SongPreset, Path("preset.yaml"))
    assert preset.sampling.hop_fraction == (0.5, 0.5, 0.5)
    assert preset.sampling.options == ({"top_k": 3},) * 3
    with pytest.raises(InputError):
        resolve_level_sampling(registry, tiny, {"nosuch": 3})


def test_the_files_of_a_run_are_not_changed_by_reading(run: OpenRun) -> None:
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    for item in run.items:
        run.read_tokens(0, item)
        run.describe(item.song)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    assert Run(run.path).config == run.config
