"""Runs on disk: the items of one request, their tokens and audio, and how they were made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.bounds import MAX_LEVELS, MAX_SAMPLE_RATE, require_between
from jukebox_cli.config.schema import FORMAT, Options, VQVAEConfig, validate_format
from jukebox_cli.interfaces.errors import InputError, require_utf8_name
from jukebox_cli.storage.claims import Claims
from jukebox_cli.storage.documents import RESTORE_HINT, config_text, load_own_config
from jukebox_cli.storage.durable import delete_file
from jukebox_cli.storage.files import FileCache, write_text
from jukebox_cli.storage.intents import Intents
from jukebox_cli.storage.jsonl import append_jsonl
from jukebox_cli.storage.locks import exclusive_lock
from jukebox_cli.storage.run_names import item_files, level_folders, token_files
from jukebox_cli.storage.segments import (
    MAX_SEED,
    ItemSpec,
    ItemSpecs,
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
        if self.sample_rate:
            require_between("sample_rate", self.sample_rate, 1, MAX_SAMPLE_RATE)
        if not 0 <= self.seed < MAX_SEED:
            raise ValueError(f"seed must be from 0 to 2^63 - 1, not {self.seed}")
        if len(self.sampling) != len(self.hop_fraction) or len(self.sampling) > MAX_LEVELS:
            raise ValueError("hop_fraction and sampling must have one entry for each level")
        if not all(0 < fraction <= 1 for fraction in self.hop_fraction):
            raise ValueError("hop_fraction must be more than 0 and at most 1")


@dataclass(frozen=True)
class Run:
    """runs/NAME: run.yaml, items/item-00.json, tokens/level-N/item-00.safetensors, audio/,
    intents/, log.jsonl.

    An item has its own file of segments, and its own token file at each level, so that the tasks
    of a job array, each with other items, never write the same file.

    Files are read once per object, and again only when they have changed.
    """

    path: Path
    _specs: ItemSpecs = field(default_factory=ItemSpecs, compare=False, repr=False)
    _counts: FileCache[int] = field(default_factory=FileCache, compare=False, repr=False)

    # the run

    @property
    def exists(self) -> bool:
        return (self.path / "run.yaml").is_file()

    @cached_property
    def config(self) -> RunConfig:
        """Raises InputError if there is no run, its name is not UTF-8, or run.yaml is damaged."""
        require_utf8_name(self.path)
        if not self.exists:
            there = "is not a run: it has no run.yaml" if self.path.exists() else "does not exist"
            raise InputError(f"{self.path} {there}", "make one with `jukebox generate --out`")
        path = self.path / "run.yaml"
        keys = [f.name for f in fields(RunConfig) if f.name not in ("format", "versions")]
        return load_own_config(RunConfig, path, keys)

    def write_config(self, config: RunConfig) -> None:
        write_text(self.path / "run.yaml", config_text(config))
        self.__dict__["config"] = config

    def lock(self) -> AbstractContextManager[None]:
        """Lets one process at a time change what the run's items are; others wait."""
        return exclusive_lock(self.path)

    @property
    def intents(self) -> Intents:
        """What commands have begun here and not completed."""
        return Intents(self.path / "intents")

    # items

    def items(self) -> list[int]:
        """The numbers of the items that have been begun, in order."""
        return list(item_files(self.path / "items", ".json"))

    def item_file(self, item: int) -> Path:
        return self.path / "items" / f"item-{item:02}.json"

    def has_item(self, item: int) -> bool:
        return self.item_file(item).is_file()

    def item(self, item: int) -> ItemSpec:
        """What was asked for of an item. Raises InputError if its file is missing or damaged."""
        path = self.item_file(item)
        try:
            spec = self._specs.read(path)
        except FileNotFoundError:
            raise InputError(f"no file {path}", "check the path") from None
        if self.exists and len(spec.segments[0].sampling) != len(self.config.sampling):
            what = f"{path} is damaged: it is of {len(spec.segments[0].sampling)} levels"
            raise InputError(f"{what}, the run of {len(self.config.sampling)}", RESTORE_HINT)
        return spec

    def read_items(self, items: Iterable[int]) -> dict[int, ItemSpec]:
        return {item: self.item(item) for item in items}

    def write_item(self, item: int, spec: ItemSpec) -> None:
        write_item_spec(self.item_file(item), spec)

    def item_claims(self) -> Claims:
        """The claims of a process that samples and decodes items, by `run_names.item_claim`."""
        return Claims(self.path / "items")

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
            path = self.token_file(level, item)
            return read_token_file(path, level, self.recovery_hint(item))
        except FileNotFoundError:
            return None

    def num_tokens(self, level: int, item: int) -> int:
        """How many tokens an item has so far at a level; 0 if there is no file.

        Raises InputError if the file is damaged: it is read and checked as `read_tokens` does.
        """

        def count(path: Path) -> int:
            return len(read_token_file(path, level, self.recovery_hint(item)))

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

    def save_sampled_tokens(
        self,
        level: int,
        item: int,
        tokens: np.ndarray,
        codec: VQVAEConfig,
        vocab_size: int | None = None,
    ) -> None:
        """As `write_tokens`, unless there are more than these: where a file system has no locks,
        another process may have sampled on."""
        if self.num_tokens(level, item) <= len(tokens):
            self.write_tokens(level, item, tokens, codec, vocab_size)

    def shorten_tokens(self, level: int, item: int, length: int, codec: VQVAEConfig) -> None:
        """Drops an item's tokens at a level from number `length` on."""
        tokens = self.read_tokens(level, item)
        if tokens is not None and len(tokens) > length:
            write_token_file(self.token_file(level, item), level, tokens[:length], codec)

    def delete_tokens(self, item: int) -> None:
        """Deletes an item's tokens at every level, complete or in slices."""
        for level, folder in level_folders(self.path / "tokens").items():
            delete_file(self.token_file(level, item))
            for path in folder.glob(slice_files_pattern(item)):
                delete_file(path)

    def slice_files(
        self, level: int, item: int, segment: int, origin: str | None = None
    ) -> SliceFiles:
        """The files of an item's slices at a level; `origin` as for `SliceFiles`."""
        return SliceFiles(self.token_file(level, item).parent, level, item, segment, origin)

    @property
    def claims_folder(self) -> Path:
        """What commands that share the work on the run say to each other."""
        return self.path / "claims"

    def delete_items(self) -> None:
        """Deletes the files and tokens of all items: what an interrupted command left behind."""
        for item in self.items():
            delete_file(self.item_file(item))
        for folder in level_folders(self.path / "tokens").values():
            for path in token_files(folder):
                delete_file(path)

    def levels_with_tokens(self, item: int) -> list[int]:
        """The levels at which an item has a token file, lowest first."""
        levels = level_folders(self.path / "tokens")
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
