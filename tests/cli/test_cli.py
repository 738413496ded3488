"""The command line from end to end, on a tiny model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jukebox_cli import __version__
from jukebox_cli.cli.console import progress
from jukebox_cli.config.yaml_files import read_yaml
from jukebox_cli.model import codec
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling import sampler as sample
from jukebox_cli.sampling.continuation import extend, plan_extension
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.files import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.results import Result
from support.run_files import all_tokens, contents, tokens, write_chord
from support.tiny_model import TINY

Jukebox = Callable[..., Result]

SECONDS = 0.05  # 400 samples: 25, 50 and 100 tokens
MAIN = "from jukebox_cli.cli import main; main()"


def made(result: Result) -> str:
    """What a command that must succeed printed."""
    assert result.code == 0, result.err
    return result.out


@pytest.fixture
def generate(jukebox: Jukebox, tiny: Model) -> Callable[..., str]:
    """`generate("--out", run)` makes a short run with the tiny model."""

    def run(*words: object) -> str:
        return made(jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, *words))

    return run


@pytest.fixture
def run(generate: Callable[..., str], tmp_path: Path) -> Path:
    """A whole run of one item."""
    generate("--out", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Model) -> Path:
    """A working folder whose ./models holds the tiny model as `mini`."""
    shutil.copytree(tiny.path, tmp_path / "models" / "mini")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# generate


def test_generate_fills_every_level_and_the_audio(
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


def test_the_model_is_mini_and_the_run_is_runs_song_unless_said(
    here: Path, jukebox: Jukebox
) -> None:
    assert made(jukebox("generate", "--seconds", SECONDS)) == "runs/song\n"
    assert Run(Path("runs/song")).config.model == str(here / "models" / "mini")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("--genre", "rock"), "rock"),
        (("--artist", "Ada Vale"), "ada-vale"),
        (("--preset", "my/jazz.yaml"), "jazz"),
    ],
)
def test_a_run_is_called_after_what_it_is_of(
    words: tuple[str, str], name: str, here: Path, jukebox: Jukebox
) -> None:
    (here / "my").mkdir()
    (here / "my" / "jazz.yaml").write_text("song: {genre: jazz}\n")
    out = made(jukebox("generate", "--seconds", SECONDS, "--until", "top", *words))
    assert out == f"runs/{name}\n"


def test_another_request_gets_the_next_name_and_the_same_gets_its_own(
    here: Path, jukebox: Jukebox
) -> None:
    words = ("generate", "--seconds", SECONDS, "--until", "top")
    names = [made(jukebox(*words, "--seed", seed)).strip() for seed in (0, 1, 0, 1, 2)]
    assert names == ["runs/song", "runs/song-2", "runs/song", "runs/song-2", "runs/song-3"]


@pytest.mark.parametrize("words", [("--items", "1-2"), ("--items", "2,1"), ("--batch", "1")])
def test_tokens_depend_neither_on_the_other_items_nor_on_the_batch(
    words: tuple[str, str], generate: Callable[..., str], tmp_path: Path
) -> None:
    generate("--items", 3, "--out", tmp_path / "all")
    generate("--items", 3, "--out", tmp_path / "some", *words)
    whole, part = all_tokens(tmp_path / "all"), all_tokens(tmp_path / "some")
    assert part == {key: whole[key] for key in part}
    assert {item for _, item in part} == ({0, 1, 2} if "--batch" in words else {1, 2})
    assert len({tuple(whole[0, item]) for item in range(3)}) == 3


@pytest.mark.parametrize(
    ("until", "levels", "audio"),
    [("top", [2], False), ("tokens", [0, 1, 2], False), ("audio", [0, 1, 2], True)],
)
def test_until_stops_early_and_upsample_does_the_rest(
    until: str,
    levels: list[int],
    audio: bool,
    run: Path,
    generate: Callable[..., str],
    jukebox: Jukebox,
) -> None:
    part = run.with_name("part")
    generate("--out", part, "--until", until)
    assert Run(part).levels_with_tokens(0) == levels
    assert (part / "audio").exists() == audio
    assert made(jukebox("upsample", part)) == f"{part}\n"
    assert all_tokens(part) == all_tokens(run)
    assert (part / "audio/item-00.wav").read_bytes() == (run / "audio/item-00.wav").read_bytes()


@pytest.mark.parametrize(
    ("kind", "name"), [("wav", "WAV"), ("flac", "FLAC"), ("ogg", "OGG"), ("mp3", "MP3")]
)
@pytest.mark.parametrize("level", [0, 2])
def test_decode_writes_any_level_in_any_format(
    level: int, kind: str, name: str, run: Path, jukebox: Jukebox
) -> None:
    [path] = made(jukebox("decode", run, "--level", level, "--format", kind)).splitlines()
    folder = run / "audio" / ("level-2" if level else "")
    assert path == str(folder / f"item-00.{kind}")
    sound = soundfile.info(path)
    assert (sound.format, sound.samplerate, sound.channels, sound.frames) == (name, 8000, 1, 400)


def test_decode_of_a_level_needs_no_lower_one(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    generate("--out", tmp_path / "run", "--until", "top")
    assert made(jukebox("decode", tmp_path / "run", "--level", 2))


@pytest.mark.parametrize("command", ["generate", "upsample", "decode"])
def test_the_same_command_again_changes_no_file(
    command: str, run: Path, generate: Callable[..., str], jukebox: Jukebox
) -> None:
    before = contents(run)
    if command == "generate":
        generate("--out", run)
    else:
        made(jukebox(command, run))
    assert contents(run) == before


def test_the_same_command_draws_again_only_what_was_lost(
    run: Path, generate: Callable[..., str]
) -> None:
    before, drawn = contents(run), all_tokens(run)
    (run / "tokens/level-0/item-00.safetensors").unlink()
    (run / "audio/item-00.wav").unlink()
    generate("--out", run)
    after = contents(run)
    lost = {"log.jsonl", "tokens/level-0/item-00.safetensors", "audio/item-00.wav"}
    assert {name for name in before if after[name] != before[name]} == lost
    assert all_tokens(run) == drawn
    assert after["audio/item-00.wav"][1] == before["audio/item-00.wav"][1]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--seed", 1), "seed"),
        (("--seconds", 2 * SECONDS), "length"),
        (("--genre", "rock"), "song"),
        (("--top-k", 3), "sampling"),
        (("--preset", "hop.yaml"), "hop"),
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
    Path("hop.yaml").write_text("sampling: {hop: [1, 1, 1]}\n")
    before = contents(run)
    result = jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, "--out", run, *words)
    assert result == Result(
        2,
        "",
        f"error: {run} is a run with another {what}\n\n"
        "hint: choose another folder with --out, or ask for the same as before\n",
    )
    assert contents(run) == before


def test_a_preset_says_all_that_flags_can_and_flags_win(here: Path, jukebox: Jukebox) -> None:
    (here / "p.yaml").write_text(
        f"model: mini\nseconds: {SECONDS}\nitems: 2\nseed: 3\n"
        "song: {genre: rock, artist: ada vale}\n"
        "sampling: {hop: [1, 1, 1], knobs: [{}, {}, {top_k: 5}]}\n"
    )
    made(
        jukebox("generate", "--preset", "p.yaml", "--until", "top", "--seed", 4, "--genre", "jazz")
    )
    run = Run(Path("runs/p"))
    assert run.items() == [0, 1]
    assert (run.config.seed, run.config.hop_fraction) == (4, (1.0, 1.0, 1.0))
    assert run.config.sampling == ({}, {}, {"top_k": 5})
    assert run.item_specs().song == {"artist": "ada vale", "genre": ["jazz"]}


def test_set_changes_a_key_of_the_preset(here: Path, jukebox: Jukebox) -> None:
    (here / "p.yaml").write_text(f"seconds: {SECONDS}\nsampling: {{hop: [1, 1, 1]}}\n")
    words = ("--set", "sampling.hop.2=0.25", "--set", "seed=9")
    made(jukebox("generate", "--preset", "p.yaml", "--until", "top", *words))
    run = Run(Path("runs/p"))
    assert (run.config.seed, run.config.hop_fraction) == (9, (1.0, 1.0, 0.25))


def test_what_was_stopped_before_it_was_a_run_is_not_in_the_way(
    run: Path, generate: Callable[..., str]
) -> None:
    whole = all_tokens(run)
    begun = run.with_name("begun")
    begun.mkdir()
    shutil.copy(run / "song.json", begun)
    (begun / ".run.yaml.0123abcd.part").write_text("form")
    generate("--out", begun)
    assert all_tokens(begun) == whole


# continue


def test_continue_makes_a_run_longer_and_keeps_what_was_there(run: Path, jukebox: Jukebox) -> None:
    before = all_tokens(run)
    assert made(jukebox("continue", run, "--seconds", SECONDS)) == f"{run}\n"
    after = all_tokens(run)
    assert {key: len(t) for key, t in after.items()} == {
        key: 2 * len(t) for key, t in before.items()
    }
    assert {key: t[: len(before[key])] for key, t in after.items()} == before
    assert soundfile.info(run / "audio/item-00.wav").frames == 800


def test_continue_into_a_copy_leaves_the_run_alone(run: Path, jukebox: Jukebox) -> None:
    before, copy = contents(run), run.with_name("copy")
    assert made(jukebox("continue", run, "--seconds", SECONDS, "--out", copy)) == f"{copy}\n"
    assert contents(run) == before
    made(jukebox("continue", run, "--seconds", SECONDS))
    assert all_tokens(copy) == all_tokens(run)


def test_the_same_copy_again_changes_nothing_and_another_is_refused(
    run: Path, jukebox: Jukebox
) -> None:
    copy = run.with_name("copy")
    words = ("continue", run, "--out", copy, "--seconds")
    made(jukebox(*words, SECONDS))
    before = contents(copy)
    made(jukebox(*words, SECONDS))
    for more, what in (((3 * SECONDS,), "length"), ((SECONDS, "--genre", "rock"), "song")):
        result = jukebox(*words, *more)
        assert result.code == 2
        assert result.err.startswith(f"error: {copy} is a run with another {what}\n")
    assert contents(copy) == before


def test_continue_with_out_naming_the_run_itself_is_in_place(run: Path, jukebox: Jukebox) -> None:
    made(jukebox("continue", run, "--seconds", SECONDS, "--out", run))
    assert len(tokens(run, 0)) == 200


def test_continue_changes_conditions_and_seed_from_there_on(run: Path, jukebox: Jukebox) -> None:
    made(
        jukebox(
            "continue", run, "--seconds", SECONDS, "--genre", "jazz", "--seed", 5, "--until", "top"
        )
    )
    assert Run(run).item_specs().for_item(0) == (800, {"genre": ["jazz"]})
    assert Run(run).config.seed == 5


def test_only_the_chosen_items_go_on(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    generate("--out", out, "--items", 2, "--until", "top")
    made(jukebox("continue", out, "--items", 1, "--seconds", SECONDS, "--until", "top"))
    assert [len(tokens(out, 2, item)) for item in (0, 1)] == [25, 50]


@pytest.mark.parametrize("copied", [False, True])
def test_tasks_that_make_items_of_their_own_longer_leave_the_others_alone(
    copied: bool, generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    at_once, one_by_one = tmp_path / "a", tmp_path / "b"
    for run in (at_once, one_by_one):
        generate("--out", run, "--items", 2, "--until", "top")
    words = ("--seconds", SECONDS, "--until", "top")
    made(jukebox("continue", at_once, *words))
    copy = tmp_path / "copy"
    where = ("--out", copy) if copied else ()
    for item in (1, 0):
        made(jukebox("continue", one_by_one, "--items", item, *words, *where))
    grown = copy if copied else one_by_one
    assert Run(grown).item_specs() == Run(at_once).item_specs()
    assert all_tokens(grown) == all_tokens(at_once)


def test_tasks_that_began_before_another_was_done_keep_its_lengths(
    generate: Callable[..., str], tmp_path: Path
) -> None:
    generate("--out", tmp_path / "run", "--items", 2, "--until", "top")
    jobs = [reopen_job(tmp_path / "run", load_installed(print), str(item)) for item in (0, 1)]
    tasks = [(job, plan_extension(job, SECONDS, {}, None, None, False)) for job in jobs]
    for job, more in tasks:
        extend(job, more)
    asked = Run(tmp_path / "run").item_specs()
    assert [asked.for_item(item)[0] for item in (0, 1)] == [800, 800]


def stop_at(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int) -> None:
    """Makes the so many-th call of a function end like Ctrl-C, and those after it none."""
    real, count = getattr(module, name), iter(range(calls))

    def stopping(*words: Any, **more: Any) -> Any:
        if next(count, None) is None:
            monkeypatch.setattr(module, name, real)
            raise KeyboardInterrupt
        return real(*words, **more)

    monkeypatch.setattr(module, name, stopping)


STOPS = [(sample, "draw", 10), (sample, "draw", 40), (sample, "draw", 130), (codec, "decode", 0)]


@pytest.mark.parametrize(("module", "name", "calls"), STOPS)
@pytest.mark.parametrize("copied", [False, True])
def test_a_continue_that_was_stopped_is_finished_by_the_same_command_and_only_that(
    module: Any,
    name: str,
    calls: int,
    copied: bool,
    run: Path,
    jukebox: Jukebox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, out = shutil.copytree(run, run.with_name("other")), run.with_name("out")
    words = ["continue", run, "--seconds", SECONDS, *(["--out", out] if copied else [])]
    stop_at(monkeypatch, module, name, calls)
    result = jukebox(*words)
    assert (result.code, result.out) == (130, "")
    assert result.err.endswith("\nstopped; the same command goes on from here\n")
    again = jukebox(*words)
    made(again)
    note = "it was not whole; this finishes it, the next goes on from there\n"
    assert (note in again.err) == (not copied)
    made(jukebox("continue", other, "--seconds", SECONDS))
    assert all_tokens(out if copied else run) == all_tokens(other)
    sound = (out if copied else run) / "audio/item-00.wav"
    assert sound.read_bytes() == (other / "audio/item-00.wav").read_bytes()


@pytest.mark.parametrize(("module", "name", "calls"), STOPS)
def test_a_generate_that_was_stopped_comes_out_the_same(
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
    made(jukebox(*words))
    assert all_tokens(run.with_name("out")) == all_tokens(run)


def test_a_run_that_is_not_whole_is_not_copied(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    generate("--out", out, "--until", "top")
    stop_at(monkeypatch, sample, "draw", 3)
    jukebox("upsample", out)
    result = jukebox("continue", out, "--out", tmp_path / "copy")
    assert result == Result(
        2, "", f"error: {out} is not whole yet\n\nhint: finish it first: `jukebox upsample {out}`\n"
    )
    assert not (tmp_path / "copy").exists()


# continue --audio


@pytest.mark.parametrize(
    ("name", "sample_rate", "channels"),
    [
        ("a.wav", 8000, 1),
        ("a.flac", 44100, 2),
        ("a.ogg", 48000, 2),
        ("a.mp3", 22050, 1),
        ("a.aiff", 11025, 2),
    ],
)
def test_continue_audio_keeps_the_recording_and_goes_on(
    name: str, sample_rate: int, channels: int, tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    sound = write_chord(tmp_path / name, 0.2, sample_rate, channels)
    heard, out = tmp_path / "heard", tmp_path / "out"
    made(jukebox("tokenize", sound, "--model", tiny.path, "--out", heard))
    words = ("--model", tiny.path, "--seconds", SECONDS, "--out", out)
    assert made(jukebox("continue", "--audio", sound, *words)) == f"{out}\n"
    for level, per_top in ((0, 4), (1, 2), (2, 1)):
        given = 100 * per_top  # 0.2 s at 500 tokens per second
        assert tokens(out, level)[:given] == tokens(heard, level)[:given]
        assert len(tokens(out, level)) == given + 25 * per_top
    assert soundfile.info(out / "audio/item-00.wav").frames == 2000


def test_prime_takes_the_first_seconds_only(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    words = ("--model", tiny.path, "--seconds", SECONDS, "--until", "top")
    made(jukebox("continue", "--audio", tone, "--prime", 0.1, "--out", tmp_path / "out", *words))
    found = Run(tmp_path / "out").read_tokens(2, 0)
    assert found is not None
    assert (len(found.tokens), found.primed) == (75, 50)


def test_items_that_are_asked_for_later_are_primed_too(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    words = (
        "continue",
        "--audio",
        tone,
        "--prime",
        0.1,
        "--model",
        tiny.path,
        "--seconds",
        SECONDS,
    )
    made(jukebox(*words, "--out", tmp_path / "two", "--items", 2))
    made(jukebox(*words, "--out", tmp_path / "later", "--items", 1))
    first = contents(tmp_path / "later" / "tokens")
    made(jukebox(*words, "--out", tmp_path / "later", "--items", 2))
    assert all_tokens(tmp_path / "later") == all_tokens(tmp_path / "two")
    assert contents(tmp_path / "later" / "tokens").items() >= first.items()


@pytest.mark.parametrize("change", ["recording", "prime"])
def test_a_run_refuses_another_recording(
    change: str, tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", write_chord(tmp_path / "other.wav", 2)
    words = ("--model", tiny.path, "--out", out, "--until", "top")
    made(jukebox("continue", "--audio", tone, "--prime", 0.1, "--seconds", 0.05, *words))
    before = contents(out)
    if change == "recording":
        result = jukebox("continue", "--audio", other, "--prime", 0.1, "--seconds", 0.05, *words)
    else:
        result = jukebox("continue", "--audio", tone, "--prime", 0.05, "--seconds", 0.1, *words)
    assert result.code == 2
    assert result.err.startswith(f"error: {out} is a run with another audio\n")
    assert contents(out) == before


# tokenize


@pytest.mark.parametrize("samples", [1, 15, 16, 4001])
def test_tokenize_then_decode_has_the_length_of_the_recording(
    samples: int, tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.1), 8000)
    out = tmp_path / "run"
    assert (
        made(jukebox("tokenize", tmp_path / "a.wav", "--model", tiny.path, "--out", out))
        == f"{out}\n"
    )
    assert len(tokens(out, 2)) == -(-samples // 16)
    [path] = made(jukebox("decode", out, "--format", "flac")).splitlines()
    assert soundfile.info(path).frames == samples


def test_tokenize_of_several_recordings_makes_an_item_of_each(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    sounds = [write_chord(tmp_path / f"{n}.wav", 0.1 * n) for n in (1, 2)]
    made(jukebox("tokenize", *sounds, "--model", tiny.path, "--out", tmp_path / "run"))
    assert [len(tokens(tmp_path / "run", 2, item)) for item in (0, 1)] == [50, 100]


def test_tokenize_to_a_run_again_adds_nothing_and_another_recording_is_refused(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    out, other = tmp_path / "run", write_chord(tmp_path / "other.wav", 0.1)
    words = ("--model", tiny.path, "--out", out, "--json")
    assert json.loads(made(jukebox("tokenize", tone, *words)))["added"] == 1
    before = contents(out)
    assert json.loads(made(jukebox("tokenize", tone, *words)))["added"] == 0
    result = jukebox("tokenize", other, *words)
    assert result.code == 2
    assert result.err.startswith(f"error: {out} is a run with another audio\n")
    assert contents(out) == before


def test_tokenize_that_was_stopped_starts_again(
    tiny: Model, jukebox: Jukebox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [write_chord(tmp_path / f"{n}.wav", 0.1 * n) for n in (1, 2)]
    stop_at(monkeypatch, codec, "encode", 1)
    words = ("--model", tiny.path, "--out", tmp_path / "run")
    assert jukebox("tokenize", *sounds, *words).code == 130
    assert not Run(tmp_path / "run").exists
    made(jukebox("tokenize", sounds[1], *words))
    assert [*all_tokens(tmp_path / "run")] == [(0, 0), (1, 0), (2, 0)]
    assert len(tokens(tmp_path / "run", 2)) == 100


def test_tokenize_of_manifests_and_folders_adds_each_song_once(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    for name in ("x/a.wav", "x/deep/b.flac", "c.ogg"):
        write_chord(tmp_path / name, 0.1)
    (tmp_path / "songs.csv").write_text(
        'audio,genre,held_out\nx/a.wav,rock,\nc.ogg,"jazz, rock",true\n'
    )
    out = tmp_path / "corpus"
    words = ("--model", tiny.path, "--out", out, "--json")
    sources = (tmp_path / "songs.csv", tmp_path / "x")
    assert json.loads(made(jukebox("tokenize", *sources, *words))) == {
        "corpus": str(out),
        "added": 3,
    }
    found = [(Path(e.name).name, dict(e.song), e.held_out) for e in Corpus(out).songs()]
    assert found == [
        ("a.wav", {"genre": ["rock"]}, False),
        ("c.ogg", {"genre": ["jazz", "rock"]}, True),
        ("b.flac", {}, False),
    ]
    before = contents(out)
    assert json.loads(made(jukebox("tokenize", *sources, *words)))["added"] == 0
    assert contents(out) == before
    write_chord(tmp_path / "x" / "new.wav", 0.1)
    assert json.loads(made(jukebox("tokenize", *sources, *words)))["added"] == 1
    assert [len(Corpus(out).tokens(n)) for n in range(3)] == [800, 400, 200]


# train


def test_a_model_from_sound_to_song(jukebox: Jukebox, tmp_path: Path) -> None:
    """train vqvae -> tokenize -> train prior -> generate, all by the command line."""
    (tmp_path / "shape.yaml").write_text(TINY)
    sounds = [write_chord(tmp_path / "sounds" / f"{n}.wav", 0.3) for n in range(3)]
    rows = [{"audio": s.name, "genre": "rock", "held_out": s is sounds[2]} for s in sounds]
    manifest = tmp_path / "sounds" / "songs.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model, corpus = tmp_path / "model", tmp_path / "corpus"
    few = ("--steps", 2, "--batch", 1)

    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1)
    out = made(jukebox("train", "vqvae", manifest, "--model", model, *shape, *few))
    assert out.splitlines() == [str(Model(model).weights(f"vqvae-{n}")) for n in range(3)]
    made(jukebox("tokenize", manifest, "--model", model, "--out", corpus))
    for level in (2, 1, 0):
        result = jukebox("train", "prior", corpus, "--model", model, "--level", level, *few)
        assert made(result) == f"{Model(model).weights(f'prior-{level}')}\n"
        assert result.err.startswith(f"prior-{level}: 2 steps\n")
        assert re.search(rf"^prior-{level}: held out: bits_per_token \d", result.err, re.MULTILINE)
    assert Model(model).fitted_conditioners(2)["genre"]["names"] == ["rock"]
    words = ("--model", model, "--seconds", SECONDS, "--genre", "rock", "--out", tmp_path / "song")
    made(jukebox("generate", *words))
    assert soundfile.info(tmp_path / "song/audio/item-00.wav").frames == 400


def test_train_vqvae_of_one_level_touches_no_other(
    jukebox: Jukebox, tone: Path, tmp_path: Path
) -> None:
    (tmp_path / "shape.yaml").write_text(TINY)
    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1, "--steps", 1, "--batch", 1)
    made(jukebox("train", "vqvae", tone, "--model", tmp_path / "m", "--level", 1, *shape))
    assert [p.name for p in (tmp_path / "m").glob("*.safetensors")] == ["vqvae-1.safetensors"]


# what is printed, and where


def test_json_says_what_is_on_disk(
    run: Path, generate: Callable[..., str], jukebox: Jukebox
) -> None:
    sound = str(run / "audio/item-00.wav")
    whole = {"run": str(run), "items": [0], "seed": 0, "audio": [sound]}
    assert json.loads(generate("--out", run, "--json")) == whole
    assert json.loads(made(jukebox("upsample", run, "--json"))) == whole
    part = json.loads(made(jukebox("upsample", run, "--until", "top", "--json")))
    assert part == {**whole, "audio": []}
    decoded = json.loads(made(jukebox("decode", run, "--json")))
    assert decoded == {"run": str(run), "audio": [sound]}
    longer = made(jukebox("continue", run, "--seconds", SECONDS, "--seed", 3, "--json"))
    assert json.loads(longer) == {**whole, "seed": 3}
    assert all(Path(path).is_file() for path in whole["audio"])


def test_stdout_holds_only_the_run_and_stderr_how_it_went(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    result = jukebox("generate", "--model", tiny.path, "--seconds", SECONDS, "--out", out)
    assert result == Result(
        0,
        f"{out}\n",
        "level 2: 25 tokens\nlevel 1: 50 tokens\nlevel 0: 100 tokens\ndecode 0: 400 samples\n"
        f"wrote {out}/audio/item-00.wav\n",
    )


def test_what_was_there_already_is_said(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("continue", run, "--seconds", SECONDS, "--until", "top")
    assert result.err == "level 2: 50 tokens, 25 there already\n"


def test_quiet_says_nothing(tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path) -> None:
    (tmp_path / "shape.yaml").write_text(TINY)
    run, words = tmp_path / "run", ("--model", tiny.path, "--seconds", SECONDS)
    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1, "--steps", 1, "--batch", 1)
    for command in (
        ("generate", *words, "--out", run),
        ("continue", run, "--seconds", SECONDS),
        ("upsample", run),
        ("decode", run, "--level", 1),
        ("continue", "--audio", tone, "--prime", 0.1, *words, "--out", tmp_path / "primed"),
        ("tokenize", tone, "--model", tiny.path, "--out", tmp_path / "heard"),
        ("train", "vqvae", tone, "--model", tmp_path / "model", "--level", 2, *shape),
    ):
        result = jukebox(*command, "--quiet")
        made(result)
        assert result.err == ""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr is taken for a terminal with colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("FORCE_COLOR", "1")


def drawn_bar(capsys: pytest.CaptureFixture[str]) -> str:
    with progress(False) as bar:
        tick = bar("level 2", 10, 100)
        for _ in range(3):
            tick(30)
    return capsys.readouterr().err


COLOUR = re.compile(r"\x1b\[[\d;]*\b(3\d|9\d)\b[\d;]*m")


def test_a_terminal_gets_a_bar_with_speed_and_time_left(
    terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    text = drawn_bar(capsys)
    assert COLOUR.search(text)
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    assert re.search(r"level 2 .*100% [\d,]+ tokens/s \d:\d\d:\d\d", plain)


def test_no_color_is_respected(
    terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not COLOUR.search(drawn_bar(capsys))


# a process of its own


def shell(*words: object, code: str = MAIN, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


HEAVY = ("torch", "numpy", "soundfile", "soxr", "safetensors", "pretty_midi")
SPY = f"""
import sys
from jukebox_cli.cli import main
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "generate --help",
        "continue --help",
        "--version",
        "plugin list",
        "preset list",
        "generate --seconds -1",
    ],
)
def test_help_and_lists_and_bad_flags_import_nothing_heavy(words: str) -> None:
    last = shell(*words.split(), code=SPY).stderr.splitlines()[-1]
    assert last == ("['numpy']" if words.startswith("generate --seconds") else "[]")


