"""Shared by `train vqvae` and `train prior`: signals, checkpoints, losses that are not finite."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from threading import Event, Thread

import pytest
import torch

from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.command_line import FULL_DISK_HINT, Jukebox, Refused, start_process, stdout_of
from support.disks import Disk
from support.run_files import contents
from support.tiny_model import TINY


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_all_processes_of_a_training_loses_nothing(
    number: signal.Signals, code: int, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    """As a terminal sends them, or `timeout`, or a cluster."""
    few = ("--crop", 0.1, "--batch", 1, "--level", 2, "--preset", "mini-recipe", "--workers", 2)
    words = ["train", "vqvae", tone, "--model", tmp_path / "model", *few, "--steps", 100_000]
    process = start_process(*words)
    model = Model(tmp_path / "model")
    while not model.log.exists():
        assert process.poll() is None
    os.killpg(process.pid, number)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (code, "")
    assert stderr.endswith("\nstopped; run the same command again to resume\n")
    step = [row["step"] for row in read_jsonl(model.log)][-1]
    stdout_of(jukebox(*words[:-1], step + 1))
    assert [row["step"] for row in read_jsonl(model.log) if "loss" in row][-2:] == [step, step + 1]


def test_failed_training_keeps_its_last_checkpoint(place: Path, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--preset", "shape.yaml")
    few = ("--level", 2, "--batch", 1, "--crop", 0.1, "--save-every", 2, "--quiet")
    assert jukebox(*words, *few, "--steps", 2).code == 0
    kept = {n: data for n, data in contents(place / "models/new").items() if n != "log.jsonl"}
    result = jukebox(*words, *few, "--steps", 9, "--learning-rate", 1e6)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "warning: vqvae-2 was trained with --learning-rate 0.001: from here on it is 1000000.0\n"
        "error: the loss of vqvae-2 is not finite at step 4\n\n"
        "hint: train with a lower --learning-rate; the last checkpoint was kept\n"
    )
    after = contents(place / "models/new")
    assert {name: after[name] for name in kept} == kept


def test_a_checkpoint_of_another_shape_is_an_error(
    place: Path, refused: Refused, jukebox: Jukebox
) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--preset", "shape.yaml")
    few = ("--level", 2, "--steps", 1, "--batch", 1, "--crop", 0.1, "--quiet")
    assert jukebox(*words, *few).code == 0
    path = Path("models/new/train/vqvae-2.safetensors")
    tensors = load_tensors(path)
    name = next(name for name in tensors if name.startswith("module/"))
    save_tensors(path, {**tensors, name: torch.zeros(3)}, {"step": "1"})
    refused(
        *(*words, *few),
        error=f"{path} does not fit vqvae-2: wrong shape of {name.removeprefix('module/')}",
        hint=f"remove {path} to start again, or train with the preset it was made with",
    )


def test_a_damaged_checkpoint_is_an_error(place: Path, refused: Refused, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", "--preset", "shape.yaml")
    few = ("--level", 2, "--steps", 1, "--batch", 1, "--crop", 0.1, "--quiet")
    assert jukebox(*words, *few).code == 0
    path = Path("models/new/train/vqvae-2.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    error = f"{path} is damaged: it is cut off"
    refused(*words, *few, error=error, hint="restore it from a copy, or make it again")


def test_a_full_disk_while_writing_a_checkpoint_is_an_error(
    place: Path, disk: Disk, jukebox: Jukebox
) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = ("train", "vqvae", "tone.wav", "--model", disk.path / "model", "--preset", "shape.yaml")
    few = ("--level", 2, "--batch", 1, "--crop", 0.1, "--quiet")
    assert jukebox(*words, *few, "--steps", 1).code == 0
    disk.fill()
    before = contents(disk.path / "model" / "train")
    result = jukebox(*words, *few, "--steps", 2)
    assert (result.code, result.out) == (2, "")
    # said before the first step, or where the disk only pretends to be full, by writing
    assert re.search(r" ([kM]B are free|No space left on device)\n\n", result.err)
    assert result.err.endswith(FULL_DISK_HINT)
    assert contents(disk.path / "model" / "train") == before
    disk.free()
    assert jukebox(*words, *few, "--steps", 2).code == 0


SMALL = ("--preset", "shape.yaml", "--level", 2, "--quiet")
TRAIN = ("train", "vqvae", "tone.wav", "--model", "models/new", *SMALL)


def test_other_settings_than_before_are_a_warning(place: Path, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    assert jukebox(*TRAIN, "--steps", 1, "--batch", 1, "--crop", 0.1).code == 0
    resumed = jukebox(*TRAIN, "--steps", 2, "--batch", 2, "--crop", 0.1, "--seed", 4)
    assert (resumed.code, resumed.err) == (
        0,
        "warning: vqvae-2 was trained with --seed 0: from here on it is 4\n"
        "warning: vqvae-2 was trained with --batch 1: from here on it is 2\n",
    )
    done = jukebox(*TRAIN, "--steps", 2, "--batch", 2, "--crop", 0.2, "--seed", 4)
    warning = "warning: vqvae-2 was trained with --crop 0.1: 0.2 changes nothing\n"
    assert (done.code, done.err) == (0, warning)


def test_a_part_is_trained_by_one_process_at_a_time(place: Path, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    words = (*TRAIN, "--steps", 1, "--batch", 1, "--crop", 0.1)
    is_locked, is_done = Event(), Event()

    def work() -> None:
        with Model(place / "models/new").training_claims() as claims:
            assert claims.take(".vqvae-2")
            is_locked.set()
            is_done.wait()

    other = Thread(target=work)
    other.start()
    is_locked.wait()
    refused = jukebox(*words)
    is_done.set()
    other.join()
    assert refused.code == 2
    error, _, hint = refused.err.splitlines()
    begin = f"error: vqvae-2 of models/new is being trained by process {os.getpid()} on "
    assert error.startswith(begin)
    assert hint == "hint: wait until it has ended, or train another level"
    assert jukebox(*words).code == 0
