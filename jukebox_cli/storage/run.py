"""Runs on disk: the items of one request, their tokens and audio, and how they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.schema import FORMAT, Options, VQVAEConfig, validate_format
from jukebox_cli.config.yaml_files import dump_yaml
from jukebox_cli.interfaces.errors import InputError, require_utf8_name
from jukebox_cli.storage.files import (
    FileCache,
    append_jsonl,
    create_text,
    load_own_config,
    write_text,
)
from jukebox_cli.storage.segments import (
    ItemSpec,
    read_item_spec,
    write_item_spec,
)
from jukebox_cli.storage.slice_files import SliceFiles, slice_files_pattern
from jukebox_cli.storage.token_files import read_token_file, write_token_file

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RunConfig:
    """run.yaml: the request that a run began with. Options per level, level 0 first.

    It does not list items, so that every task of a job array writes the same file. What each item
    was asked to be is in its own file.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    model: str = ""  # name of a built-in model, or the folder of another
    fingerprint: str = ""  # hash of the model's codec
    sample_rate: int = 0  # Hz
    seed: int = 0
    hop_fraction: tuple[float, ...] = ()  # how far windows move, as a fraction of their length
    sampling: tuple[Options, ...] = ()  # options of the samplers
    versions: dict[str, str] = field(default_factory=dict)  # of jukebox and of plugins

    def __post_init__(self) -> None:
        validate_format(self.format)


