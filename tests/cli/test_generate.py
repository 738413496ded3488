"""`jukebox generate`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.command_line import (
    GENERATE,
    SECONDS,
    STOPS,
    Jukebox,
    Refused,
    stdout_of,
    stop_at,
)
from support.results import Result
from support.run_files import all_tokens, contents


def test_generate_writes_every_level_and_the_audio(
    generate: Callable[..., str], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert generate("--out", out) == f"{out}\n"
    assert {key: len(t) for key, t in all_tokens(out).items()} == {
        (0, 0): 100,
        (1, 0): 50,
        (2, 0): 25,
    }
    sound = soundfile.info(out / "audio" / "item-00.wav")
    assert (sound.samplerate, sound.channels, sound.frames) == (8000, 1, 400)


def test_the_default_model_is_mini_and_the_default_run_is_runs_song(
    here: Path, jukebox: Jukebox
) -> None:
    assert stdout_of(jukebox("generate", "--seconds", SECONDS)) == "runs/song\n"
    assert Run(Path("runs/song")).config.model == str(here / "models" / "mini")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--genre", "rock"), "rock"),
        (("--artist", "Ada Vale"), "ada-vale"),
        (("--genre", "rock,jazz", "--artist", "Ada Vale"), "ada-vale-rock-jazz"),
        (("--total", "90"), "song"),
        (("--preset", "my/jazz.yaml"), "jazz"),
    ],
)
def test_a_run_is_named_after_its_preset_or_words_of_its_conditions(
    words: tuple[str, ...], name: str, here: Path, jukebox: Jukebox
) -> None:
    (here / "my").mkdir()
    (here / "my" / "jazz.yaml").write_text("song: {genre: jazz}\n")
    out = stdout_of(jukebox("generate", "--seconds", SECONDS, "--until", "top", *words))
    assert out == f"runs/{name}\n"


def test_another_request_gets_the_next_free_name(here: Path, jukebox: Jukebox) -> None:
    words = ("generate", "--seconds", SECONDS, "--until", "top")
    names = [stdout_of(jukebox(*words, "--seed", seed)).strip() for seed in (0, 1, 0, 1, 2)]
    assert names == ["runs/song", "runs/song-2", "runs/song", "runs/song-2", "runs/song-3"]


@pytest.mark.parametrize("words", [("--only", "1-2"), ("--only", "2,1"), ("--batch", "1")])
def test_tokens_depend_neither_on_the_other_items_nor_on_the_batch(
    words: tuple[str, str], generate: Callable[..., str], tmp_path: Path
) -> None:
    generate("--items", 3, "--out", tmp_path / "all")
    generate("--items", 3, "--out", tmp_path / "some", *words)
    whole, part = all_tokens(tmp_path / "all"), all_tokens(tmp_path / "some")
    assert part == {key: whole[key] for key in part}
    assert {item for _, item in part} == ({0, 1, 2} if "--batch" in words else {1, 2})
    assert len({tuple(whole[0, item]) for item in range(3)}) == 3


@pytest.mark.parametrize("command", ["generate", "upsample", "decode"])
def test_the_same_command_again_changes_no_file(
    command: str, run: Path, generate: Callable[..., str], jukebox: Jukebox
) -> None:
    before = contents(run)
    if command == "generate":
        generate("--out", run)
    else:
        stdout_of(jukebox(command, run))
    assert contents(run) == before


def test_the_same_command_samples_only_missing_tokens(
    run: Path, generate: Callable[..., str]
) -> None:
    before, tokens = contents(run), all_tokens(run)
    (run / "tokens/level-0/item-00.safetensors").unlink()
    (run / "audio/item-00.wav").unlink()
    generate("--out", run)
    after = contents(run)
    lost = {"log.jsonl", "tokens/level-0/item-00.safetensors", "audio/item-00.wav"}
    assert {name for name in before if after[name] != before[name]} == lost
    assert all_tokens(run) == tokens
    assert after["audio/item-00.wav"][1] == before["audio/item-00.wav"][1]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--seed", 1), "seed"),
        (("--seconds", 2 * SECONDS), "length"),
        (("--genre", "rock"), "song"),
        (("--top-k", 3), "sampling"),
        (("--preset", "hop.yaml"), "hop_fraction"),
        (("--seed", 1, "--genre", "rock"), "seed, song"),
    ],
)
def test_a_run_refuses_another_request(
    words: tuple[object, ...],
    what: str,
    run: Path,
    tiny: Model,
    jukebox: Jukebox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run.parent)
    Path("hop.yaml").write_text("sampling: {hop_fraction: [1, 1, 1]}\n")
    before = contents(run)
    result = jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, "--out", run, *words)
    assert result == Result(
        2,
        "",
        f"error: {run} is a run with another {what}\n\n"
        "hint: choose another folder with --out, or ask for the same as before\n",
    )
    assert contents(run) == before


def test_a_preset_can_set_every_option_and_options_win(here: Path, jukebox: Jukebox) -> None:
    (here / "p.yaml").write_text(
        f"model: mini\nseconds: {SECONDS}\nitems: 2\nseed: 3\n"
        "song: {genre: rock, artist: ada vale}\n"
        "sampling: {hop_fraction: [1, 1, 1], options: [{}, {}, {top_k: 5}]}\n"
    )
    stdout_of(
        jukebox("generate", "--preset", "p.yaml", "--until", "top", "--seed", 4, "--genre", "jazz")
    )
    run = Run(Path("runs/p"))
    assert run.items() == [0, 1]
    assert (run.config.seed, run.config.hop_fraction) == (4, (1.0, 1.0, 1.0))
    assert run.config.sampling == ({}, {}, {"top_k": 5})
    assert run.item(0).conditions == {"artist": "ada vale", "genre": ["jazz"]}


def test_set_changes_a_key_of_the_preset(here: Path, jukebox: Jukebox) -> None:
    (here / "p.yaml").write_text(f"seconds: {SECONDS}\nsampling: {{hop_fraction: [1, 1, 1]}}\n")
    words = ("--set", "sampling.hop_fraction.2=0.25", "--set", "seed=9")
    stdout_of(jukebox("generate", "--preset", "p.yaml", "--until", "top", *words))
    run = Run(Path("runs/p"))
    assert (run.config.seed, run.config.hop_fraction) == (9, (1.0, 1.0, 0.25))


def test_leftovers_of_an_interrupted_start_are_replaced(
    run: Path, generate: Callable[..., str]
) -> None:
    whole = all_tokens(run)
    started = run.with_name("started")
    shutil.copytree(run / "tokens", started / "tokens")
    (started / ".run.yaml.0123abcd.part").write_text("form")
    generate("--out", started)
    assert all_tokens(started) == whole


def test_items_of_an_interrupted_tokenize_are_refused(place: Path, refused: Refused) -> None:
    shutil.copytree(place / "run" / "items", place / "out" / "items")
    refused(
        *GENERATE,
        error="out has items but no run.yaml: a command was interrupted there",
        hint="repeat that command, delete the folder, or choose another --out",
    )


@pytest.mark.parametrize(("module", "name", "calls"), STOPS)
def test_an_interrupted_generate_resumes_with_the_same_result(
    module: Any,
    name: str,
    calls: int,
    run: Path,
    tiny: Model,
    jukebox: Jukebox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["generate", "--model", tiny.path, "--seconds", SECONDS, "--out", run.with_name("out")]
    stop_at(monkeypatch, module, name, calls)
    assert jukebox(*words).code == 130
    stdout_of(jukebox(*words))
    assert all_tokens(run.with_name("out")) == all_tokens(run)


def test_only_selects_items(generate: Callable[..., str], tmp_path: Path) -> None:
    generate("--items", 8, "--only", "4-5,7", "--until", "top", "--out", tmp_path / "run")
    assert Run(tmp_path / "run").items() == [4, 5, 7]
