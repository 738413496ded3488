"""What a run holds, and what was asked for, in words; it takes no model to know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jukebox_cli.api import Song
from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.storage.files import corruption_errors, read_jsonl
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Segment

from . import notes

LOSSLESS = ("wav", "flac")


@dataclass(frozen=True)
class Part:
    """An item at one level: how many of its tokens there are, of `hop` samples each."""

    item: int
    level: int
    hop: int
    have: int
    total: int
    given: int
    audio: Path | None  # where it can be heard, if that is not older than the tokens

    @property
    def whole(self) -> bool:
        return self.have >= self.total


@dataclass(frozen=True)
class Item:
    """One of the pieces, its levels from the finest that has tokens to the top."""

    number: int
    samples: int
    song: Song
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Longer:
    """One time that items were made longer: seconds they then had, the seed of what was added, and
    that of what was there before, if the log tells it."""

    seconds: Mapping[int, float]
    seed: int
    before: int | None


@dataclass(frozen=True)
class Beginning:
    """What a run began with: samples of an item, 0 if all of them are recordings; and its song."""

    num_samples: int
    song: Song


@dataclass(frozen=True)
class Facts:
    """A run as it is on disk."""

    run: Run
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        return self.run.path.resolve().name

    @property
    def config(self) -> RunConfig:
        return self.run.config

    @cached_property
    def asked(self) -> Beginning:
        spec = self.run.item(self.run.items()[0])
        samples = next((end for segment, end in spec.spans() if not segment.prompt), 0)
        return Beginning(samples, spec.segments[0].conditions)

    @property
    def audio_hash(self) -> str:
        """The hash of the recording that the first item begins with; empty without one."""
        prompt = self.run.item(self.run.items()[0]).prompt
        return prompt.audio_hash if prompt else ""

    @property
    def model(self) -> str:
        """Its name: where its folder is on this machine is nobody's business."""
        return Path(self.config.model).name

    @property
    def levels(self) -> int:
        return len(self.config.hop_fraction)

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        path = self.run.log_file
        return read_jsonl(path) if path.is_file() else []

    @cached_property
    def longer(self) -> list[Longer]:
        """The times that any of these items were made longer, oldest first."""
        specs = self.run.read_items(item.number for item in self.items)
        times: dict[tuple[int, int, int | None], dict[int, float]] = {}
        for item, spec in specs.items():
            before: Segment | None = None
            for number, (segment, end) in enumerate(spec.spans()):
                if before is not None and before.prompt is None:
                    key = (number, segment.seed, before.seed)
                    times.setdefault(key, {})[item] = self.seconds(end)
                before = segment
        return [Longer(ends, seed, was) for (_, seed, was), ends in sorted(times.items())]

    @cached_property
    def primed(self) -> tuple[str, float]:
        """The recording that it goes on from, and how many seconds of it were heard."""
        event = next((e for e in self.events if e.get("event") == "primed"), {})
        with corruption_errors(self.run.log_file):
            return str(event.get("audio", "recording.wav")), float(event.get("seconds", 0.0))

    def alignment(self, item: int) -> Path | None:
        """The file of when the words of an item are sung, if there is one."""
        path = self.run.alignment_file(item)
        return path if path.is_file() else None

    def seconds(self, samples: int) -> float:
        return samples / self.config.sample_rate


def facts(path: Path, items: Sequence[int] | None) -> Facts:
    """The facts of a run's items, of all when `items` is None. InputError for what isn't there."""
    run = Run(path)
    levels = len(run.config.hop_fraction)
    specs = run.read_items(run.select_items(items))
    return Facts(run, tuple(_item(run, spec, number, levels) for number, spec in specs.items()))


def _item(run: Run, spec: ItemSpec, number: int, levels: int) -> Item:
    samples, song = spec.num_samples, spec.conditions
    there = [level for level in run.levels_with_tokens(number) if level < levels]
    hops = {level: _hop(run.token_file(level, number)) for level in there}
    top = max(hops.values(), default=1)
    parts = [_part(run, number, n, TokenGrid((hop, top)), spec) for n, hop in hops.items()]
    return Item(number, samples, song, tuple(parts))


def _part(run: Run, item: int, level: int, grid: TokenGrid, spec: ItemSpec) -> Part:
    have, prompt = run.num_tokens(level, item), spec.prompt
    given = min(have, grid.num_tokens(0, prompt.num_samples)) if prompt else 0
    total, hop = grid.num_tokens(0, spec.num_samples), grid.hop_lengths[0]
    return Part(item, level, hop, have, total, given, _audio(run, item, level))


def _hop(path: Path) -> int:
    """Samples per token, as a file of tokens says."""
    from safetensors import SafetensorError, safe_open

    with corruption_errors(path):
        try:
            with safe_open(str(path), "np") as file:
                return int((file.metadata() or {})["hop_length"])
        except (SafetensorError, OSError) as error:
            raise ValueError(str(error)) from None


def _audio(run: Run, item: int, level: int) -> Path | None:
    there = (suffix for suffix in LOSSLESS if run.has_audio(item, level, suffix))
    return next((run.audio_file(item, level, suffix) for suffix in there), None)


def told(song: Song) -> dict[str, str]:
    """Every condition in a line of words."""
    shown = {key: value for key, value in song.items() if not key.startswith("lyrics_")}
    return {key.replace("_", " "): in_words(key, value, song) for key, value in shown.items()}


def in_words(key: str, value: Any, song: Song) -> str:
    if key == "lyrics" and isinstance(value, str):
        return _lyrics(value, song)
    if key == "midi" and (instruments := notes.instruments(value)):
        return _midi(instruments)
    if key == "total":
        return f"the beginning of a song of {value:g} s" if _is_number(value) else str(value)
    return _summary(value)


def count(number: int, one: str, many: str = "") -> str:
    """`1 word`, `2 words`, `1,000 words`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def _lyrics(text: str, song: Song) -> str:
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return "none"
    words = f"{count(len(text.split()), 'word')} in {count(len(lines), 'line')}"
    return f"{words}, with the times of their singing" if song.get("lyrics_times") else words


def _midi(instruments: Sequence[Mapping[str, Any]]) -> str:
    played = [note for each in instruments for note in each["notes"]]
    names = dict.fromkeys(notes.name(each) for each in instruments)
    end = max((note[1] for note in played), default=0.0)
    return f"{count(len(played), 'note')} for {', '.join(names)}; {end:.1f} s"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _summary(value: Any) -> str:
    """Any JSON in a line: short values as they are, long ones by how much there is."""
    if value is None or isinstance(value, bool):
        return {None: "not said", True: "yes", False: "no"}[value]
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_summary(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list):
        nested = any(isinstance(each, (list, dict)) for each in value)
        short = not nested and len(value) <= 12
        return ", ".join(map(_summary, value)) or "none" if short else count(len(value), "value")
    return f"{value:g}" if isinstance(value, float) else str(value)
