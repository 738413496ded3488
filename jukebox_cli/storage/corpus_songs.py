"""The lines of a corpus's songs.jsonl. Each begins with a checksum of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.checksums import require_intact
from jukebox_cli.storage.documents import (
    json_text,
    parse_json,
    read_jsonl_lines,
    validation_problem,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: No corpus has so many tokens or samples.
MAX_POSITION = 2**48

_HINT = "restore it from a copy, or tokenize the songs into a new corpus"


@dataclass(frozen=True)
class CorpusSong:
    """A song of a corpus, and where its tokens are. `start` and `length` count top-level tokens."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    name: str
    start: int
    length: int
    num_samples: int  # of the recording, at the corpus's sample rate
    song: Mapping[str, Any]  # the values of every conditioner
    held_out: bool  # whether it is for evaluation only
    checksums: tuple[str, ...]  # of its tokens at each level, level 0 first

    def __post_init__(self) -> None:
        if not 0 <= self.start <= MAX_POSITION:
            raise ValueError("start is not a place in a corpus")
        if not (1 <= self.length <= MAX_POSITION and 1 <= self.num_samples <= MAX_POSITION):
            raise ValueError("length and num_samples must be 1 or more")


def song_line(song: CorpusSong) -> str:
    """The line of a song, without its end."""
    return json_text(asdict(song)).removesuffix("\n")


def read_songs(path: Path) -> list[CorpusSong]:
    """The songs in a file, but for a line that was cut off while it was written.

    Raises InputError for a line that is damaged, has no checksum or that of another one.
    """
    return [_song(line, row, path) for line, row in read_jsonl_lines(path)]


def song_of_line(line: str, path: Path) -> CorpusSong:
    """The song of a line of `path`. Raises InputError as `read_songs` does."""
    return _song(line.removesuffix("\n"), parse_json(line, path), path)


def _song(line: str, row: dict[str, Any], path: Path) -> CorpusSong:
    from pydantic import ValidationError

    try:
        if "checksum" not in row:
            raise ValueError("it has no checksum")
        require_intact(f"{line}\n".encode(), row.pop("checksum"))
        return _song_type().validate_json(json.dumps(row), strict=True)  # takes lists for tuples
    except ValidationError as error:
        problem = validation_problem(error)
    except ValueError as error:
        problem = str(error)
    raise InputError(f"{path} is damaged at {row.get('name', 'a line')!r}: {problem}", _HINT)


@cache
def _song_type() -> TypeAdapter[CorpusSong]:
    from pydantic import TypeAdapter

    return TypeAdapter(CorpusSong)
