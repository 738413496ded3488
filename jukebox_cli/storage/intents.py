"""What commands that change a run will do to it, recorded before they do anything.

An intent is one file, written atomically, which is there from when a command begins until it is
complete. All that the command does follows from it, so that it can be finished from any instant: by
the same command, or by `jukebox resume`.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.bounds import MAX_LEVELS, require_between
from jukebox_cli.config.schema import FORMAT
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.documents import json_text, read_own_json, validation_problem
from jukebox_cli.storage.files import write_text
from jukebox_cli.storage.segments import ItemSpec

if TYPE_CHECKING:
    from pydantic import TypeAdapter

#: How far items are made.
STAGES = ("top", "tokens", "audio")


@dataclass(frozen=True)
class Intent:
    """What a command makes of some items of a run."""

    command: str  # generate, continue, upsample or decode
    until: str  # how far they are made: top, tokens or audio
    config: str  # the text of run.yaml
    items: dict[int, ItemSpec]  # what each of them is in the end
    source: str = ""  # the folder of the run that they are copied from, seen from this one
    audio: str = ""  # the file of the recording that they begin with
    level: int = 0  # that is decoded
    audio_format: str = "wav"  # of the audio, as its files' suffix
    #: kind and details of what the run's log says when they are begun
    event: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name that no other intent has: the same command with the same items has the same."""
        text = json.dumps(asdict(_StoredIntent.of(self)), sort_keys=True)
        return f"{self.command}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class _StoredIntent:
    """An intent as it is in its file: items that are alike share what they are in the end, which
    may be large."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    command: str
    until: str
    config: str
    specs: tuple[ItemSpec, ...]
    items: dict[int, int]  # for each item the number of its spec
    source: str = ""
    audio: str = ""
    level: int = 0
    audio_format: str = "wav"
    event: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not all(0 <= number < len(self.specs) for number in self.items.values()):
            raise ValueError("items must be numbers of specs")
        if self.until not in STAGES:
            raise ValueError(f"until must be one of {', '.join(STAGES)}")
        require_between("level", self.level, 0, MAX_LEVELS - 1)
        if not self.audio_format.isalnum():
            raise ValueError("audio_format must be the suffix of files")

    @classmethod
    def of(cls, intent: Intent) -> _StoredIntent:
        specs: list[ItemSpec] = []
        numbers: dict[int, int] = {}  # of specs that were met before, by identity
        for spec in intent.items.values():
            if id(spec) not in numbers:
                if spec not in specs:
                    specs.append(spec)
                numbers[id(spec)] = specs.index(spec)
        items = {item: numbers[id(spec)] for item, spec in intent.items.items()}
        more = (intent.source, intent.audio, intent.level, intent.audio_format, intent.event)
        return cls(intent.command, intent.until, intent.config, tuple(specs), items, *more)

    def to_intent(self) -> Intent:
        items = {item: self.specs[number] for item, number in self.items.items()}
        more = (self.source, self.audio, self.level, self.audio_format, self.event)
        return Intent(self.command, self.until, self.config, items, *more)


@dataclass(frozen=True)
class Intents:
    """The intents in a folder, one file each: those of commands that are not complete."""

    folder: Path

    def read(self) -> list[Intent]:
        """All of them, oldest first. Raises InputError for a file that is damaged."""
        found = []
        for path in self._paths():
            try:
                found.append(read_intent(path))
            except InputError:
                if path.exists():  # otherwise its command was completed meanwhile
                    raise
        return found

    def write(self, intent: Intent) -> None:
        """Records an intent, unless it is there."""
        if not (path := self._path(intent)).exists():
            stored = asdict(_StoredIntent.of(intent))
            write_text(path, json_text({"format": FORMAT, **stored}, indent=1))

    def remove(self, intent: Intent) -> None:
        """Removes the intent of a command that is complete. It is the last thing a command does."""
        self._path(intent).unlink(missing_ok=True)

    def remove_all(self) -> None:
        """Removes all of them."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def _path(self, intent: Intent) -> Path:
        return self.folder / f"{intent.name}.json"

    def _paths(self) -> list[Path]:
        times = []
        for path in self.folder.glob("*.json"):
            with suppress(FileNotFoundError):  # another command was completed meanwhile
                times.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(times)]


def read_intent(path: Path) -> Intent:
    """The intent in a file. Raises InputError, naming the file, if it is damaged."""
    from pydantic import ValidationError

    data = read_own_json(path)
    try:
        return _intent_type().validate_json(json.dumps(data), strict=True).to_intent()
    except ValidationError as error:
        hint = "delete that file and repeat the command that was interrupted"
        raise InputError(f"{path} is damaged: {validation_problem(error)}", hint) from None


@cache
def _intent_type() -> TypeAdapter[_StoredIntent]:
    from pydantic import TypeAdapter

    return TypeAdapter(_StoredIntent)