@dataclass(frozen=True)
class Run:
    """runs/NAME: run.yaml, items/item-00.json, tokens/level-N/item-00.safetensors, audio/,
    log.jsonl.

    An item has its own file of segments, and its own token file at each level, so that the tasks
    of a job array, each with other items, never write the same file.

    Files are read once per object, and again only when they have changed.
    """

    path: Path
    _specs: FileCache[ItemSpec] = field(default_factory=FileCache, compare=False, repr=False)
    _counts: FileCache[int] = field(default_factory=FileCache, compare=False, repr=False)

    # the run

    @property
    def exists(self) -> bool:
        return (self.path / "run.yaml").is_file()

    @cached_property
    def config(self) -> RunConfig:
        """Raises InputError if there is no run, if its name is not UTF-8, or if run.yaml is
        damaged."""
        require_utf8_name(self.path)
        if not self.exists:
            there = "is not a run: it has no run.yaml" if self.path.exists() else "does not exist"
            raise InputError(f"{self.path} {there}", "make one with `jukebox generate --out`")
        path = self.path / "run.yaml"
        keys = [f.name for f in fields(RunConfig) if f.name not in ("format", "versions")]
        return load_own_config(RunConfig, path, keys)

    def write_config(self, config: RunConfig) -> None:
        write_text(self.path / "run.yaml", dump_yaml(config))
        self.__dict__["config"] = config

    def create_config(self, config: RunConfig) -> bool:
        """Writes run.yaml unless there is one; returns whether it did."""
        return create_text(self.path / "run.yaml", dump_yaml(config))

    # items

    def items(self) -> list[int]:
        """The numbers of the items that have been begun, in order."""
        return sorted(_item_number(path) for path in (self.path / "items").glob("item-*.json"))

    def item_file(self, item: int) -> Path:
        return self.path / "items" / f"item-{item:02}.json"

    def has_item(self, item: int) -> bool:
        return self.item_file(item).is_file()

    def item(self, item: int) -> ItemSpec:
        """What was asked for of an item. Raises InputError if its file is missing or damaged."""
        path = self.item_file(item)
        try:
            return self._specs.get(path, read_item_spec)
        except FileNotFoundError:
            raise InputError(f"no file {path}", "check the path") from None

    def read_items(self, items: Iterable[int]) -> dict[int, ItemSpec]:
        return {item: self.item(item) for item in items}

    def write_item(self, item: int, spec: ItemSpec) -> None:
        write_item_spec(self.item_file(item), spec)

    def create_item(self, item: int, spec: ItemSpec) -> bool:
        """Writes an item's file unless there is one; returns whether it did."""
        return create_text(self.item_file(item), spec.text)

    def delete_item(self, item: int) -> None:
        """Deletes an item's file, but not its tokens."""
        self.item_file(item).unlink(missing_ok=True)

    def select_items(self, items: Sequence[int] | None) -> tuple[int, ...]:
        """These items, or all if None. Raises InputError for one that the run does not have."""
        there = self.items()
        if missing := sorted(set(items or ()) - set(there)):
            known = f"it has {', '.join(map(str, there)) or 'none'}"
            raise InputError(f"{self.path} has no item {missing[0]}", known)
        return tuple(there if items is None else items)

    # tokens

    def token_file(self, level: int, item: int) -> Path:
        return self.path / "tokens" / f"level-{level}" / f"item-{item:02}.safetensors"

    def read_tokens(self, level: int, item: int) -> np.ndarray | None:
        """The tokens that an item has so far at a level, int64 (T,); None if there is no file.

        Raises InputError if the file is damaged.
        """
        try:
            return read_token_file(self.token_file(level, item), self.recovery_hint(item))
        except FileNotFoundError:
            return None

    def num_tokens(self, level: int, item: int) -> int:
        """How many tokens an item has so far at a level; 0 if there is no file.

        Raises InputError if the file is damaged: it is read and checked as `read_tokens` does.
        """

        def count(path: Path) -> int:
            return len(read_token_file(path, self.recovery_hint(item)))

        try:
            return self._counts.get(self.token_file(level, item), count)
        except (FileNotFoundError, NotADirectoryError):  # or a part of its path is a file
            return 0

    def write_tokens(
        self,
        level: int,
        item: int,
        tokens: np.ndarray,
        codec: VQVAEConfig,
        vocab_size: int | None = None,
    ) -> None:
        """Replaces an item's tokens (T,) at a level.

        vocab_size: how many tokens there can be, if that is more than the codec has codes.
        """
        write_token_file(self.token_file(level, item), level, tokens, codec, vocab_size)

    def delete_tokens(self, item: int) -> None:
        """Deletes an item's tokens at every level, complete or in slices."""
        for pattern in (self.token_file(0, item).name, slice_files_pattern(item)):
            for path in (self.path / "tokens").glob(f"level-*/{pattern}"):
                path.unlink()

    def slice_files(self, level: int, item: int, segment: int) -> SliceFiles:
        """The files of an item's slices at a level while they are sampled."""
        return SliceFiles(self.token_file(level, item).parent, level, item, segment)

    def delete_items(self) -> None:
        """Deletes the files and tokens of all items: what an interrupted command left behind."""
        for pattern in ("items/item-*.json", "tokens/level-*/item-*.safetensors"):
            for path in self.path.glob(pattern):
                path.unlink()

    def levels_with_tokens(self, item: int) -> list[int]:
        """The levels at which an item has a token file, lowest first."""
        folders = (self.path / "tokens").glob("level-*")
        levels = sorted(int(path.name.removeprefix("level-")) for path in folders)
        return [level for level in levels if self.token_file(level, item).exists()]

    def require_recorded_tokens(self, level: int, items: Iterable[int]) -> None:
        """Raises InputError if tokens of a recording are gone: they can't be sampled again."""
        for item in items:
            if self.item(item).prompt and not self.token_file(level, item).exists():
                lost = f"{self.token_file(level, item)}, with the tokens of a recording, is missing"
                raise InputError(lost, self.recovery_hint(item))

    def recovery_hint(self, item: int) -> str:
        """What to do about an item's tokens that are damaged or lost."""
        if self.has_item(item) and self.item(item).prompt:
            return "restore it from a copy, or create the run again from its recording"
        again = "delete that file and run `jukebox upsample` or `jukebox generate` again"
        return f"restore it from a copy; or {again}"

    # audio and what else there is

    def audio_file(self, item: int, level: int = 0, suffix: str = "wav") -> Path:
        folder = self.path / "audio"
        return (folder if level == 0 else folder / f"level-{level}") / f"item-{item:02}.{suffix}"

    def has_audio(self, item: int, level: int, suffix: str = "wav") -> bool:
        """Whether there is audio of the whole item that is not older than its tokens."""
        audio, tokens = self.audio_file(item, level, suffix), self.token_file(level, item)
        if not self._is_whole(audio, item):
            return False
        return not tokens.exists() or audio.stat().st_mtime >= tokens.stat().st_mtime

    def is_longer_than_audio(self, item: int) -> bool:
        """Whether an item was continued, but the command stopped before decoding it."""
        audio = self.audio_file(item)
        return audio.exists() and not self._is_whole(audio, item)

    def _is_whole(self, audio: Path, item: int) -> bool:
        """Whether audio is as long as its item. Times alone do not tell: copying a run can lose
        them."""
        import soundfile

        try:
            return bool(soundfile.info(str(audio)).frames >= self.item(item).num_samples)
        except (soundfile.LibsndfileError, OSError):
            return False

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    def log(self, event: Mapping[str, Any]) -> None:
        """Appends a line to the log."""
        append_jsonl(self.log_file, event)


def find_runs(folder: Path) -> list[Run]:
    """The runs right below a folder, by name."""
    return [Run(path.parent) for path in sorted(folder.glob("*/run.yaml"))]


def _item_number(path: Path) -> int:
    return int(path.stem.removeprefix("item-"))
