"""Checkpoints are read without running code in them."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jukebox_plugins.openai.pickle_reader import read_pickle

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from support import originals
from support.imported import import_checkpoints
from support.originals import weights
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


class Payload:
    """A pickle that runs a command when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(zipped: bool, checkpoints: Path, refused: Refused) -> None:
    path = checkpoints / "prior_level_0.pth.tar"
    data = torch.load(path, weights_only=True)
    torch.save({**data, "extra": Payload()}, path, _use_new_zipfile_serialization=zipped)
    refused(
        error=f"{path.relative_to(Path.cwd())} holds more than tensors and plain values: "
        "posix.system",
        hint="it could run code, so it is not read; get the weights alone",
    )
    assert not Path("harmed").exists()


def opcodes(*parts: bytes) -> bytes:
    return b"".join([b"\x80\x02", *parts, b"."])


ORDERED = b"ccollections\nOrderedDict\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (opcodes(b"cbuiltins\neval\n"), "builtins.eval"),
        (opcodes(b"cbuiltins\ngetattr\n"), "builtins.getattr"),
        (opcodes(b"ctorch\nload\n"), "torch.load"),
        (
            opcodes(b"cjukebox_plugins.openai.pickle_reader\n_PickledTensor\n"),
            "pickle_reader._PickledTensor",
        ),
        (opcodes(REBUILD, b"}b"), "a state for a function"),
        (opcodes(REBUILD, b"N}\x86b"), "a state for a function"),
        (opcodes(b"(X\x03\x00\x00\x00abcNNNNtQ"), "a abc"),
    ],
)
def test_nothing_but_tensors_and_plain_values_can_be_named(
    text: bytes, what: str, here: Path
) -> None:
    path = here / "bad.pth.tar"
    path.write_bytes(zip_of(text))
    with pytest.raises(InputError, match="holds more than tensors and plain values") as caught:
        read_pickle(path)
    assert caught.value.message.endswith(what)


def zip_of(text: bytes, **more: bytes) -> bytes:
    """A file like torch.save's with that pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", text)
        for name, data in more.items():
            archive.writestr(f"archive/data/{name.removeprefix('_')}", data)
    return buffer.getvalue()


def saved() -> bytes:
    """A file with a tensor of four numbers in it."""
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(4)}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("old", "new", "size", "reason"),
    [
        (b"K\x04\x85", b"K\x09\x85", 16, "a tensor is larger than its storage"),
        (b"K\x04\x85", b"K\x04\x85", 12, "storage 0 has 12 bytes"),
        (b"K\x00K\x04\x85", b"J\xff\xff\xff\xffK\x04\x85", 16, "a tensor has impossible sizes"),
    ],
)
def test_a_tensor_outside_its_storage_is_an_error(
    old: bytes, new: bytes, size: int, reason: str, here: Path
) -> None:
    with zipfile.ZipFile(io.BytesIO(saved())) as archive:
        text = archive.read("archive/data.pkl")
    assert old in text
    (here / "bad.pth.tar").write_bytes(zip_of(text.replace(old, new), _0=bytes(size)))
    with pytest.raises(InputError, match=rf"bad\.pth\.tar is damaged: {reason}"):
        read_pickle(here / "bad.pth.tar")


def test_a_wrong_checksum_is_an_error(here: Path) -> None:
    (here / "bad.pth.tar").write_bytes(saved().replace(b"K\x04\x85", b"K\x09\x85"))
    with pytest.raises(InputError, match="is damaged: a checksum is wrong"):
        read_pickle(here / "bad.pth.tar")


def test_a_pickle_that_would_fill_memory_is_not_unpacked(here: Path) -> None:
    bomb = here / "bad.pth.tar"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as file,
    ):
        for _ in range(101):
            file.write(bytes(1_000_000))
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(InputError, match="its pickle has more than 100,000,000 bytes"):
        read_pickle(bomb)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_numbers_objects_without_bound_is_not_read(zipped: bool, here: Path) -> None:
    text = b"\x80\x02}r\xff\xff\xff\x7f."  # LONG_BINPUT 2147483647
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    (here / "bad.pth.tar").write_bytes(zip_of(text) if zipped else magic + text)
    with pytest.raises(InputError, match="its pickle has more than 1,000,000 objects"):
        read_pickle(here / "bad.pth.tar")


def test_a_storage_beyond_the_end_of_the_file_is_an_error(here: Path) -> None:
    data = bytearray(saved())
    local = data.index(b"archive/data/0")  # in the header before the storage
    data[local - 2 : local] = (60_000).to_bytes(2, "little")  # the length of its padding
    (here / "bad.pth.tar").write_bytes(data)
    with pytest.raises(InputError, match="is damaged: its end is missing"):
        read_pickle(here / "bad.pth.tar")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_an_error(
    zipped: bool, share: float, here: Path, jukebox: Jukebox
) -> None:
    checkpoints = originals.write(here / "checkpoints", zipped=zipped)
    path = checkpoints / "prior_level_2.pth.tar"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    result = jukebox("model", "import", "checkpoints", "--name", "mine", "-q")
    assert result.code == 2
    assert result.err.startswith(f"error: {Path('checkpoints', path.name)} is ")
    assert not Path("models").exists()


def test_a_web_page_is_not_a_checkpoint(checkpoints: Path, refused: Refused) -> None:
    (checkpoints / "vqvae.pth.tar").write_text("<html>404</html>")
    hint = "download it again: it may be a web page with an error message"
    refused(error="checkpoints/vqvae.pth.tar is not a checkpoint", hint=hint)


def test_a_file_without_permission_is_an_error(
    checkpoints: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*words: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("jukebox_plugins.openai.pickle_reader._is_zip", denied)
    error = "can't read checkpoints/vqvae.pth.tar: Permission denied"
    refused(error=error, hint="change its permissions")


def test_files_from_before_pytorch_1_6_are_read(here: Path, registry: Registry) -> None:
    new = import_checkpoints(originals.write(here / "new"), registry, "a")
    old = import_checkpoints(originals.write(here / "old", zipped=False), registry, "b")
    assert weights(new) == weights(old)
