"""Weights that are damaged, have no checksum or are not finite are refused before they are used."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jukebox_cli.storage import weight_checks
from jukebox_cli.storage.checksums import CHECKSUM_FILE
from jukebox_cli.storage.documents import RESTORE_HINT
from jukebox_cli.storage.tensors import save_tensors
from jukebox_cli.storage.weight_checks import read_through, record_checksums, verify_weights
from support.results import refusal

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "prior-0.safetensors"
    tensors = {
        "a": torch.randn(400, 1000),
        "half": torch.full((3,), 65504.0, dtype=torch.float16),
        "steps": torch.tensor(2**62),
        "none": torch.zeros(0, 4),
    }
    save_tensors(path, tensors, {"step": "3"})
    return path


def old(path: Path) -> None:
    """Makes a file look as if it was not changed just now."""
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize("position", [0, 7, 9, 40, 120, 200, 500, 10_000, 1_500_000, -1])
def test_a_change_of_any_byte_is_refused(position: int, path: Path) -> None:
    verify_weights(path)
    data = bytearray(path.read_bytes())
    data[position] ^= 16
    path.write_bytes(data)
    message, _ = refusal(verify_weights, path)
    assert message.startswith((f"{path} is damaged: ", f"{path} has no checksum"))


def test_weights_that_changed_are_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    message = f"{path} is damaged: its checksum does not match"
    assert refusal(verify_weights, path) == (message, RESTORE_HINT)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    assert refusal(verify_weights, path) == (f"no file {path}", "is the model complete?")
    path.mkdir()
    message = f"can't read {path}: Is a directory"
    assert refusal(verify_weights, path) == (message, "name a file, not a folder")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_weights_that_are_not_finite_are_refused(
    value: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    path = tmp_path / "prior-1.safetensors"
    tensor = torch.ones(700, 1000, dtype=dtype)
    tensor[-1, -1] = value
    save_tensors(path, {"whole": torch.ones(2), "bad": tensor})
    assert refusal(verify_weights, path) == (
        f"{path}: bad holds numbers that are not finite",
        "its training diverged: restore an earlier copy, or train it again",
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_numbers_are_finite(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "prior-1.safetensors"
    limits = torch.finfo(dtype)
    save_tensors(path, {"a": torch.tensor([limits.max, limits.min, limits.tiny], dtype=dtype)})
    verify_weights(path)


def test_a_file_is_read_through_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def counted(path: Path) -> None:
        reads.append(path)
        read_through(path)

    monkeypatch.setattr(weight_checks, "read_through", counted)
    verify_weights(path)
    verify_weights(path)
    assert len(reads) == 2  # it changed just now: another change might not show
    old(path)
    verify_weights(path)
    verify_weights(path)
    assert len(reads) == 3
    path.write_bytes(path.read_bytes())
    verify_weights(path)
    assert len(reads) == 4


# files of others


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    path = tmp_path / "vqvae-0.safetensors"
    save_file({"a": torch.ones(3)}, path)
    return path


def test_weights_without_a_checksum_are_refused(foreign: Path) -> None:
    assert refusal(verify_weights, foreign) == (
        f"{foreign} has no checksum",
        f"if you trust it, record one: `jukebox model check {foreign.parent} --record`",
    )


def test_checksums_can_be_recorded_beside_weights(foreign: Path, path: Path) -> None:
    assert record_checksums(foreign.parent) == ["vqvae-0.safetensors"]
    verify_weights(foreign)
    checked = subprocess.run(
        ["sha256sum", "-c", CHECKSUM_FILE], cwd=foreign.parent, check=True, capture_output=True
    )
    assert checked.stdout == b"vqvae-0.safetensors: OK\n"
    save_file({"a": torch.zeros(3)}, foreign)
    message = f"{foreign} is damaged: its checksum does not match"
    assert refusal(verify_weights, foreign) == (message, RESTORE_HINT)


def test_nothing_is_recorded_where_all_have_checksums(path: Path) -> None:
    assert record_checksums(path.parent) == []
    assert not (path.parent / CHECKSUM_FILE).exists()


def not_finite(path: Path) -> None:
    save_file({"a": torch.tensor(nan)}, path)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "problem", "hint"),
    [
        (
            not_finite,
            ": a holds numbers that are not finite",
            "such a model can't be sampled: get another copy",
        ),
        (cut_off, " is damaged: it is cut off", RESTORE_HINT),
    ],
)
def test_checksums_of_unusable_weights_are_not_recorded(
    damage: Callable[[Path], None], problem: str, hint: str, foreign: Path
) -> None:
    damage(foreign)
    assert refusal(record_checksums, foreign.parent) == (f"{foreign}{problem}", hint)
    assert not (foreign.parent / CHECKSUM_FILE).exists()
