"""Models, corpora and runs on disk: the only module that knows file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.schema import FORMAT, validate_format
from jukebox_cli.config.yaml_files import dump_yaml, read_yaml, validate_config
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import (
    append_jsonl,
    corruption_errors,
    disk_errors,
    drop_partial_line,
    exclusive_lock,
    last_jsonl_row,
    read_jsonl,
    write_text,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class CorpusConfig:
    """corpus.yaml: which codec made the tokens."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    fingerprint: str = ""
    sample_rate: int = 0
    hop_lengths: tuple[int, ...] = ()
    codebook_size: int = 0

    def __post_init__(self) -> None:
        validate_format(self.format)


@dataclass(frozen=True)
class CorpusSong:
    """A song of a corpus: where its tokens stand, in tokens of the top level."""

    name: str
    start: int
    length: int
    num_samples: int
    song: Mapping[str, Any]
    held_out: bool = False


@dataclass(frozen=True)
class Corpus:
    """corpus/NAME: corpus.yaml, songs.jsonl, level-N.bin (uint16, song after song)."""

    path: Path

    @property
    def exists(self) -> bool:
        return (self.path / "corpus.yaml").is_file()

    @cached_property
    def config(self) -> CorpusConfig:
        path = self.path / "corpus.yaml"
        if not path.is_file():
            raise InputError(f"{self.path} is not a corpus", "make one with `jukebox tokenize`")
        return validate_config(CorpusConfig, read_yaml(path), path)

    def write_config(self, config: CorpusConfig) -> None:
        write_text(self.path / "corpus.yaml", dump_yaml(config))
        self.__dict__["config"] = config

    def songs(self) -> list[CorpusSong]:
        path = self.path / "songs.jsonl"
        with corruption_errors(path):
            return [CorpusSong(**row) for row in read_jsonl(path)] if path.exists() else []

    def tokens(self, number: int) -> np.ndarray:
        """All tokens of a level, memory-mapped: uint16 (T,)."""
        import numpy as np

        path = self.path / f"level-{number}.bin"
        if not path.exists() or path.stat().st_size == 0:
            raise InputError(f"{self.path} holds no songs", "fill it with `jukebox tokenize`")
        tokens = path.stat().st_size // 2
        return np.memmap(path, dtype=np.uint16, mode="r", shape=(tokens,))

    def append(
        self,
        name: str,
        samples: int,
        song: Mapping[str, Any],
        held_out: bool,
        tokens: Sequence[np.ndarray],
    ) -> None:
        """Adds a song; its line in songs.jsonl comes last, and what has no line is overwritten.

        Several processes may add songs to a corpus at once.
        """
        path = self.path / "songs.jsonl"
        with exclusive_lock(self.path):
            drop_partial_line(path)
            with corruption_errors(path):
                last = CorpusSong(**row) if (row := last_jsonl_row(path)) else None
            start = last.start + last.length if last else 0
            for level, codes in enumerate(tokens):
                self._write_level(level, start, codes)
            append_jsonl(
                path, asdict(CorpusSong(name, start, len(tokens[-1]), samples, song, held_out))
            )

    def _write_level(self, level: int, start: int, codes: np.ndarray) -> None:
        """`start` is in tokens of the top level."""
        path = self.path / f"level-{level}.bin"
        with disk_errors(path), path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(start * self.ratio(level) * 2)
            file.write(codes.astype("<u2").tobytes())
            file.truncate()

    def validate(self) -> None:
        """InputError when a level has fewer tokens than songs.jsonl says."""
        end = max((entry.start + entry.length for entry in self.songs()), default=0)
        for number in range(len(self.config.hop_lengths) if end else 0):
            have, want = len(self.tokens(number)), end * self.ratio(number)
            if have < want:
                what = f"{self.path}/level-{number}.bin is damaged: {have} tokens, not {want}"
                raise InputError(what, "tokenize the songs into a new corpus")

    def ratio(self, level: int) -> int:
        """Tokens of `level` per token of the top level."""
        return self.config.hop_lengths[-1] // self.config.hop_lengths[level]
