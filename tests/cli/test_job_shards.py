"""`--shard`: commands that share the work on one run."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from jukebox_cli.sampling import sampler
from jukebox_cli.storage.run import Run
from support.command_line import GENERATE, Jukebox, Refused, start_process, stdout_of, stop_at
from support.results import Result
from support.run_files import all_tokens, contents, write_chord
from support.shards import poll_fast

LONG = ("generate", "--model", "models/tiny", "--seconds", 0.2, "--engine", "torch")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    poll_fast(monkeypatch)


def assert_same_run(made: str, whole: str) -> None:
    """The same tokens and audio."""
    assert all_tokens(Path(made)) == all_tokens(Path(whole))
    for item in Run(Path(whole)).items():
        files = [Run(Path(path)).audio_file(item).read_bytes() for path in (made, whole)]
        assert files[0] == files[1]


def test_shards_of_items_make_the_run_of_one_command(place: Path, jukebox: Jukebox) -> None:
    words = (*GENERATE[:-2], "--items", 3)
    stdout_of(jukebox(*words, "--out", "whole"))
    for shard in ("2/2", "1/2"):
        printed = jukebox(*words, "--out", "made", "--shard", shard, "--until", "top", "--json")
        items = json.loads(stdout_of(printed))["items"]
        assert items == {"1/2": [0, 2], "2/2": [1]}[shard]
    for shard in ("1/2", "2/2"):
        stdout_of(jukebox("upsample", "made", "--shard", shard, "--until", "tokens"))
    for shard, names in (("1/2", ["00", "02"]), ("2/2", ["01"])):
        paths = stdout_of(jukebox("decode", "made", "--shard", shard))
        assert paths.split() == [f"made/audio/item-{name}.wav" for name in names]
    assert_same_run("made", "whole")
    assert not (place / "made/claims").exists()


def test_a_share_without_items_does_nothing(place: Path, jukebox: Jukebox) -> None:
    result = jukebox(*GENERATE, "--shard", "2/2")
    assert (result.code, result.out) == (0, "out\n")
    assert result.err == (
        "shard 2/2 has no items, there are fewer than shards: --parallel divides songs too\n"
    )
    assert not (place / "out").exists()
    assert jukebox("decode", "run", "--shard", "3/3") == Result(0, "", "")


def test_shards_of_a_song_make_the_song_of_one_command(
    place: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout_of(jukebox(*LONG, "--parallel", 3, "--out", "whole"))
    words = (*LONG, "--parallel", 3, "--out", "made", "--shard")
    with monkeypatch.context() as patch:
        stop_at(patch, sampler, "draw_tokens", 100 + 200 + 40)
        assert jukebox(*words, "1/2").code == 130
    assert ", 3 slices" in jukebox("run", "show", "made").out
    assert stdout_of(jukebox("upsample", "made", "--shard", "2/2")) == "made\n"
    assert stdout_of(jukebox(*words, "1/2")) == "made\n"  # there is nothing to do
    assert_same_run("made", "whole")
    assert [path.name for path in (place / "made/claims").iterdir()] in ([], [".lock"])


def test_slurm_says_which_share(
    jukebox: Jukebox, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    for name, value in (("ID", "6"), ("MIN", "5"), ("COUNT", "2")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    printed = stdout_of(jukebox("upsample", "run", "--shard", "auto", "--json"))
    assert json.loads(printed)["items"] == [1]


def test_other_slices_are_refused(jukebox: Jukebox, refused: Refused) -> None:
    assert jukebox(*LONG, "--parallel", 3, "--out", "made", "--until", "top").code == 0
    assert jukebox("upsample", "made", "--parallel", 3, "--shard", "1/2").code == 0
    Path("made/tokens/level-0/item-00.safetensors").unlink()
    refused(
        *("upsample", "made", "--parallel", 2, "--shard", "2/2"),
        error="item 0 of made was begun at level 0 in 3 slices, not in 2 slices",
        hint="leave out --parallel to finish it, or choose another --out",
    )


@pytest.mark.parametrize("command", [GENERATE, ("upsample", "run"), ("decode", "run")])
def test_a_share_that_can_not_be_is_an_error(command: tuple[object, ...], refused: Refused) -> None:
    error = "--shard must be K/N with K from 1 to N, or auto, not '3/2'"
    refused(*command, "--shard", "3/2", error=error, hint="try --shard 1/4")


def test_a_stream_of_a_share_is_refused(refused: Refused) -> None:
    refused(
        *(*GENERATE, "--stream", "wav", "--shard", "1/2"),
        error="--stream plays a song that this command makes alone, not a --shard of it",
        hint="leave out one of them",
    )


@pytest.mark.parametrize("out", [(), ("--out", "run")])
def test_a_run_is_not_extended_in_place_by_shards(
    out: tuple[object, ...], refused: Refused
) -> None:
    refused(
        *("continue", "run", "--shard", "1/2", *out),
        error="continue RUN --shard needs --out: a task that is repeated would extend the run "
        "again",
        hint="name a folder for the longer copy; or extend the run with `continue --until top`, "
        "then use `upsample --shard`",
    )


@pytest.mark.parametrize("parallel", [(), ("--parallel", 3)])
def test_shards_continue_a_run_in_a_copy(
    parallel: tuple[object, ...], place: Path, jukebox: Jukebox
) -> None:
    words = ("continue", "run", "--seconds", 0.2, "--engine", "torch", *parallel, "--out")
    stdout_of(jukebox(*words, "whole"))
    for shard in ("1/2", "2/2", "1/2"):
        stdout_of(jukebox(*words, "made", "--shard", shard))
    assert_same_run("made", "whole")


def test_shards_continue_a_recording(place: Path, jukebox: Jukebox) -> None:
    write_chord(place / "long.wav", 0.3)
    song = ("continue", "--audio", "long.wav", "--model", "models/tiny", "--seconds", 0.2)
    words = (*song, "--engine", "torch", "--parallel", 3, "--out")
    stdout_of(jukebox(*words, "whole"))
    for shard in ("2/2", "1/2"):
        stdout_of(jukebox(*words, "made", "--shard", shard))
    assert_same_run("made", "whole")
    before = contents(place / "made/tokens")
    stdout_of(jukebox(*words, "made", "--shard", "1/2"))
    assert contents(place / "made/tokens") == before


@pytest.mark.slow
def test_processes_that_are_killed_lose_nothing(place: Path, jukebox: Jukebox) -> None:
    words = (*LONG[:3], "--seconds", 4, "--engine", "torch", "--parallel", 6, "--out")
    stdout_of(jukebox(*words, "whole"))
    draw, deaths = random.Random(1), 0
    for _ in range(6):
        processes = [start_process(*words, "made", "--shard", f"{n}/2") for n in (2, 1)]
        for process in processes:
            time.sleep(draw.uniform(1.5, 4))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            deaths += process.returncode == -signal.SIGKILL
    assert deaths > 2
    processes = [start_process(*words, "made", "--shard", f"{n}/2") for n in (1, 2)]
    for process in processes:
        output, errors = process.communicate()
        assert (process.returncode, output) == (0, "made\n"), errors
    assert_same_run("made", "whole")
    assert [path.name for path in (place / "made/claims").iterdir()] in ([], [".lock"])
