"""Models, corpora and runs on disk: the only module that knows file names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from jukebox_cli.config.schema import FORMAT, Options, VQVAEConfig, validate_format
from jukebox_cli.config.yaml_files import dump_yaml, read_yaml, validate_config
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.files import (
    append_jsonl,
    atomic_write,
    corruption_errors,
    read_json,
    safetensors_errors,
    write_text,
)

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class RunConfig:
    """run.yaml: what makes a run again. Level 0 first.

    It does not say which items there are, so that every task of a job array writes the same.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    format: int = FORMAT
    model: str = ""
    fingerprint: str = ""
    sample_rate: int = 0
    seed: int = 0
    hop_fraction: tuple[float, ...] = ()
    sampling: tuple[Options, ...] = ()
    audio_hash: str = ""  # a hash of the recordings it goes on from, if any
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        validate_format(self.format)


@dataclass(frozen=True)
class Tokens:
    """One item's tokens at one level, as far as they are settled."""

    tokens: np.ndarray  # int64 (T,)
    primed: int  # how many were not drawn but came from a recording or a run before
    prior_fingerprint: str = ""  # a hash of the weights that drew the others


@dataclass(frozen=True)
class ItemSpecs:
    """Length in samples and conditions of every item (song.json), and those of single items that
    differ (items/item-00.json)."""

    num_samples: int
    song: dict[str, Any]
    items: dict[int, tuple[int, dict[str, Any]]] = field(default_factory=dict)

    def for_item(self, item: int) -> tuple[int, dict[str, Any]]:
        return self.items.get(item, (self.num_samples, self.song))


