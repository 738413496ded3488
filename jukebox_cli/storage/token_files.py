"""The file of one item's tokens at one level: safetensors, with a checksum over the tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.config.schema import FORMAT, VQVAEConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import atomic_write, require_format, safetensors_header

if TYPE_CHECKING:
    import numpy as np

#: Tokens are stored as uint16.
MAX_VOCAB_SIZE = 1 << 16


def checksum(tokens: np.ndarray) -> str:
    """A hash of tokens (T,), the same on every machine."""
    return hashlib.blake2b(tokens.astype("<u2").tobytes(), digest_size=16).hexdigest()


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
        "format": str(FORMAT),
        "level": str(level),
        "hop_length": str(codec.hop_lengths[level]),
        "sample_rate": str(codec.sample_rate),
        "vocab_size": str(vocab_size or codec.codebook_size),
        "checksum": checksum(tokens),
        **({"origin": origin} if origin else {}),
    }
    entry = {"dtype": "U16", "shape": [len(tokens)], "data_offsets": [0, len(data)]}
    header = safetensors_header({"__metadata__": metadata, "tokens": entry})
    with atomic_write(path) as part:
        part.write_bytes(header + data)


def read_token_file(path: Path, hint: str, origin: str | None = None) -> np.ndarray:
    """The tokens in a file: int64 (T,).

    Raises InputError, with `hint` on what to do about it, if the file is damaged, its checksum does
    not match, or it is not of `origin`; FileNotFoundError if there is no file.
    """
    import numpy as np
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "np") as file:
            metadata = file.metadata() or {}
            tokens = file.get_tensor("tokens")
        _validate_tokens(tokens)
        require_format(metadata.get("format"), path)
        _validate_content(tokens, metadata)
    except FileNotFoundError:
        raise
    except KeyError as error:
        raise InputError(f"{path} is damaged: its metadata has no {error}", hint) from None
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(f"{path} is damaged: {error}", hint) from None
    if origin and metadata.get("origin") != origin:
        what = f"{path} was sampled from another request, with other weights or in other slices"
        raise InputError(what, hint)
    return np.asarray(tokens, np.int64)


def _validate_tokens(tokens: np.ndarray) -> None:
    if tokens.dtype != "uint16" or tokens.ndim != 1:
        raise ValueError(f"tokens are {tokens.ndim}-D {tokens.dtype}, not 1-D uint16")


def _validate_content(tokens: np.ndarray, metadata: dict[str, str]) -> None:
    vocab_size = int(metadata["vocab_size"])
    if tokens.size and tokens.max() >= vocab_size:
        raise ValueError(f"token {tokens.max()} is not one of {vocab_size}")
    if metadata["checksum"] != checksum(tokens):
        raise ValueError("its checksum does not match")
