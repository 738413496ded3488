"""Shared by the commands that sample: results, signals, models and tokens that are damaged."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.command_line import (
    DELETE_HINT,
    GENERATE,
    SECONDS,
    SECONDS_OPTION,
    Jukebox,
    Refused,
    corrupt,
    run_process,
    start_process,
    stdout_of,
    truncate,
    with_tokens,
)
from support.run_files import all_tokens, edit, tokens


def test_json_describes_the_files_on_disk(
    run: Path, generate: Callable[..., str], jukebox: Jukebox
) -> None:
    sound = str(run / "audio/item-00.wav")
    whole = {"run": str(run), "items": [0], "seed": 0, "audio": [sound]}
    assert json.loads(generate("--out", run, "--json")) == whole
    assert json.loads(stdout_of(jukebox("upsample", run, "--json"))) == whole
    part = json.loads(stdout_of(jukebox("upsample", run, "--until", "top", "--json")))
    assert part == {**whole, "audio": []}
    decoded = json.loads(stdout_of(jukebox("decode", run, "--json")))
    assert decoded == {"run": str(run), "audio": [sound]}
    longer = stdout_of(jukebox("continue", run, "--seconds", SECONDS, "--seed", 3, "--json"))
    assert json.loads(longer) == {**whole, "seed": 3}
    assert Path(sound).is_file()


LONG = ("--seconds", 0.6, "--items", 2, "--seed", 5, "--until", "tokens")


@pytest.fixture(scope="module")
def uninterrupted(
    tiny: Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], list[int]]:
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = run_process("generate", "--model", tiny.path, "--out", out, *LONG)
    assert (result.returncode, result.stdout) == (0, f"{out}\n"), result.stderr
    assert result.stderr == ("level 2: 600 tokens\nlevel 1: 1,200 tokens\nlevel 0: 2,400 tokens\n")
    return all_tokens(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
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
    process = start_process(*words)
    while not tokens(out, 2, 1):
        assert process.poll() is None
    process.send_signal(number)
    stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (code, "")
    if number != signal.SIGKILL:
        assert stderr.endswith("\nstopped; run the same command again to resume\n")
    left = all_tokens(out)
    assert sum(map(len, left.values())) < sum(map(len, uninterrupted.values()))
    assert all(uninterrupted[key][: len(part)] == part for key, part in left.items())
    stdout_of(jukebox(*words))
    assert all_tokens(out) == uninterrupted


@pytest.mark.parametrize("command", ["generate", "continue", "upsample", "decode"])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (truncate, "it is cut off"),
        (corrupt, "it is cut off"),
        (lambda path: path.write_bytes(b""), "it is cut off"),
        (with_tokens(np.zeros(100, np.float32)), "tokens are 1-D F32, not 1-D U16"),
        (with_tokens(np.zeros((10, 10), np.uint16)), "tokens are 2-D U16, not 1-D U16"),
        (with_tokens(np.full(100, 64, np.uint16)), "its checksum does not match"),
    ],
)
def test_a_damaged_token_file_is_an_error(
    command: str, damage: Callable[[Path], None], reason: str, refused: Refused, place: Path
) -> None:
    path = Path("run/tokens/level-0/item-01.safetensors")
    damage(path)
    words = {
        "generate": (*GENERATE[:-1], "run", "--items", 2),
        "continue": ("continue", "run", *SECONDS_OPTION),
        "upsample": ("upsample", "run"),
        "decode": ("decode", "run", "--format", "flac"),
    }[command]
    refused(*words, error=f"{path} is damaged: {reason}", hint=DELETE_HINT)


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        (
            "prior-0.safetensors",
            "model 'tiny' has no prior for level 0",
            "train one with `jukebox train prior --level 0`",
        ),
        (
            "vqvae-1.safetensors",
            "model 'tiny' has no vqvae for level 1",
            "train one with `jukebox train vqvae --level 1`",
        ),
    ],
)
def test_an_incomplete_model_is_an_error(
    name: str, error: str, hint: str, place: Path, refused: Refused
) -> None:
    (place / "models/tiny" / name).unlink()
    refused(*GENERATE, error=error, hint=hint)


def test_the_existing_parts_of_a_model_can_be_used(place: Path, jukebox: Jukebox) -> None:
    for name in ("prior-0", "prior-1", "vqvae-0"):
        (place / f"models/tiny/{name}.safetensors").unlink()
    assert jukebox(*GENERATE, "--until", "top").code == 0


@pytest.mark.parametrize("part", ["prior-0", "prior-2", "vqvae-0"])
def test_damaged_weights_are_an_error(part: str, place: Path, refused: Refused) -> None:
    path = Path(f"models/tiny/{part}.safetensors")
    hint = "restore it from a copy, or make it again"
    for damage in (truncate, corrupt):
        damage(path)
        refused(*GENERATE, error=f"{path} is damaged: it is cut off", hint=hint)


@pytest.mark.parametrize("part", ["prior-0", "prior-2", "vqvae-0"])
def test_changed_weights_are_an_error(part: str, place: Path, refused: Refused) -> None:
    path = Path(f"models/tiny/{part}.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    error = f"{path} is damaged: its checksum does not match"
    refused(*GENERATE, error=error, hint="restore it from a copy, or make it again")


def test_weights_that_are_not_finite_are_an_error(place: Path, refused: Refused) -> None:
    path = Path("models/tiny/prior-1.safetensors")
    weights = load_tensors(path)
    weights["position_embedding"][3, 2] = torch.nan
    save_tensors(path, weights)
    refused(
        *GENERATE,
        error=f"{path}: position_embedding holds numbers that are not finite",
        hint="its training diverged: restore an earlier copy, or train it again",
    )


def test_weights_of_another_shape_are_an_error(
    place: Path, jukebox: Jukebox, registry: Registry
) -> None:
    edit(place / "models/tiny/config.yaml", "width: 32", "width: 48")
    result = jukebox(*GENERATE)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(
        "error: the weights of model 'tiny' do not fit: size mismatch for "
    )
    assert result.err.endswith("\n\nhint: its config.yaml and its weights are not of one model\n")


@pytest.mark.parametrize(
    ("fields", "error", "hint"),
    [
        (
            {"genre": {"name": ["x"]}},
            "no setting 'name' of conditioner 'genre'",
            "did you mean 'names'?",
        ),
        (
            {"genre": {"names": [1]}},
            "conditioner 'genre': names.0: must be a text (got 1)",
            "correct that value",
        ),
        (
            {"gerne": {}},
            "model 'tiny' needs the conditioner 'gerne'",
            "install the plugin that provides it",
        ),
    ],
)
def test_conditioners_with_fields_of_another_shape_are_an_error(
    fields: dict[str, Any], error: str, hint: str, place: Path, refused: Refused
) -> None:
    Model(place / "models/tiny").write_fitted_conditioners(2, fields)
    refused(*GENERATE, error=error, hint=hint)
    refused("model", "show", "tiny", error=error, hint=hint)
