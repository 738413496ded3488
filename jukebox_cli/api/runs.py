"""Runs for plugins: their settings, and their items with tokens, audio and log.

A run is a folder that `jukebox generate` and its like write. Imports neither torch nor numpy before
tokens are read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.config.schema import Options, SamplingConfig, SongPreset
from jukebox_cli.config.token_grid import TokenGrid
from jukebox_cli.config.yaml_files import dump_yaml
from jukebox_cli.interfaces.command_options import CommandOptions, summarize
from jukebox_cli.interfaces.conditioner import Conditioner, Song
from jukebox_cli.interfaces.contract import plugin_errors
from jukebox_cli.interfaces.timed_text import TimedText
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import parse_number_list
from jukebox_cli.storage.documents import corruption_errors
from jukebox_cli.storage.log_rows import read_events
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Parent, Prompt, Segment
from jukebox_cli.storage.token_files import read_token_metadata

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "LevelSampling",
    "LevelTokens",
    "OpenRun",
    "Parent",
    "Prompt",
    "RunConfig",
    "RunItem",
    "Segment",
    "open_run",
    "resolve_level_sampling",
    "sampling_preset",
]

#: Formats in which decoded audio keeps every sample.
_LOSSLESS = ("wav", "flac")


@dataclass(frozen=True)
class RunItem:
    """An item of a run: one variation of its song.

    number: of the item, from 0.
    num_samples: its length in audio samples at the model's sample rate.
    segments: how its tokens came to be, one entry for each stretch that was asked for at a time.
    """

    number: int
    num_samples: int
    segments: tuple[Segment, ...]

    @property
    def song(self) -> Song:
        """The values of all conditioners: those of the last segment."""
        return self.segments[-1].conditions


@dataclass(frozen=True)
class LevelTokens:
    """The tokens of an item at one level, as far as they exist.

    tokens: int64 (T,), from the beginning of the item.
    num_primed: how many at the beginning were not sampled, but come from a recording.
    num_tokens: how many the item has when it is complete.
    hop_length: audio samples per token.
    """

    item: int
    level: int
    tokens: np.ndarray
    num_primed: int
    num_tokens: int
    hop_length: int

    @property
    def is_complete(self) -> bool:
        """Whether all tokens of the item exist."""
        return len(self.tokens) >= self.num_tokens


@dataclass(frozen=True)
class LevelSampling:
    """How one level is sampled.

    hop_fraction: how far windows move, as a fraction of their length.
    options: the sampler options, by name.
    """

    hop_fraction: float
    options: Options


def open_run(registry: Registry, path: Path, only: str | None = None) -> OpenRun:
    """The run in a folder, with all of its items or those that `only` names, such as "0,2".

    :param registry: the installed plugins: `ctx.obj` of a command.
    :raises InputError: if the folder is not a run, or has no such item.
    """
    run = Run(path)
    _ = run.config  # raises InputError if it is not a run
    numbers = run.select_items(None if only is None else parse_number_list(only))
    return OpenRun(run, registry, numbers)


class OpenRun:
    """A run on disk, and the items that a command works on. Get one from `open_run`.

    path: its folder.
    config: its settings: model, fingerprint, sample_rate (Hz), seed, versions and more.
    registry: the installed plugins.
    """

    def __init__(self, run: Run, registry: Registry, numbers: Sequence[int]) -> None:
        self.path = run.path
        self.config: RunConfig = run.config
        self.registry = registry
        self._run = run
        self._numbers = tuple(numbers)

    @property
    def num_levels(self) -> int:
        """Levels of the model; the top level is `num_levels - 1`, the finest 0."""
        return len(self.config.hop_fraction)

    @cached_property
    def song(self) -> Song:
        """The values of all conditioners that the run began with; items can differ."""
        return self._first_spec.segments[0].conditions if self._first_spec else {}

    @cached_property
    def num_samples(self) -> int:
        """The length of every item when the run began, in samples; 0 for a run of recordings."""
        spans = self._first_spec.spans() if self._first_spec else ()
        return next((end for segment, end in spans if segment.prompt is None), 0)

    @property
    def _first_spec(self) -> ItemSpec | None:
        """The item that stands for how the run began."""
        return next((self._run.item(item) for item in self._run.items()), None)

    @cached_property
    def items(self) -> tuple[RunItem, ...]:
        """The items that were asked for, ascending.

        :raises InputError: if a file of theirs is damaged.
        """
        specs = self._run.read_items(self._numbers)
        return tuple(RunItem(n, spec.num_samples, spec.segments) for n, spec in specs.items())

    def levels_with_tokens(self, item: RunItem) -> list[int]:
        """The levels that have tokens of an item, ascending."""
        there = self._run.levels_with_tokens(item.number)
        return [level for level in there if level < self.num_levels]

    def read_tokens(self, level: int, item: RunItem) -> LevelTokens | None:
        """The tokens of an item at a level; None if there is no file of them.

        :raises InputError: if the file is damaged.
        """
        tokens = self._run.read_tokens(level, item.number)
        if tokens is None:
            return None
        hop_length = self._hop_length(level, item)
        top = max(self._hop_length(n, item) for n in self.levels_with_tokens(item))
        grid, prompt = TokenGrid((hop_length, top)), item.segments[0].prompt
        num_primed = min(len(tokens), grid.num_tokens(0, prompt.num_samples)) if prompt else 0
        total = grid.num_tokens(0, item.num_samples)
        return LevelTokens(item.number, level, tokens, num_primed, total, hop_length)

    def audio_file(self, level: int, item: RunItem) -> Path | None:
        """A lossless audio file of an item at a level that is complete and not older than its
        tokens; None if there is none."""
        there = (s for s in _LOSSLESS if self._run.has_audio(item.number, level, s))
        return next((self._run.audio_file(item.number, level, s) for s in there), None)

    def describe(self, song: Song) -> dict[str, str]:
        """Label -> text of a song's values, from `Conditioner.describe` of every conditioner.

        Values that no installed conditioner has are summarised under their names.
        """
        lines: dict[str, str] = {}
        for conditioner in self._conditioners:
            with plugin_errors(conditioner, "describe"):
                lines |= conditioner.describe(song)
        unknown = {name: song[name] for name in self._unknown_values(song)}
        return lines | {name.replace("_", " "): summarize(v) for name, v in unknown.items()}

    def to_options(self, song: Song, previous: Song | None = None) -> CommandOptions:
        """The options of `jukebox generate` that ask for a song again, from
        `Conditioner.to_options` of every conditioner, with notes about what no option can give.

        :param previous: the song that the item had before; then only the options of conditioners
            whose values differ, for `jukebox continue`.
        """
        found = CommandOptions()
        for conditioner in self._conditioners:
            with plugin_errors(conditioner, "to_options"):
                options = conditioner.to_options(song)
                if previous is None or options != conditioner.to_options(previous):
                    found += options
        notes = (
            f"The value of “{name}”: no option gives it." for name in self._unknown_values(song)
        )
        return found + CommandOptions(notes=tuple(notes))

    def timed_texts(self, item: RunItem) -> list[TimedText]:
        """The texts of an item, such as lyrics, from `Conditioner.timed_text`.

        :raises InputError: if a file with their times is damaged.
        """
        texts = []
        for conditioner in self._conditioners:
            with plugin_errors(conditioner, "timed_text"):
                texts.append(conditioner.timed_text(item.song, self.path, item.number))
        return [text for text in texts if text is not None]

    def find_model(self, name: str | None = None) -> Model:
        """The model that the run was made with.

        :param name: where it is now, if not where it was: a folder or a name.
        :raises InputError: if it is not there, or another model.
        """
        from jukebox_cli.sampling.run_setup import reopen_job

        return reopen_job(self.path, self.registry, None, name).model

    def read_events(self) -> list[dict[str, Any]]:
        """The lines of the run's log, oldest first; see the hook `jukebox_event`."""
        return read_events(self._run.log_file)

    def log_event(self, kind: str, **details: Any) -> None:
        """Append an event with its time to the run's log, and pass it to every `jukebox_event`."""
        event: Mapping[str, Any] = {"time": round(time.time(), 3), "event": kind, **details}
        self._run.log(event)
        self.registry.notify(self.path, event)

    @cached_property
    def _conditioners(self) -> list[Conditioner]:
        """All installed conditioners, not fitted."""
        registry = self.registry
        return [registry.make_conditioner(name, {}) for name in registry.conditioners]

    def _unknown_values(self, song: Song) -> list[str]:
        """The names of values that no installed conditioner has: a conditioner's are those of its
        options, and names that begin with one of them and an underscore."""
        own = {f.name for each in self._conditioners for f in fields(each.Input)}
        return [n for n in song if not any(n == o or n.startswith(f"{o}_") for o in own)]

    def _hop_length(self, level: int, item: RunItem) -> int:
        """Audio samples per token, from the metadata of a token file."""
        path = self._run.token_file(level, item.number)
        metadata = read_token_metadata(path, self._run.recovery_hint(item.number))
        with corruption_errors(path):
            return int(metadata["hop_length"])


def resolve_level_sampling(
    registry: Registry, model: Model, options: Mapping[str, Any]
) -> tuple[LevelSampling, ...]:
    """How each level is sampled, level 0 first, by `jukebox generate --model` with these sampler
    options.

    :raises InputError: for options that no installed sampler has.
    """
    from jukebox_cli.sampling.request import Request, resolve_sampling

    request = Request(model.name, 1.0, (0,), 0, {}, sampler_options=options)
    fractions, by_level = resolve_sampling(model.config, registry, request)
    return tuple(map(LevelSampling, fractions, by_level))


def sampling_preset(levels: Sequence[LevelSampling]) -> str:
    """A preset, as YAML, that samples each level like this, level 0 first."""
    config = SamplingConfig(
        tuple(level.hop_fraction for level in levels), tuple(level.options for level in levels)
    )
    lines = dump_yaml(SongPreset(sampling=config)).split("\n")
    return "\n".join([lines[0], *lines[lines.index("sampling:") :]])
