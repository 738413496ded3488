"""Token files: written and read; changed bytes are refused."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.storage.token_files import (
    read_token_file,
    read_token_metadata,
    write_token_file,
)
from support.results import refusal

CODEC = VQVAEConfig(8000, ((4,), (2,), (2,)), 64, 8, (8, 8, 8), (2, 2, 2))
TOKENS = np.array([5, 63, 0])
HINT = "what to do"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "item-00.safetensors"
    write_token_file(path, 1, TOKENS, CODEC)
    return path


def metadata(path: Path) -> dict[str, str]:
    with safe_open(str(path), "np") as file:
        return dict(file.metadata())


def test_tokens_are_read_as_they_were_written(path: Path) -> None:
    found = read_token_file(path, 1, HINT)
    assert found.tolist() == [5, 63, 0]
    assert found.dtype == np.int64


def test_a_file_says_what_its_tokens_are(path: Path) -> None:
    found = dict(read_token_metadata(path, HINT))
    assert found == metadata(path)
    assert len(found.pop("checksum")) == 64
    assert found == {
        "format": "2",
        "level": "1",
        "hop_length": "8",
        "sample_rate": "8000",
        "vocab_size": "64",
    }


@pytest.mark.parametrize("count", [0, 1, 3, 1000])
def test_the_same_tokens_are_the_same_bytes_in_the_format_of_the_library(
    count: int, tmp_path: Path
) -> None:
    tokens = np.arange(count) % 64
    paths = [tmp_path / name for name in "abcd"]
    for path in paths:
        write_token_file(path, 1, tokens, CODEC)
    assert len({path.read_bytes() for path in paths}) == 1
    assert load_file(paths[0])["tokens"].tolist() == tokens.tolist()
    assert read_token_file(paths[0], 1, HINT).tolist() == tokens.tolist()
    save_file({"tokens": tokens.astype(np.uint16)}, tmp_path / "library", metadata(paths[0]))
    assert len((tmp_path / "library").read_bytes()) == len(paths[0].read_bytes())


def test_a_larger_vocabulary_can_be_written(path: Path) -> None:
    write_token_file(path, 1, np.array([64]), CODEC, vocab_size=65)
    assert read_token_file(path, 1, HINT).tolist() == [64]


@pytest.mark.parametrize("old", ["1", "8", "8000", "64", "U16", "tokens", "format", "}"])
def test_a_change_of_anything_in_a_file_is_refused(old: str, path: Path) -> None:
    data = path.read_bytes()
    place = data.index(old.encode(), 9)
    for bit in range(8):
        changed = bytearray(data)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        refusal(read_token_file, path, 1, HINT)


def test_the_tokens_of_another_level_are_refused(path: Path) -> None:
    message = f"{path} has the tokens of level 1, not of level 0"
    assert refusal(read_token_file, path, 0, HINT) == (message, HINT)


def test_a_file_that_can_not_be_read_is_not_called_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise OSError(number, "")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    number = errno.EACCES
    hint = "change its permissions, or those of the folders around it"
    message = f"can't read {path}: Permission denied"
    assert refusal(read_token_file, path, 1, HINT) == (message, hint)
    number = errno.EIO
    hint = "the disk may be failing: copy what is on it, and restore that file from a copy"
    message = f"can't read {path}: Input/output error"
    assert refusal(read_token_file, path, 1, HINT) == (message, hint)


def replaced(tokens: np.ndarray, **changes: str) -> Callable[[Path], None]:
    """Damage: other tokens, with the metadata of before but for some changes."""

    def damage(path: Path) -> None:
        save_file({"tokens": tokens}, path, {**metadata(path), **changes})

    return damage


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def without_checksum(path: Path) -> None:
    rest = {key: value for key, value in metadata(path).items() if key != "checksum"}
    save_file({"tokens": TOKENS.astype(np.uint16)}, path, rest)


def other_tensor(path: Path) -> None:
    save_file({"codes": TOKENS.astype(np.uint16)}, path, metadata(path))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (flip_a_bit, "its checksum does not match"),
        (replaced(np.array([5, 62, 0], np.uint16)), "its checksum does not match"),
        (replaced(np.array([5, 63], np.uint16)), "its checksum does not match"),
        (replaced(np.zeros(3, np.float32)), "tokens are 1-D F32, not 1-D U16"),
        (replaced(np.zeros((3, 1), np.uint16)), "tokens are 2-D U16, not 1-D U16"),
        (without_checksum, "its metadata has no 'checksum'"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "it is cut off"),
        (
            lambda path: write_token_file(path, 1, np.array([64]), CODEC),
            "token 64 is not one of 64",
        ),
        (other_tensor, "it holds other things than tokens"),
    ],
)
def test_a_damaged_file_is_refused(
    damage: Callable[[Path], None], problem: str, path: Path
) -> None:
    damage(path)
    assert refusal(read_token_file, path, 1, HINT) == (f"{path} is damaged: {problem}", HINT)


def test_a_file_of_format_1_is_refused(path: Path) -> None:
    replaced(TOKENS.astype(np.uint16), format="1")(path)
    message, hint = refusal(read_token_file, path, 1, HINT)
    assert message == f"{path}: format 1 cannot be read, only format 2"
    assert hint == (
        "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new keys"
    )


def test_a_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_token_file(tmp_path / "x.safetensors", 1, HINT)


def test_a_file_of_another_origin_is_refused(path: Path) -> None:
    write_token_file(path, 1, np.arange(5), CODEC, origin="abc")
    assert read_token_file(path, 1, HINT, "abc").tolist() == [0, 1, 2, 3, 4]
    assert read_token_file(path, 1, HINT).tolist() == [0, 1, 2, 3, 4]
    what = "was sampled from another request, with other weights or in other slices"
    assert refusal(read_token_file, path, 1, HINT, "abd") == (f"{path} {what}", HINT)
    write_token_file(path, 1, np.arange(5), CODEC)
    assert refusal(read_token_file, path, 1, HINT, "abd") == (f"{path} {what}", HINT)
