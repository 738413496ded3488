"""Corpora on disk: songs as tokens, for training priors."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.bounds import (
    MAX_HOP_LENGTH,
    MAX_LEVELS,
    MAX_SAMPLE_RATE,
    require_between,
)
from jukebox_cli.config.schema import FORMAT, validate_format
from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.storage.corpus_songs import CorpusSong, read_songs, song_line, song_of_line
from jukebox_cli.storage.documents import (
    config_text,
    corruption_errors,
    last_jsonl_line,
    load_own_config,
)
from jukebox_cli.storage.files import disk_errors, write_text
from jukebox_cli.storage.jsonl import append_line, drop_partial_line
from jukebox_cli.storage.locks import exclusive_lock
from jukebox_cli.storage.verified import is_settled, is_verified, remember_verified

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    from jukebox_cli.storage.model import Model


@dataclass(frozen=True)
class CorpusConfig:
    """corpus.yaml: the codec that made the tokens."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    fingerprint: str = ""  # hash of the codec
    sample_rate: int = 0  # Hz
    hop_lengths: tuple[int, ...] = ()  # audio samples per token, level 0 first
    codebook_size: int = 0  # codes per level

    def __post_init__(self) -> None:
        validate_format(self.format)
        require_between("levels of hop_lengths", len(self.hop_lengths), 0, MAX_LEVELS)
        for hop_length in self.hop_lengths:
            require_between("hop_lengths", hop_length, 1, MAX_HOP_LENGTH)
        if any(a % b for a, b in zip(self.hop_lengths[1:], self.hop_lengths, strict=False)):
            raise ValueError("each of hop_lengths must be a multiple of the one before")
        require_between("codebook_size", self.codebook_size, 0, 65536)
        require_between("sample_rate", self.sample_rate, 0, MAX_SAMPLE_RATE)

    @classmethod
    def of_model(cls, model: Model) -> Self:
        """That of a corpus whose tokens a model's codec makes."""
        codec = model.config.vqvae
        return cls(
            fingerprint=model.fingerprint(),
            sample_rate=codec.sample_rate,
            hop_lengths=codec.hop_lengths,
            codebook_size=codec.codebook_size,
        )


@dataclass
class _SongNames:
    """The names in songs.jsonl. Lines that were read before are not read again, unless the file was
    replaced."""

    names: set[str] = field(default_factory=set)
    inode: int = 0
    size: int = 0  # bytes that were read

    def read(self, path: Path) -> set[str]:
        """The names in a file whose last line is complete."""
        if not path.exists():
            return set()
        status = path.stat()
        if status.st_ino != self.inode or status.st_size < self.size:
            self.names, self.inode, self.size = set(), status.st_ino, 0
        with path.open("rb") as file, corruption_errors(path):
            file.seek(self.size)
            self.names |= {song_of_line(line.decode(), path).name for line in file}
            self.size = file.tell()
        return self.names


