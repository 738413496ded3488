"""`jukebox train vqvae`."""

from __future__ import annotations

from pathlib import Path

import pytest

from jukebox_cli.storage.model import Model
from support.command_line import Jukebox, Refused, stdout_of
from support.tiny_model import TINY


def test_train_vqvae_of_one_level_touches_no_other(
    jukebox: Jukebox, tone: Path, tmp_path: Path
) -> None:
    (tmp_path / "shape.yaml").write_text(TINY)
    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1, "--steps", 1, "--batch", 1)
    stdout_of(jukebox("train", "vqvae", tone, "--model", tmp_path / "m", "--level", 1, *shape))
    assert [p.name for p in (tmp_path / "m").glob("*.safetensors")] == ["vqvae-1.safetensors"]


TRAIN = ("train", "vqvae", "tone.wav", "--model", "models/new", "--steps", 1, "--batch", 1)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            ("--precision", "fp8"),
            "invalid value for '--precision': 'fp8' is not one of 'auto', 'fp32', 'bf16'",
            "see `jukebox train vqvae --help`",
        ),
        (("--preset", "mini-recpie"), "no preset 'mini-recpie'", "did you mean 'mini-recipe'?"),
        (("--seed", 2**63), f"--seed must be from 0 to 2^63 - 1, not {2**63}", "try 1"),
        (("--device", "mps"), "no device 'mps' on this machine", "use --device auto or cpu"),
    ],
)
def test_training_that_is_refused_creates_no_model(
    words: tuple[object, ...], error: str, hint: str, refused: Refused
) -> None:
    refused(*TRAIN, *words, error=error, hint=hint)
    assert not Path("models/new").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--learning-rate", value) for value in ("inf", "nan", "1e300", "-1")),
        *(("--mel-weight", value) for value in ("inf", "nan")),
        *(("--crop", value) for value in ("inf", "nan", "1e9", "0")),
    ],
)
def test_numbers_out_of_range_are_refused(
    option: str, value: str, place: Path, jukebox: Jukebox
) -> None:
    result = jukebox(*TRAIN, option, value)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {option} must be ")
    assert result.err.endswith("\n\nhint: see `jukebox train vqvae --help`\n")
    assert not Path("models/new").exists()


@pytest.mark.parametrize(
    ("folder", "error", "hint"),
    [
        (
            "mini",
            "mini would hide the built-in model 'mini'",
            "choose another folder: --model models/my-mini",
        ),
        (
            "models/mini",
            "models/mini would hide the built-in model 'mini'",
            "choose another folder: --model models/my-mini",
        ),
        ("tiny", "tiny would hide the model models/tiny", "to train that one: --model models/tiny"),
    ],
)
def test_a_new_model_that_would_hide_another_is_refused(
    folder: str, error: str, hint: str, refused: Refused
) -> None:
    words = ("train", "vqvae", "tone.wav", "--model", folder, "--steps", 1)
    refused(*words, error=error, hint=hint)


def test_the_preset_of_another_codec_is_refused(place: Path, refused: Refused) -> None:
    words = ("train", "vqvae", "tone.wav", "--model", "models/tiny", "--steps", 1)
    refused(
        *(*words, "--preset", "mini-recipe"),
        error="models/tiny is a model with another codec than preset 'mini-recipe'",
        hint="leave out --preset, or choose another folder with --model",
    )


def test_a_finished_model_says_that_there_is_nothing_to_do(place: Path, jukebox: Jukebox) -> None:
    (place / "shape.yaml").write_text(TINY)
    few = ("--crop", 0.1, "--batch", 1, "--level", 1)
    words = ("train", "vqvae", "tone.wav", "--model", "models/new", *few)
    stdout_of(jukebox(*words, "--preset", "shape.yaml", "--steps", 1))
    weights = Model(place / "models/new").weights("vqvae-1").read_bytes()
    for more in ((), ("--preset", "shape.yaml")):
        result = jukebox(*words, "--steps", 1, *more)
        assert result.code == 0
        note = (
            "vqvae-1: nothing to do: it has been trained for 1 step; a larger --steps continues\n"
        )
        assert result.err.startswith(note)
    assert Model(place / "models/new").weights("vqvae-1").read_bytes() == weights


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("seconds: 3\n", "no key 'seconds' in p.yaml:1"),
        ("seconds: 3\nsong: {}\n", "p.yaml is a song, not a training preset"),
    ],
)
def test_a_song_preset_is_refused(text: str, error: str, place: Path, jukebox: Jukebox) -> None:
    (place / "p.yaml").write_text(text)
    result = jukebox(*TRAIN, "--preset", "p.yaml")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"error: {error}\n")
    assert not Path("models/new").exists()


def test_training_needs_songs_that_are_not_held_out(place: Path, refused: Refused) -> None:
    (place / "songs.csv").write_text("audio,held_out\ntone.wav,true\n")
    words = ("train", "vqvae", "songs.csv", *TRAIN[3:])
    hint = "name audio files, folders or a manifest"
    refused(*words, error="no audio to train on", hint=hint)
