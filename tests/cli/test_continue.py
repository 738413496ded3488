"""`jukebox continue`: of a run, and of a recording."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from jukebox_cli.registry import load_installed
from jukebox_cli.sampling import sampler
from jukebox_cli.sampling.continuation import extend, plan_extension
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import Parent
from support.command_line import (
    SECONDS,
    SECONDS_OPTION,
    STOPS,
    Jukebox,
    Refused,
    stdout_of,
    stop_at,
)
from support.results import Result
from support.run_files import all_tokens, contents, tokens, write_chord


def test_continue_extends_a_run_and_keeps_its_tokens(run: Path, jukebox: Jukebox) -> None:
    before = all_tokens(run)
    assert stdout_of(jukebox("continue", run, "--seconds", SECONDS)) == f"{run}\n"
    after = all_tokens(run)
    assert {key: len(t) for key, t in after.items()} == {
        key: 2 * len(t) for key, t in before.items()
    }
    assert {key: t[: len(before[key])] for key, t in after.items()} == before
    assert soundfile.info(run / "audio/item-00.wav").frames == 800


def test_continue_into_a_copy_leaves_the_run_unchanged(run: Path, jukebox: Jukebox) -> None:
    before, copy = contents(run), run.with_name("copy")
    assert stdout_of(jukebox("continue", run, "--seconds", SECONDS, "--out", copy)) == f"{copy}\n"
    assert contents(run) == before
    stdout_of(jukebox("continue", run, "--seconds", SECONDS))
    assert all_tokens(copy) == all_tokens(run)


def test_the_same_copy_again_changes_nothing_and_another_is_refused(
    run: Path, jukebox: Jukebox
) -> None:
    copy = run.with_name("copy")
    words = ("continue", run, "--out", copy, "--seconds")
    stdout_of(jukebox(*words, SECONDS))
    before = contents(copy)
    stdout_of(jukebox(*words, SECONDS))
    for more, what in (((3 * SECONDS,), "length"), ((SECONDS, "--genre", "rock"), "song")):
        result = jukebox(*words, *more)
        assert result.code == 2
        assert result.err.startswith(f"error: {copy} is a run with another {what}\n")
    assert contents(copy) == before


def test_continue_with_out_naming_the_run_itself_is_in_place(run: Path, jukebox: Jukebox) -> None:
    stdout_of(jukebox("continue", run, "--seconds", SECONDS, "--out", run))
    assert len(tokens(run, 0)) == 200


def test_continue_changes_conditions_and_seed_from_there_on(run: Path, jukebox: Jukebox) -> None:
    stdout_of(
        jukebox(
            "continue", run, "--seconds", SECONDS, "--genre", "jazz", "--seed", 5, "--until", "top"
        )
    )
    spec = Run(run).item(0)
    assert (spec.num_samples, spec.conditions) == (800, {"genre": ["jazz"]})
    assert [(s.first_sample, s.seed, s.conditions) for s in spec.segments] == [
        (0, 0, {}),
        (400, 5, {"genre": ["jazz"]}),
    ]
    assert Run(run).config.seed == 0  # of the request that the run began with


def test_only_the_selected_items_are_extended(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    generate("--out", out, "--items", 2, "--until", "top")
    stdout_of(jukebox("continue", out, "--only", 1, "--seconds", SECONDS, "--until", "top"))
    assert [len(tokens(out, 2, item)) for item in (0, 1)] == [25, 50]


@pytest.mark.parametrize("copied", [False, True])
def test_tasks_extend_only_their_own_items(
    copied: bool, generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path
) -> None:
    at_once, one_by_one = tmp_path / "a", tmp_path / "b"
    for run in (at_once, one_by_one):
        generate("--out", run, "--items", 2, "--until", "top")
    words = ("--seconds", SECONDS, "--until", "top")
    stdout_of(jukebox("continue", at_once, *words))
    copy = tmp_path / "copy"
    where = ("--out", copy) if copied else ()
    for item in (1, 0):
        stdout_of(jukebox("continue", one_by_one, "--only", item, *words, *where))
    grown = copy if copied else one_by_one
    parents = [Parent("../b", item, 400) if copied else None for item in (0, 1)]
    for item, parent in enumerate(parents):
        spec = Run(at_once).item(item)
        added = replace(spec.segments[1], parent=parent)
        assert Run(grown).item(item) == spec.with_segment(1, added)
    assert all_tokens(grown) == all_tokens(at_once)


def test_tasks_that_overlap_keep_each_others_lengths(
    generate: Callable[..., str], tmp_path: Path
) -> None:
    generate("--out", tmp_path / "run", "--items", 2, "--until", "top")
    jobs = [reopen_job(tmp_path / "run", load_installed(print), str(item)) for item in (0, 1)]
    tasks = [(job, plan_extension(job, SECONDS, {}, None, None, False)) for job in jobs]
    for job, more in tasks:
        extend(job, more)
    specs = Run(tmp_path / "run").read_items((0, 1))
    assert [spec.num_samples for spec in specs.values()] == [800, 800]


@pytest.mark.parametrize(("module", "name", "calls"), STOPS)
@pytest.mark.parametrize("copied", [False, True])
def test_an_interrupted_continue_is_finished_only_by_the_same_command(
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
    assert result.err.endswith("\nstopped; run the same command again to resume\n")
    again = jukebox(*words)
    stdout_of(again)
    note = "the run is incomplete: this finishes it; run the same command again to extend it\n"
    assert (note in again.err) == (not copied)
    stdout_of(jukebox("continue", other, "--seconds", SECONDS))
    assert all_tokens(out if copied else run) == all_tokens(other)
    sound = (out if copied else run) / "audio/item-00.wav"
    assert sound.read_bytes() == (other / "audio/item-00.wav").read_bytes()


def test_an_incomplete_run_is_not_copied(
    generate: Callable[..., str], jukebox: Jukebox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    generate("--out", out, "--until", "top")
    stop_at(monkeypatch, sampler.WindowSampler, "_sample", 1)
    jukebox("upsample", out)
    result = jukebox("continue", out, "--out", tmp_path / "copy")
    assert result == Result(
        2, "", f"error: {out} is incomplete\n\nhint: finish it first: `jukebox upsample {out}`\n"
    )
    assert not (tmp_path / "copy").exists()


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
def test_continue_audio_keeps_the_recording_and_extends_it(
    name: str, sample_rate: int, channels: int, tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    sound = write_chord(tmp_path / name, 0.2, sample_rate, channels)
    encoded, out = tmp_path / "encoded", tmp_path / "out"
    stdout_of(jukebox("tokenize", sound, "--model", tiny.path, "--out", encoded))
    words = ("--model", tiny.path, "--seconds", SECONDS, "--out", out)
    assert stdout_of(jukebox("continue", "--audio", sound, *words)) == f"{out}\n"
    for level, per_top in ((0, 4), (1, 2), (2, 1)):
        given = 100 * per_top  # 0.2 s at 500 tokens per second
        assert tokens(out, level)[:given] == tokens(encoded, level)[:given]
        assert len(tokens(out, level)) == given + 25 * per_top
    assert soundfile.info(out / "audio/item-00.wav").frames == 2000


def test_prime_limits_the_prompt_to_its_first_seconds(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    words = ("--model", tiny.path, "--seconds", SECONDS, "--until", "top")
    stdout_of(
        jukebox("continue", "--audio", tone, "--prime", 0.1, "--out", tmp_path / "out", *words)
    )
    found = Run(tmp_path / "out").read_tokens(2, 0)
    assert found is not None
    prompt = Run(tmp_path / "out").item(0).prompt
    assert prompt is not None
    assert (len(found), prompt.num_samples, prompt.name) == (75, 800, tone.name)


def test_items_added_later_are_primed_too(
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
    stdout_of(jukebox(*words, "--out", tmp_path / "two", "--items", 2))
    stdout_of(jukebox(*words, "--out", tmp_path / "later", "--items", 1))
    first = contents(tmp_path / "later" / "tokens")
    stdout_of(jukebox(*words, "--out", tmp_path / "later", "--items", 2))
    assert all_tokens(tmp_path / "later") == all_tokens(tmp_path / "two")
    assert contents(tmp_path / "later" / "tokens").items() >= first.items()


@pytest.mark.parametrize("change", ["recording", "prime"])
def test_a_run_refuses_another_recording(
    change: str, tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", write_chord(tmp_path / "other.wav", 2)
    words = ("--model", tiny.path, "--out", out, "--until", "top")
    stdout_of(jukebox("continue", "--audio", tone, "--prime", 0.1, "--seconds", 0.05, *words))
    before = contents(out)
    if change == "recording":
        result = jukebox("continue", "--audio", other, "--prime", 0.1, "--seconds", 0.05, *words)
    else:
        result = jukebox("continue", "--audio", tone, "--prime", 0.05, "--seconds", 0.1, *words)
    assert result.code == 2
    assert result.err.startswith(f"error: {out} is a run with another audio\n")
    assert contents(out) == before


def test_continue_needs_either_a_run_or_audio(refused: Refused) -> None:
    error, hint = "continue needs a RUN or --audio, and not both", "see --help"
    refused("continue", error=error, hint=hint)
    refused("continue", "run", "--audio", "tone.wav", error=error, hint=hint)
    refused(
        *("continue", "--audio", "tone.wav"),
        error="continue --audio needs --out",
        hint="name a folder for the run",
    )


@pytest.mark.parametrize(
    "words", [("--top-k", 3), ("--preset", "rock"), ("--prime", 0), ("--set", "a=1")]
)
def test_a_run_keeps_its_sampling(words: tuple[object, ...], refused: Refused) -> None:
    refused(
        *("continue", "run", *words),
        error="a RUN continues with the sampling options that it began with",
        hint="leave out --preset, --set, --prime and the sampling options, or use --audio",
    )


@pytest.mark.parametrize("words", [("--artist", "Ada"), ("--seed", -1), ("--genre", "polka")])
def test_a_refused_continue_leaves_the_run_unchanged(
    words: tuple[object, ...], place: Path, jukebox: Jukebox
) -> None:
    before = contents(place)
    assert jukebox("continue", "run", *SECONDS_OPTION, *words).code == 2
    assert jukebox("continue", "run", *SECONDS_OPTION, *words, "--out", "copy").code == 2
    assert contents(place) == before


def test_a_folder_is_not_audio(refused: Refused) -> None:
    error, hint = "music is a folder, not an audio file", "name the files in it"
    refused(
        "continue", "--audio", "music", "--out", "out", "--model", "tiny", error=error, hint=hint
    )


@pytest.mark.parametrize("name", ["one.wav", "one-44.wav"])
def test_audio_that_is_too_short_is_an_error(name: str, refused: Refused) -> None:
    words = ("continue", "--audio", name, "--out", "out", "--model", "tiny")
    samples = "1 sample" if name == "one.wav" else "0 samples"
    error = f"{name} is too short: {samples} at 8000 Hz"
    refused(*words, error=error, hint="a token of the top level takes 16 samples")


def test_a_copy_into_a_read_only_folder_is_an_error(
    locked: tuple[Path, str, str], refused: Refused
) -> None:
    folder, reason, hint = locked
    error = f"can't write {folder}/out: {reason}"
    refused("continue", "run", *SECONDS_OPTION, "--out", folder / "out", error=error, hint=hint)
