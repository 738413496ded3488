"""The file of one item's tokens at one level: safetensors, with a checksum over the whole file."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.config.schema import FORMAT, VQVAEConfig
from jukebox_cli.interfaces.errors import InputError, read_error
from jukebox_cli.storage.checksums import PLACEHOLDER, require_intact, seal
from jukebox_cli.storage.documents import require_format
from jukebox_cli.storage.files import atomic_write
from jukebox_cli.storage.safetensors_files import (
    METADATA,
    TensorEntry,
    header_bytes,
    parse_header,
)

if TYPE_CHECKING:
    import numpy as np

#: Tokens are stored as uint16.
MAX_VOCAB_SIZE = 1 << 16


def write_token_file(
    path: Path,
    level: int,
    tokens: np.ndarray,
    codec: VQVAEConfig,
    vocab_size: int | None = None,
    origin: str | None = None,
) -> None:
    """Replaces a file of tokens (T,) atomically. The same tokens are the same bytes.

    vocab_size: how many tokens there can be, if that is more than the codec has codes.
    origin: hash of what the tokens follow from, as `read_token_file` can require it.
    """
    data = tokens.astype("<u2").tobytes()
    metadata = {
        "checksum": PLACEHOLDER,
        "format": str(FORMAT),
        "level": str(level),
        "hop_length": str(codec.hop_lengths[level]),
        "sample_rate": str(codec.sample_rate),
        "vocab_size": str(vocab_size or codec.codebook_size),
        **({"origin": origin} if origin else {}),
    }
    entry = {"dtype": "U16", "shape": [len(tokens)], "data_offsets": [0, len(data)]}
    content = seal(header_bytes({METADATA: metadata, "tokens": entry}), data)
    with atomic_write(path) as part:
        part.write_bytes(content)


def read_token_file(path: Path, level: int, hint: str, origin: str | None = None) -> np.ndarray:
    """The tokens in a file of a level: int64 (T,).

    Raises InputError, with `hint` on what to do about it, if the file is damaged, its checksum does
    not match, or it is of another level or not of `origin`; FileNotFoundError if there is no file.
    """
    tokens, metadata = _read(path, hint)
    if metadata.get("level") != str(level):
        what = f"{path} has the tokens of level {metadata.get('level')}, not of level {level}"
        raise InputError(what, hint)
    if origin and metadata.get("origin") != origin:
        what = f"{path} was sampled from another request, with other weights or in other slices"
        raise InputError(what, hint)
    return tokens


def read_token_metadata(path: Path, hint: str) -> Mapping[str, str]:
    """The metadata of a file; errors are those of `read_token_file`."""
    return _read(path, hint)[1]


def _read(path: Path, hint: str) -> tuple[np.ndarray, Mapping[str, str]]:
    """The tokens of a file, int64 (T,), and its metadata, both checked."""
    import numpy as np

    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise read_error(path, error) from None
    try:
        header = parse_header(BytesIO(data), len(data))
        _validate_shape(header.tensors)
        require_format(header.metadata.get("format"), path)
        content = data[len(header.text) :]
        require_intact(header.text, header.metadata["checksum"], content)
        tokens = np.frombuffer(content, "<u2")
        _validate_range(tokens, int(header.metadata["vocab_size"]))
    except KeyError as error:
        raise InputError(f"{path} is damaged: its metadata has no {error}", hint) from None
    except ValueError as error:
        raise InputError(f"{path} is damaged: {error}", hint) from None
    return tokens.astype(np.int64), header.metadata


def _validate_shape(tensors: Mapping[str, TensorEntry]) -> None:
    if list(tensors) != ["tokens"]:
        raise ValueError("it holds other things than tokens")
    entry = tensors["tokens"]
    if entry.dtype != "U16" or len(entry.shape) != 1:
        raise ValueError(f"tokens are {len(entry.shape)}-D {entry.dtype}, not 1-D U16")


def _validate_range(tokens: np.ndarray, vocab_size: int) -> None:
    if tokens.size and tokens.max() >= vocab_size:
        raise ValueError(f"token {tokens.max()} is not one of {vocab_size}")
