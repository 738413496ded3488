"""The files of the slices of one item at one level, from when they are begun until the level's
token file holds their tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.storage.token_files import read_token_file, write_token_file

if TYPE_CHECKING:
    import numpy as np

#: What to do about a file that is damaged: its tokens can be sampled again.
_HINT = "restore it from a copy; or delete that file and run the same command again"


def slice_files_pattern(item: int) -> str:
    """The file names of an item's slices and seams, as a pattern for `glob`."""
    return f"item-{item:02}-segment-*.safetensors"


@dataclass(frozen=True)
class SliceFiles:
    """item-00-segment-0-slice-01.safetensors, with the tokens of a slice from its first one on, and
    item-00-segment-0-seam-01.safetensors, with those of the seam before it and their prompt.

    Names have the segment's number: files that an interrupted command left behind are never taken
    for those of a later segment.
    """

    folder: Path
    level: int
    item: int
    segment: int
    #: hash of what the tokens follow from, written into the files; those of another are refused
    origin: str | None = None

    def path(self, kind: str, number: int) -> Path:
        """The file of a slice (`slice`) or seam (`seam`)."""
        return self.folder / f"{self._stem}-{kind}-{number:02}.safetensors"

    def exist(self) -> bool:
        """Whether any slice is begun."""
        return any(self._paths())

    def read(self, kind: str, number: int) -> np.ndarray | None:
        """The tokens that are sampled so far, int64 (T,); None if there is no file.

        Raises InputError if the file is damaged or of another origin.
        """
        try:
            return read_token_file(self.path(kind, number), self.level, _HINT, self.origin)
        except FileNotFoundError:
            return None

    def num_tokens(self, kind: str, number: int) -> int:
        """How many tokens a file has; 0 if there is none."""
        tokens = self.read(kind, number)
        return 0 if tokens is None else len(tokens)

    def write(
        self,
        kind: str,
        number: int,
        codec: VQVAEConfig,
        tokens: np.ndarray,
        vocab_size: int | None = None,
    ) -> None:
        """Replaces the tokens (T,) of a slice or seam; `vocab_size` as for `write_token_file`."""
        path = self.path(kind, number)
        write_token_file(path, self.level, tokens, codec, vocab_size, self.origin)

    def delete(self) -> None:
        """Deletes all files."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    @property
    def _stem(self) -> str:
        return f"item-{self.item:02}-segment-{self.segment}"

    def _paths(self) -> Iterator[Path]:
        names = re.compile(rf"{self._stem}-(slice|seam)-\d+\.safetensors")  # no copies of them
        return (p for p in self.folder.glob(f"{self._stem}-s*") if names.fullmatch(p.name))