@dataclass(frozen=True)
class Run:
    """runs/NAME: run.yaml, song.json, tokens/level-N/item-00.safetensors, audio/, log.jsonl, and
    items/item-00.json for an item that is not as song.json says.

    An item's tokens of a level are a file of their own, and so is what was asked for of it alone,
    so that the tasks of a job array, each with items of its own, never write the same file.
    """

    path: Path

    @property
    def exists(self) -> bool:
        return (self.path / "run.yaml").is_file()

    @cached_property
    def config(self) -> RunConfig:
        if not self.exists:
            there = "is not a run: it has no run.yaml" if self.path.exists() else "does not exist"
            raise InputError(f"{self.path} {there}", "make one with `jukebox generate --out`")
        path = self.path / "run.yaml"
        return validate_config(RunConfig, read_yaml(path), path)

    def write_config(self, config: RunConfig) -> None:
        write_text(self.path / "run.yaml", dump_yaml(config))
        self.__dict__["config"] = config

    def item_specs(self) -> ItemSpecs:
        """What was asked for."""
        path = self.path / "song.json"
        data = read_json(path)
        with corruption_errors(path):
            early = data.get("items", {})  # of runs made before items had files of their own
            items = {int(i): (each["samples"], each["song"]) for i, each in early.items()}
            samples, song = data["samples"], data["song"]
        files = (self.path / "items").glob("item-*.json")
        items |= {_item_number(path): self._read_item_spec(path) for path in files}
        return ItemSpecs(samples, song, dict(sorted(items.items())))

    def _read_item_spec(self, path: Path) -> tuple[int, dict[str, Any]]:
        data = read_json(path)
        with corruption_errors(path):
            return data["samples"], data["song"]

    def write_item_specs(self, asked: ItemSpecs, items: Iterable[int] | None = None) -> None:
        """Writes what was asked for: of single items all that differ, or `items` and leaves those
        of other tasks alone."""
        self._write_song(self.path / "song.json", asked.num_samples, asked.song)
        for item in asked.items if items is None else items:
            self._write_song(self._item_file(item), *asked.items[item])
        if items is None:
            for path in (self.path / "items").glob("item-*.json"):
                if _item_number(path) not in asked.items:
                    path.unlink()

    def _write_song(self, path: Path, samples: int, song: Mapping[str, Any]) -> None:
        data = {"format": FORMAT, "samples": samples, "song": song}
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)

    def _item_file(self, item: int) -> Path:
        return self.path / "items" / f"item-{item:02}.json"

    def items(self) -> list[int]:
        """The items that have a file of tokens at any level."""
        files = (self.path / "tokens").glob("level-*/item-*.safetensors")
        return sorted({_item_number(path) for path in files})

    def select_items(self, items: Sequence[int] | None) -> tuple[int, ...]:
        """These items, or all of them. InputError for one that is not there."""
        there = self.items()
        if missing := [i for i in items or () if i not in there]:
            known = f"it has {', '.join(map(str, there)) or 'none'}"
            raise InputError(f"{self.path} has no item {missing[0]}", known)
        return tuple(there if items is None else items)

    def token_file(self, level: int, item: int) -> Path:
        return self.path / "tokens" / f"level-{level}" / f"item-{item:02}.safetensors"

    def audio_file(self, item: int, level: int = 0, suffix: str = "wav") -> Path:
        folder = self.path / "audio"
        return (folder if level == 0 else folder / f"level-{level}") / f"item-{item:02}.{suffix}"

    def has_audio(self, item: int, level: int, suffix: str = "wav") -> bool:
        """Whether there is audio of the whole item that is not older than its tokens."""
        audio, tokens = self.audio_file(item, level, suffix), self.token_file(level, item)
        if not self._is_whole(audio, item):
            return False
        return not tokens.exists() or audio.stat().st_mtime >= tokens.stat().st_mtime

    def _is_whole(self, audio: Path, item: int) -> bool:
        """Whether audio is as long as its item: times of files are lost when a run is copied."""
        import soundfile

        try:
            return bool(soundfile.info(str(audio)).frames >= self.item_specs().for_item(item)[0])
        except (soundfile.LibsndfileError, OSError):
            return False

    def alignment_file(self, item: int) -> Path:
        """When the words of an item are sung."""
        return self.path / "alignment" / f"item-{item:02}.json"

    def delete_tokens(self) -> None:
        """Removes the tokens that a command left which was stopped before it wrote run.yaml."""
        for path in (self.path / "tokens").glob("level-*/item-*.safetensors"):
            path.unlink()

    def is_longer_than_audio(self, item: int) -> bool:
        """Whether an item was made longer, and stopped before its audio was."""
        audio = self.audio_file(item)
        return audio.exists() and not self._is_whole(audio, item)

    def write_tokens(
        self, level: int, item: int, tokens: Tokens, codec: VQVAEConfig, bins: int | None = None
    ) -> None:
        """`bins` is how many tokens there can be, if that is more than the codec has codes."""
        import numpy as np
        from safetensors.numpy import save_file

        about = {
            "format": str(FORMAT),
            "level": str(level),
            "hop_length": str(codec.hop_lengths[level]),
            "sample_rate": str(codec.sample_rate),
            "vocab_size": str(bins or codec.codebook_size),
            "primed": str(tokens.primed),
            **({"prior_fingerprint": tokens.prior_fingerprint} if tokens.prior_fingerprint else {}),
        }
        path = self.token_file(level, item)
        with atomic_write(path) as part, safetensors_errors():
            save_file({"tokens": tokens.tokens.astype(np.uint16)}, part, about)

    def read_tokens(self, level: int, item: int) -> Tokens | None:
        """What is settled so far; None when there is nothing yet. InputError when damaged."""
        import numpy as np
        from safetensors import SafetensorError, safe_open

        path = self.token_file(level, item)
        if not path.exists():
            return None
        try:
            with safe_open(str(path), "np") as file:
                about = file.metadata() or {}
                tokens = file.get_tensor("tokens")
            if tokens.dtype != np.uint16 or tokens.ndim != 1:
                raise ValueError(f"tokens are {tokens.ndim}-D {tokens.dtype}, not 1-D uint16")
            bins = int(about.get("vocab_size", 1 << 16))
            if tokens.size and tokens.max() >= bins:
                raise ValueError(f"token {tokens.max()} is not one of {bins}")
            return Tokens(
                tokens.astype(np.int64), int(about["primed"]), about.get("prior_fingerprint", "")
            )
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise InputError(f"{path} is damaged: {error}", self.recovery_hint) from None

    def require_recorded_tokens(self, level: int, items: Sequence[int]) -> None:
        """InputError where tokens of recordings are gone: drawn ones would replace them."""
        for item in items:
            if self.read_tokens(level, item) is None:
                lost = f"{self.token_file(level, item)}, which held a recording, is gone"
                raise InputError(lost, self.recovery_hint)

    @property
    def recovery_hint(self) -> str:
        """What to do about tokens that are damaged or lost."""
        if (self.path / "run.yaml").exists() and self.config.audio_hash:
            return "restore it from a copy, or make the run anew from its recording"
        again = "delete that file and run `jukebox upsample` or `jukebox generate` again"
        return f"restore it from a copy; or {again}"

    def levels_with_tokens(self, item: int) -> list[int]:
        """The levels that have tokens of an item, lowest first."""
        folders = (self.path / "tokens").glob("level-*")
        levels = sorted(int(p.name.removeprefix("level-")) for p in folders)
        return [level for level in levels if self.token_file(level, item).exists()]

    @property
    def log_file(self) -> Path:
        return self.path / "log.jsonl"

    @property
    def report(self) -> Path:
        """The page that shows it, if no other place was chosen."""
        return self.path / "report.html"

    def log(self, event: Mapping[str, Any]) -> None:
        append_jsonl(self.log_file, event)


def find_runs(folder: Path) -> list[Run]:
    """The runs right below a folder, by name."""
    return [Run(path.parent) for path in sorted(folder.glob("*/run.yaml"))]


def _item_number(path: Path) -> int:
    return int(path.stem.removeprefix("item-"))
