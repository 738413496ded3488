"""Requests for a report: errors come before any file changes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.report_pages import truncate, write_alignment
from support.results import Result
from support.run_files import contents, without_checksum

Jukebox = Callable[..., Result]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("nosuch", "nosuch does not exist", "make one with `jukebox generate --out`"),
        (".", ". is not a run: it has no run.yaml", "make one with `jukebox generate --out`"),
        ("song --only 5", "song has no item 5", "it has 0, 1"),
        ("song --only x", "can't read --only 'x'", "write a list such as 2, 0,2 or 4-7"),
        ("song --levels 3", "there is no level 3", "the top level is 2"),
        ("song --levels x", "can't read --levels 'x'", "write a list such as 2, 0,2 or 4-7"),
        ("song --out folder", "folder is a folder", "name a file: --out report.html"),
        (
            "song --out song/run.yaml",
            "song/run.yaml exists already and is not a report",
            "choose another --out",
        ),
        (
            "song --out song/run.yaml/x.html --levels 0",
            "can't write song/run.yaml/x.html: song/run.yaml is a file",
            "choose another --out",
        ),
        (
            "song --model mini",
            "song is a run of another model than 'mini'; level 1 of item 0 has no audio yet",
            "name the folder of the model it was made with: --model, or show only what has audio: "
            "--levels 0, or --only",
        ),
    ],
)
def test_invalid_options_are_errors(
    run: Path, jukebox: Jukebox, words: str, error: str, hint: str
) -> None:
    Path("folder").mkdir()
    before = contents(Path())
    result = jukebox("report", *words.split())
    printed = result.err.removeprefix("report: 8,000 samples\n")
    assert (result.code, result.out, printed) == (2, "", f"error: {error}\n\nhint: {hint}\n")
    assert contents(Path()) == before


def test_a_run_without_complete_levels_is_an_error(
    run: Path, tiny: Model, jukebox: Jukebox
) -> None:
    for item in (0, 1):
        truncate(run, tiny, 0, item, 10)
        truncate(run, tiny, 1, item, 10)
    error = "error: there is nothing to hear in song at level 0 or 1 yet"
    result = jukebox("report", "song", "--levels", "0-1")
    assert result == Result(2, "", f"{error}\n\nhint: there is at --levels 2\n")
    for item in (0, 1):
        truncate(run, tiny, 2, item, 0)
    error = "error: there is nothing to hear in song yet"
    result = jukebox("report", "song")
    assert result == Result(2, "", f"{error}\n\nhint: continue it: `jukebox upsample song`\n")


def without_model(run: Path) -> None:
    config = without_checksum((run / "run.yaml").read_text())
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: nosuch", config, flags=re.M))


def test_a_model_that_is_missing_is_an_error(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    without_model(run)
    result = jukebox("report", "song")
    assert result == Result(
        2,
        "",
        "error: the model of song is missing: 'nosuch'; level 1 of item 0 has no audio yet\n\n"
        "hint: say where it is now: --model FOLDER, "
        "or show only what has audio: --levels 0, or --only\n",
    )
    assert jukebox("report", "song", "--levels", 0).code == 0
    assert jukebox("report", "song", "--model", tiny.path).code == 0


def test_a_model_without_its_codec_is_an_error(
    run: Path, here: Path, tiny: Model, jukebox: Jukebox
) -> None:
    model = Model(Path(shutil.copytree(tiny.path, here / "copy")))
    model.weights("vqvae-2").write_bytes(b"")
    result = jukebox("report", "song", "--model", "copy")
    assert result.code == 2
    assert "error: song is a run of another model than 'copy'; level 1" in result.err


def test_a_missing_device_is_an_error(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", "song", "--device", "mps")
    assert result == Result(
        2, "", "error: no device 'mps' on this machine\n\nhint: use --device auto or cpu\n"
    )


def test_damaged_tokens_are_an_error(run: Path, jukebox: Jukebox) -> None:
    path = Run(run).token_file(1, 1)
    path.write_bytes(b"nothing")
    code, _, err = (result := jukebox("report", "song")).code, result.out, result.err
    assert code == 2
    assert err.startswith("error: song/tokens/level-1/item-01.safetensors is damaged: ")


def test_a_damaged_alignment_is_an_error(run: Path, jukebox: Jukebox) -> None:
    path = write_alignment(run, 0, {})
    result = jukebox("report", run)
    hint = "restore it from a copy, or make it again"
    error = f"error: {path} is damaged: KeyError: 'text'"
    assert result == Result(2, "", f"{error}\n\nhint: {hint}\n")
    assert not (run / "report.html").exists()