@dataclass(frozen=True)
class Corpus:
    """corpus/NAME: corpus.yaml, songs.jsonl, level-N.bin (uint16, song after song)."""

    path: Path
    _names: _SongNames = field(default_factory=_SongNames, compare=False, repr=False)

    @property
    def exists(self) -> bool:
        return (self.path / "corpus.yaml").is_file()

    @cached_property
    def config(self) -> CorpusConfig:
        path = self.path / "corpus.yaml"
        if not path.is_file():
            raise InputError(f"{self.path} is not a corpus", "make one with `jukebox tokenize`")
        keys = [f.name for f in fields(CorpusConfig) if f.name != "format"]
        return load_own_config(CorpusConfig, path, keys)

    @property
    def token_grid(self) -> TokenGrid:
        return TokenGrid(self.config.hop_lengths)

    def write_config(self, config: CorpusConfig) -> None:
        write_text(self.path / "corpus.yaml", config_text(config))
        self.__dict__["config"] = config

    def create_config(self, config: CorpusConfig) -> None:
        """Writes corpus.yaml unless there is one."""
        with exclusive_lock(self.path):
            if not self.exists:
                self.write_config(config)

    def songs(self) -> list[CorpusSong]:
        """All songs in the order they were added. Raises InputError for damaged lines."""
        path = self.path / "songs.jsonl"
        return read_songs(path) if path.exists() else []

    def tokens(self, level: int) -> np.ndarray:
        """All tokens of a level, memory-mapped: uint16 (T,). Raises InputError without any."""
        import numpy as np

        path = self.path / f"level-{level}.bin"
        if not path.exists() or path.stat().st_size == 0:
            raise InputError(f"{self.path} holds no songs", "fill it with `jukebox tokenize`")
        return np.memmap(path, dtype=np.uint16, mode="r", shape=(path.stat().st_size // 2,))

    def append(
        self,
        name: str,
        samples: int,
        song: Mapping[str, Any],
        held_out: bool,
        tokens: Sequence[np.ndarray],
    ) -> bool:
        """Adds a song with its tokens per level, level 0 first, unless there is one of that name;
        returns whether it did.

        Its line in songs.jsonl is written last; tokens without a line, of a command that was
        stopped, are overwritten. Several processes may add songs at once.
        """
        path = self.path / "songs.jsonl"
        with exclusive_lock(self.path):
            drop_partial_line(path)
            if name in self._names.read(path):  # another process has added it meanwhile
                return False
            with corruption_errors(path):
                line = last_jsonl_line(path)
            last = song_of_line(line, path) if line else None
            start = last.start + last.length if last else 0
            for level, codes in enumerate(tokens):
                self._write_level(level, start, codes)
            length, checksums = len(tokens[-1]), tuple(map(token_checksum, tokens))
            added = CorpusSong(name, start, length, samples, song, held_out, checksums)
            append_line(path, song_line(added))
        return True

    def update(self, changes: Mapping[str, tuple[Mapping[str, Any], bool]]) -> int:
        """Gives songs other conditions and `held_out`, by name; their tokens stay. Returns how many
        songs had others."""
        if self._updated_songs(changes) == self.songs():
            return 0
        with exclusive_lock(self.path):
            songs, updated = self.songs(), self._updated_songs(changes)
            lines = [f"{song_line(song)}\n" for song in updated]
            write_text(self.path / "songs.jsonl", "".join(lines))
        return sum(old != new for old, new in zip(songs, updated, strict=True))

    def _updated_songs(
        self, changes: Mapping[str, tuple[Mapping[str, Any], bool]]
    ) -> list[CorpusSong]:
        return [_with_conditions(song, *changes.get(song.name, ())) for song in self.songs()]

    def _write_level(self, level: int, start: int, codes: np.ndarray) -> None:
        """`start` is in tokens of the top level."""
        path = self.path / f"level-{level}.bin"
        with disk_errors(path), path.open("r+b" if path.exists() else "w+b") as file:
            file.seek(start * self.token_grid.tokens_per_top_token(level) * 2)
            file.write(codes.astype("<u2").tobytes())
            file.truncate()
            file.flush()
            os.fsync(file.fileno())  # before the song's line, which says that it is there

    def validate(self) -> None:
        """Raises InputError if a level has fewer tokens than songs.jsonl says, or other ones.

        The tokens are read through once, and not again as long as the corpus does not change.
        """
        songs = self.songs()
        self._warn_of_lost_songs(songs)
        for level in range(self.token_grid.num_levels if songs else 0):
            paths = self.path / f"level-{level}.bin", self.path / "songs.jsonl"
            tokens = self.tokens(level)
            if not is_verified(*paths):
                settled = is_settled(*paths)
                self._require_tokens(level, songs, tokens)
                if settled:
                    remember_verified(*paths)

    def _warn_of_lost_songs(self, songs: Sequence[CorpusSong]) -> None:
        """Warns of tokens without a song: its line in songs.jsonl was not written, or is lost."""
        end = max((song.start + song.length for song in songs), default=0)
        for level in range(self.token_grid.num_levels):
            path = self.path / f"level-{level}.bin"
            expected = end * self.token_grid.tokens_per_top_token(level)
            if path.exists() and path.stat().st_size // 2 > expected:
                what = f"{path} has tokens of songs that songs.jsonl does not name"
                warnings.warn(InputWarning(f"{what}: tokenize the songs again"), stacklevel=3)
                return

    def _require_tokens(self, level: int, songs: Sequence[CorpusSong], tokens: np.ndarray) -> None:
        path = self.path / f"level-{level}.bin"
        per_top_token = self.token_grid.tokens_per_top_token(level)
        hint = "tokenize the songs into a new corpus"
        expected = max(song.start + song.length for song in songs) * per_top_token
        if len(tokens) < expected:
            what = f"{path} is damaged: {len(tokens)} tokens, not {expected}"
            raise InputError(what, hint)
        for song in songs:
            start = song.start * per_top_token
            own = tokens[start : start + song.length * per_top_token]
            if level >= len(song.checksums) or token_checksum(own) != song.checksums[level]:
                what = f"{path} is damaged: the checksum of {song.name}'s tokens does not match"
                raise InputError(what, hint)
            if own.max(initial=0) >= self.config.codebook_size:
                what = f"{path} is damaged: {song.name} has a token that is no code of the codec"
                raise InputError(what, hint)


def token_checksum(tokens: np.ndarray) -> str:
    """SHA-256 of tokens (T,) as little-endian uint16."""
    return hashlib.sha256(tokens.astype("<u2").tobytes()).hexdigest()


def _with_conditions(
    entry: CorpusSong, song: Mapping[str, Any] | None = None, held_out: bool = False
) -> CorpusSong:
    """A song with other conditions, as they come out of a JSON file; the same if there are none."""
    if song is None:
        return entry
    return replace(entry, song=json.loads(json.dumps(song)), held_out=held_out)
