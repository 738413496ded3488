"""Files of items: written and read, and errors of invalid ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage.segments import (
    ComputeSettings,
    ItemSpec,
    ItemSpecs,
    Parent,
    Prompt,
    Segment,
    read_item_spec,
    write_item_spec,
)
from support.results import refusal
from support.run_files import without_checksum

FIRST = Segment(0, 3, {"genre": ["ü"]}, ({"top_k": 3}, {}), (0.5, 1.0), (None, "abc"))
PROMPT = Segment(0, 3, {}, ({}, {}), (0.5, 1.0), (None, None), prompt=Prompt("123", 60, "a.wav"))
HINT = "restore it from a copy, or make the run again"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "item-00.json"


def test_an_item_is_read_as_it_was_written(path: Path) -> None:
    spec = ItemSpec(60, (FIRST,)).extended(100, seed=4, parent=Parent("../a", 2, 60))
    write_item_spec(path, spec)
    assert read_item_spec(path) == spec
    assert json.loads(path.read_text())["format"] == 2


def test_a_prompt_is_read_as_it_was_written(path: Path) -> None:
    write_item_spec(path, ItemSpec(60, (PROMPT,)))
    found = read_item_spec(path).prompt
    assert found is not None
    assert (found, found.name) == (Prompt("123", 60), "a.wav")


def test_a_file_with_the_same_content_is_not_written_again(path: Path) -> None:
    write_item_spec(path, ItemSpec(60, (FIRST,)))
    before = path.stat().st_ino
    write_item_spec(path, ItemSpec(60, (FIRST,)))
    assert path.stat().st_ino == before
    write_item_spec(path, ItemSpec(61, (FIRST,)))
    assert path.stat().st_ino != before


def test_an_extension_keeps_what_does_not_change() -> None:
    spec = ItemSpec(60, (PROMPT,)).extended(100, conditions={"genre": ["jazz"]})
    assert [(segment.first_sample, end) for segment, end in spec.spans()] == [(0, 60), (60, 100)]
    added = spec.segments[1]
    assert (added.seed, added.hop_fraction, added.sampling) == (3, (0.5, 1.0), ({}, {}))
    assert (added.prompt, added.parent) == (None, None)
    assert (spec.conditions, spec.prompt) == ({"genre": ["jazz"]}, PROMPT.prompt)
    assert spec.beginning(1) == ItemSpec(60, (PROMPT,))


Damage = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data.pop("num_samples"), "num_samples: Field required"),
        (lambda data: data["segments"][0].pop("seed"), "segments.0.seed: Field required"),
        (
            lambda data: data["segments"][1].update(seed="4"),
            "segments.1.seed: Input should be a valid integer",
        ),
        (
            lambda data: data["segments"][1].update(seed=-1),
            "segments.1: seed must be from 0 to 2^63 - 1, not -1",
        ),
        (
            lambda data: data["segments"][0].update(hop_fraction=[0.5, 0.0]),
            "segments.0: hop_fraction must be more than 0 and at most 1",
        ),
        (
            lambda data: data["segments"][0].update(sampling=[{}]),
            "segments.0: sampling, hop_fraction and prior_fingerprints must have one entry for "
            "each level",
        ),
        (
            lambda data: data["segments"][0].update(shared=[True]),
            "segments.0: shared must have one entry for each level",
        ),
        (
            lambda data: data["segments"][0].update(conditions=[]),
            "segments.0.conditions: Input should be an object",
        ),
        (
            lambda data: data["segments"][0].update(prior_fingerprints=[1, None]),
            "segments.0.prior_fingerprints.0: Input should be a valid string",
        ),
        (
            lambda data: data["segments"][1].update(parent={"run": "a", "item": 0}),
            "segments.1.parent.upto_sample: Field required",
        ),
        (
            lambda data: data["segments"][1].update(length=3),
            "segments.1.length: Unexpected keyword argument",
        ),
        (
            lambda data: data.update(num_samples=2**40),
            "num_samples must be at most 137438953472, not 1099511627776",
        ),
        (
            lambda data: data["segments"][1].update(
                sampling=[{}], hop_fraction=[1], prior_fingerprints=[None]
            ),
            "segments must have as many levels as each other",
        ),
        (
            lambda data: data["segments"][1].update(
                parent={"run": "a", "item": -1, "upto_sample": 60}
            ),
            "segments.1.parent: item must be 0 or more, and upto_sample a length in samples",
        ),
        (
            lambda data: data["segments"][0].update(
                slices=[{"count": 2, "start": 2**40, "warmup": 1, "seam": 1}, None]
            ),
            "segments.0.slices.0: slices must lie in the item",
        ),
        (lambda data: data["segments"].clear(), "the first segment must begin at sample 0"),
        (
            lambda data: data["segments"][0].update(first_sample=1),
            "the first segment must begin at sample 0",
        ),
        (
            lambda data: data["segments"][1].update(first_sample=100),
            "segments must be in order, and none may be empty",
        ),
        (
            lambda data: data["segments"].append(data["segments"][1]),
            "segments must be in order, and none may be empty",
        ),
        (
            lambda data: data["segments"][1].update(prompt={"audio_hash": "a", "num_samples": 40}),
            "only the first segment can be a prompt",
        ),
        (
            lambda data: data["segments"][0].update(prompt={"audio_hash": "a", "num_samples": 50}),
            "the prompt must be as long as its segment",
        ),
    ],
)
def test_an_invalid_file_is_refused_with_its_error(
    damage: Damage, problem: str, path: Path
) -> None:
    write_item_spec(path, ItemSpec(60, (FIRST,)).extended(100))
    data = json.loads(without_checksum(path.read_text()))
    damage(data)
    path.write_text(json.dumps(data))
    assert refusal(read_item_spec, path) == (f"{path} is damaged: {problem}", HINT)


def test_an_item_of_format_1_is_refused(path: Path) -> None:
    path.write_text('{"format": 1, "samples": 800, "song": {}}')
    message, hint = refusal(read_item_spec, path)
    assert message == f"{path}: format 1 cannot be read, only format 2"
    assert hint == (
        "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new keys"
    )


def test_a_truncated_file_is_damaged(path: Path) -> None:
    path.write_text('{"format": 2,\n "num')
    message, _ = refusal(read_item_spec, path)
    assert message == f"{path}:2: damaged: Unterminated string starting at"


def test_a_level_is_shared_until_the_segment_is_extended() -> None:
    shared = FIRST.with_shared_level(1)
    assert (shared.shared, shared.is_shared(0), shared.is_shared(1)) == ((False, True), False, True)
    assert not FIRST.is_shared(1)
    assert ItemSpec(60, (shared,)).extended(100).segments[1].shared == ()


def test_files_of_the_same_content_share_one_object(tmp_path: Path) -> None:
    specs = ItemSpecs()
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    segment = Segment(0, 7, {"artist": "Ada Vale"}, ({},), (0.5,), ("abc",))
    for path in (first, second):
        write_item_spec(path, ItemSpec(800, (segment,)))
    assert specs.read(first) is specs.read(second)
    write_item_spec(second, ItemSpec(900, (segment,)))
    assert specs.read(second).num_samples == 900
    assert specs.read(first).num_samples == 800


def test_what_changes_nothing_gives_the_same_object() -> None:
    segment = Segment(0, 7, {}, ({},), (0.5,), ("abc",))
    spec = ItemSpec(800, (segment,))
    assert segment.with_slice_plan(0, None) is segment
    assert segment.with_prior_fingerprint(0, "abc") is segment
    settings = ComputeSettings("torch", "fp32")
    changed = segment.with_compute_settings(0, settings)
    assert changed.with_compute_settings(0, settings) is changed
    assert spec.with_segment(0, segment) is spec