def test_a_pipe_gets_no_control_characters(run: Path) -> None:
    for words in (("upsample", run), ("decode", run, "--level", 9), ("-h",), ("nosuch",)):
        result = shell(*words)
        assert result.stdout + result.stderr
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", result.stdout + result.stderr)


def test_a_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-c", MAIN, "preset", "show", "mini-recipe"]
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (result.returncode, result.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_output_that_finds_no_room_is_told() -> None:
    command = [sys.executable, "-c", MAIN, "preset", "show", "mini-recipe"]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 2
    assert result.stderr == (
        "error: can't write to the standard output: No space left on device\n"
        "\nhint: make room there, or send it elsewhere\n"
    )


# stopped by a signal

#: A process that is begun in the background by a shell is deaf to SIGINT.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


def begun(*words: object) -> subprocess.Popen[str]:
    """A command that goes on meanwhile, with a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", HEARING + MAIN, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


LONG = ("--seconds", 0.6, "--items", 2, "--seed", 5, "--until", "tokens")


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], list[int]]:
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = shell("generate", "--model", tiny.path, "--out", out, *LONG)
    assert (result.returncode, result.stdout) == (0, f"{out}\n"), result.stderr
    assert result.stderr == ("level 2: 600 tokens\nlevel 1: 1,200 tokens\nlevel 0: 2,400 tokens\n")
    return all_tokens(out)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)]
)
def test_a_signal_leaves_a_run_that_the_same_command_finishes(
    number: signal.Signals,
    code: int,
    uninterrupted: dict[tuple[int, int], list[int]],
    tiny: Model,
    jukebox: Jukebox,
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    words = ["generate", "--model", tiny.path, "--out", out, *LONG]
    process = begun(*words)
    while not tokens(out, 2, 1):
        assert process.poll() is None
    process.send_signal(number)
    printed, said = process.communicate()
    assert (process.returncode, printed) == (code, "")
    if number != signal.SIGKILL:
        assert said.endswith("\nstopped; the same command goes on from here\n")
    left = all_tokens(out)
    assert sum(map(len, left.values())) < sum(map(len, uninterrupted.values()))
    assert all(uninterrupted[key][: len(part)] == part for key, part in left.items())
    made(jukebox(*words))
    assert all_tokens(out) == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_of_a_training_loses_nothing(
    number: signal.Signals, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    """As a terminal sends them, or `timeout`, or a cluster."""
    few = ("--crop", 0.1, "--batch", 1, "--level", 2, "--preset", "mini-recipe", "--workers", 2)
    words = ["train", "vqvae", tone, "--model", tmp_path / "model", *few, "--steps", 100_000]
    process = begun(*words)
    model = Model(tmp_path / "model")
    while not model.log.exists():
        assert process.poll() is None
    os.killpg(process.pid, number)
    printed, said = process.communicate()
    assert (process.returncode, printed) == (130, "")
    assert said.endswith("\nstopped; the same command goes on from here\n")
    step = [row["step"] for row in read_jsonl(model.log)][-1]
    made(jukebox(*words[:-1], step + 1))
    assert [row["step"] for row in read_jsonl(model.log) if "loss" in row][-2:] == [step, step + 1]


# what there is


def test_version(jukebox: Jukebox) -> None:
    assert made(jukebox("--version")) == f"jukebox {__version__}\n"


def test_model_list_and_show(here: Path, jukebox: Jukebox) -> None:
    assert "mini" in made(jukebox("model", "list")).splitlines()
    assert "mini" in json.loads(made(jukebox("model", "list", "--json")))["models"]
    text = made(jukebox("model", "show", "mini"))
    assert text.startswith("mini: 8000 Hz, 64 codes, models/mini\n")
    assert "level 2: hop 16, 500 tokens/s: artist, genre, timing\n" in text
    assert "genre: jazz, rock\n" in text
    facts = json.loads(made(jukebox("model", "show", "mini", "--json")))
    assert facts["knows"] == {
        "artist": ["Ada Vale", "Bo Marsh", "Cy Norton"],
        "genre": ["jazz", "rock"],
    }
    assert facts["levels"]["0"] == {
        "hop": 4,
        "tokens_per_second": 2000.0,
        "prior": True,
        "takes": ["artist"],
    }


def test_model_show_of_a_half_trained_model(here: Path, jukebox: Jukebox) -> None:
    (here / "models/mini/prior-0.safetensors").unlink()
    (here / "models/mini/card.md").write_text("# A card\n")
    text = made(jukebox("model", "show", "mini"))
    assert "level 0: hop 4, 2000 tokens/s: no prior\n" in text
    assert text.endswith("\n\n# A card\n")


def test_plugin_list(jukebox: Jukebox) -> None:
    rows = json.loads(made(jukebox("plugin", "list", "--json")))["plugins"]
    assert {
        "kind": "conditioner",
        "name": "genre",
        "from": "jukebox-cli",
        "flags": "--genre",
    } in rows
    assert {"kind": "sampler", "name": "top-k", "from": "jukebox-cli", "flags": "--top-k"} in rows
    assert len(made(jukebox("plugin", "list")).splitlines()) == len(rows)


def test_preset_list_and_show(jukebox: Jukebox) -> None:
    about = json.loads(made(jukebox("preset", "list", "--json")))["presets"]
    assert [line.split()[0] for line in made(jukebox("preset", "list")).splitlines()] == [*about]
    for name in about:
        text = made(jukebox("preset", "show", name))
        assert text == made(jukebox("preset", "show", f"{name}.yaml"))
        assert about[name] in text


def test_a_copy_of_a_preset_finds_its_files(here: Path, jukebox: Jukebox) -> None:
    (here / "my.yaml").write_text(made(jukebox("preset", "show", "rock")))
    song = read_yaml(here / "my.yaml")["song"]
    assert Path(song["midi"]).is_file()
    assert song["genre"] == "rock"
