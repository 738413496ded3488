"""Tensors in files for plugins, read and written one at a time. Imports torch."""

from __future__ import annotations

from jukebox_cli.storage.tensors import (
    WEIGHT_DTYPES,
    FileStorage,
    StoredTensor,
    index_tensors,
    stream_tensors,
)

__all__ = ["WEIGHT_DTYPES", "FileStorage", "StoredTensor", "index_tensors", "stream_tensors"]
