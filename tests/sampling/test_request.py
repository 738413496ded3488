"""Requests: options win over the preset, the preset over the model; errors name their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.config.schema import ModelConfig, SamplingConfig
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import (
    Request,
    build_request,
    require_positive,
    resolve_sampling,
    validate_seed,
)
from support.results import refusal

PRESET = """
model: mine
seconds: 3
items: 2
seed: 4
song:
  genre: rock
sampling:
  hop_fraction: [1, 0.5]
  options: [{}, {top_k: 5}]
"""


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(PRESET)
    return path


def request_of(
    registry: Registry,
    preset: Path | None = None,
    *overrides: str,
    conditions: dict[str, Any] | None = None,
    sampler_options: dict[str, Any] | None = None,
    **options: Any,
) -> Request:
    name = None if preset is None else str(preset)
    return build_request(
        registry,
        name,
        overrides,
        conditions=conditions or {},
        sampler_options=sampler_options or {},
        **options,
    )


def test_without_options_there_are_defaults(registry: Registry) -> None:
    assert request_of(registry) == Request("mini", 20.0, (0,), 0, {})


def test_a_preset_sets_what_options_do_not(registry: Registry, preset: Path) -> None:
    found = request_of(registry, preset)
    assert (found.model, found.seconds, found.items, found.seed) == ("mine", 3.0, (0, 1), 4)
    assert found.song == {"genre": ["rock"]}
    assert (found.hop_fraction, found.sampling) == ((1.0, 0.5), ({}, {"top_k": 5}))


def test_options_win(registry: Registry, preset: Path) -> None:
    options: dict[str, Any] = {"model": "other", "seconds": 5.0, "items": 3, "only": "1", "seed": 9}
    found = request_of(registry, preset, conditions={"genre": "jazz"}, **options)
    assert (found.model, found.seconds, found.items, found.seed) == ("other", 5.0, (1,), 9)
    assert found.song == {"genre": ["jazz"]}


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_option_does_not_take_away_what_the_preset_has(
    empty: str, registry: Registry, preset: Path
) -> None:
    preset.write_text("song: {artist: Bo Marsh}\n")
    assert refusal(lambda: request_of(registry, preset, conditions={"artist": empty})) == (
        "--artist is empty, but the preset has one",
        "leave it out; --set song.artist=null makes the song without it",
    )
    assert request_of(registry, preset, "song.artist=null").song == {}
    assert request_of(registry, None, conditions={"artist": empty}).song == {"artist": ""}
    preset.write_text("song: {artist: ''}\n")
    assert request_of(registry, preset, conditions={"artist": empty}).song == {"artist": ""}


def test_paths_of_a_preset_are_relative_to_it_and_those_of_options_to_the_working_folder(
    registry: Registry, preset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset.write_text("song: {lyrics: words.txt}\n")
    (tmp_path / "words.txt").write_text("of the preset\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("words.txt").write_text("of the option\n")
    assert request_of(registry, preset).song["lyrics"].strip() == "of the preset"
    given = request_of(registry, preset, conditions={"lyrics": "words.txt"})
    assert given.song["lyrics"].strip() == "of the option"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seconds=0", "seconds in --set 'seconds=0' must be more than 0"),
        ("seed=-1", "seed in --set 'seed=-1' must be from 0 to 2^63 - 1, not -1"),
        ("items=0", "items in --set 'items=0' must be 1 or more, not 0"),
        (
            "sampling.hop_fraction.1=2",
            "--set 'sampling.hop_fraction.1=2': the hop_fraction of level 1 must be more than 0 "
            "and at most 1, not 2",
        ),
        ("sampling.options.0={top_k: 0}", "--set 'sampling.options.0={top_k: 0}': "),
        ("song.genre=5", "--set 'song.genre=5': "),
    ],
)
def test_errors_of_an_override_name_it(
    override: str, message: str, registry: Registry, preset: Path
) -> None:
    assert refusal(request_of, registry, preset, override)[0].startswith(message)


def test_errors_of_a_preset_name_its_line(registry: Registry, preset: Path) -> None:
    preset.write_text(PRESET.replace("seconds: 3", "seconds: -3"))
    found, _ = refusal(request_of, registry, preset)
    assert found.startswith(f"seconds in {preset}:3 must be more than 0")
    preset.write_text(PRESET.replace("{top_k: 5}", "{top_q: 5}"))
    found, _ = refusal(request_of, registry, preset)
    assert found.startswith(f"{preset}:10: ")


def test_errors_of_an_option_name_it() -> None:
    message = "--seconds must be more than 0 and less than 1,000,000, not -1"
    assert refusal(require_positive, "--seconds", -1.0) == (message, "try 20")
    message = f"--seed must be from 0 to 2^63 - 1, not {2**63}"
    assert refusal(validate_seed, 2**63) == (message, "try 1")


def test_overrides_need_a_preset(registry: Registry) -> None:
    message = "--set changes a preset, and none is given"
    assert refusal(request_of, registry, None, "seed=1") == (message, "add --preset NAME")


def test_sampling_of_request_preset_and_model(registry: Registry) -> None:
    model = ModelConfig(
        sampling=SamplingConfig((0.25, 0.25, 0.25), ({"top_k": 1}, {"top_k": 2}, {"top_k": 3}))
    )
    request = Request("x", 1.0, (0,), 0, {}, (1.0,), ({"top_p": 0.5},), {"temperature": 0.9})
    assert resolve_sampling(model, registry, request) == (
        (1.0, 0.25, 0.25),
        (
            {"top_p": 0.5, "temperature": 0.9},
            {"top_k": 2, "temperature": 0.9},
            {"top_k": 3, "temperature": 0.9},
        ),
    )
    plain = Request("x", 1.0, (0,), 0, {})
    assert resolve_sampling(ModelConfig(), registry, plain) == ((0.5, 0.5, 0.5), ({}, {}, {}))
