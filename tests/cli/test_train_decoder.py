"""`jukebox train vqvae --adversarial`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors
from support.command_line import Jukebox, Refused, stdout_of

FEW = ("--crop", 0.1, "--batch", 1, "--precision", "fp32", "--adversarial-start", 1)
TRAIN = ("train", "vqvae", "songs.csv", "--model", "models/tiny", "--level", 0, *FEW)
SONGS = "audio,held_out\ntone.wav,\nother.wav,true\n"
TINY = Path("models/tiny")


@pytest.fixture
def songs(place: Path) -> None:
    (place / "songs.csv").write_text(SONGS)
    (place / "other.wav").write_bytes((place / "tone.wav").read_bytes())


def weights(level: int = 0) -> Mapping[str, torch.Tensor]:
    stored = load_tensors(Model(TINY).weights(f"vqvae-{level}"))
    return {name: tensor.clone() for name, tensor in stored.items()}


def logged() -> list[dict[str, object]]:
    return [r for r in read_jsonl(Model(TINY).log) if r["component"] == "decoder-0"]


@pytest.mark.usefixtures("songs")
def test_a_decoder_is_trained_and_measured_before_and_after(jukebox: Jukebox) -> None:
    before, fingerprint = weights(), Model(TINY).fingerprint()
    result = jukebox(*TRAIN, "--adversarial", "--steps", 2)
    assert (result.code, result.out) == (0, "models/tiny/vqvae-0.safetensors\n")
    first, *_, last = result.err.splitlines()
    assert first.startswith("decoder-0: held out, before training: spectral_convergence_db ")
    assert last.startswith("decoder-0: held out: spectral_convergence_db ")
    after = weights()
    changed = {name for name in after if not torch.equal(after[name], before[name].to(after[name]))}
    assert {name.split(".")[0] for name in changed} == {"decoder"}
    assert Model(TINY).fingerprint() == fingerprint
    assert [row["step"] for row in logged() if "held_out" in row] == [0, 2]


@pytest.mark.usefixtures("songs")
def test_the_same_command_continues(jukebox: Jukebox) -> None:
    size = ("--adversarial", "--decoder-width", 20, "--decoder-depth", 3)
    result = jukebox(*TRAIN, *size, "--steps", 1)
    grows = "decoder-0: the decoder grows from width 8 and depth 2 to width 20 and depth 3; "
    assert result.err.startswith(f"{grows}it computes the same at first\n")
    assert Model(TINY).config.vqvae.decoder_sizes[0] == (20, 3)
    for more in (size, ("--adversarial",)):
        result = jukebox(*TRAIN, *more, "--steps", 1)
        assert "decoder-0: nothing to do: it has been trained for 1 step" in result.err
        assert "grows" not in result.err
    stdout_of(jukebox(*TRAIN, "--adversarial", "--steps", 2))
    assert [row["step"] for row in logged() if "loss" in row] == [1, 2]
    stdout_of(
        jukebox("train", "vqvae", "tone.wav", "--model", TINY, "--level", 1, *FEW[:4], "--steps", 1)
    )


@pytest.mark.usefixtures("songs")
def test_a_new_decoder_takes_the_place_of_a_larger_one(jukebox: Jukebox) -> None:
    stdout_of(jukebox(*TRAIN, "--adversarial", "--steps", 2))
    new = ("--adversarial", "--new-decoder", "--decoder-width", 6, "--steps", 1)
    result = jukebox(*TRAIN, *new)
    text = "a new decoder of width 6 and depth 2 takes the place of one of width 8 and depth 2"
    assert result.err.startswith(f"decoder-0: {text}\n")
    assert Model(TINY).config.vqvae.decoder_sizes[0] == (6, 2)
    assert [row["step"] for row in logged() if "loss" in row] == [1]
    assert "nothing to do" in jukebox(*TRAIN, *new).err


def test_a_decoder_is_not_lost_without_the_flag(refused: Refused) -> None:
    refused(
        *("train", "vqvae", "tone.wav", "--model", TINY, "--level", 1, "--adversarial"),
        *("--decoder-depth", 1),
        error="level 1 of models/tiny has a trained decoder of width 8 and depth 2",
        hint="--new-decoder trains one of width 8 and depth 1 from random weights in its place",
    )


@pytest.mark.usefixtures("songs")
def test_training_the_whole_level_does_not_undo_its_decoder(
    jukebox: Jukebox, refused: Refused
) -> None:
    stdout_of(jukebox(*TRAIN, "--adversarial", "--steps", 1))
    refused(
        *("train", "vqvae", "tone.wav", "--model", TINY, "--steps", 1),
        error="the decoder of level 0 of models/tiny was trained with --adversarial",
        hint="add --adversarial to train it on",
    )


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ("--model", "models/new", "--adversarial"),
            "model 'new' has no vqvae for level 0",
            "train one with `jukebox train vqvae --level 0`",
        ),
        (
            ("--model", TINY, "--adversarial", "--level", 3),
            "there is no level 3",
            "the top level is 2",
        ),
        (
            ("--model", TINY, "--decoder-width", 96),
            "--decoder-width goes with --adversarial",
            "see --help",
        ),
        (("--model", TINY, "--new-decoder"), "--new-decoder goes with --adversarial", "see --help"),
    ],
)
def test_refusals(words: tuple[object, ...], error: str, hint: str, refused: Refused) -> None:
    refused("train", "vqvae", "tone.wav", *words, "--steps", 1, error=error, hint=hint)
