"""What a run has, item by item and level by level. Needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox_cli.api.runs import OpenRun, RunItem


@dataclass(frozen=True)
class LevelSummary:
    """An item at one level.

    num_sampled: how many tokens it has so far, those of a recording included.
    num_primed: how many of them come from a recording.
    num_tokens: how many it has when it is complete.
    hop_length: audio samples per token.
    audio: a lossless file of its sound, if there is one that is up to date.
    """

    item: int
    level: int
    num_sampled: int
    num_primed: int
    num_tokens: int
    hop_length: int
    audio: Path | None

    @property
    def is_complete(self) -> bool:
        return self.num_sampled >= self.num_tokens


@dataclass(frozen=True)
class ItemSummary:
    """An item, and its levels that have tokens, the finest first."""

    item: RunItem
    levels: tuple[LevelSummary, ...]

    def audible(self, levels: Sequence[int]) -> list[LevelSummary]:
        """Those of some levels that are complete."""
        return [each for each in self.levels if each.is_complete and each.level in levels]


@dataclass(frozen=True)
class RunSummary:
    """A run as it is on disk, and those of its items that a page shows."""

    run: OpenRun
    items: tuple[ItemSummary, ...]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.run.path.resolve().name

    @property
    def model_name(self) -> str:
        """The name of its model, without the folders that lead to it."""
        return Path(self.run.config.model).name

    def seconds(self, num_samples: int) -> float:
        return num_samples / self.run.config.sample_rate


def summarize_run(run: OpenRun) -> RunSummary:
    """The summary of a run's chosen items. InputError if one of their files is damaged."""
    return RunSummary(run, tuple(_summarize_item(run, item) for item in run.items))


def _summarize_item(run: OpenRun, item: RunItem) -> ItemSummary:
    levels = [_summarize_level(run, level, item) for level in run.levels_with_tokens(item)]
    return ItemSummary(item, tuple(levels))


def _summarize_level(run: OpenRun, level: int, item: RunItem) -> LevelSummary:
    found = run.read_tokens(level, item)
    assert found is not None, "there is a file of tokens"
    return LevelSummary(
        item.number,
        level,
        num_sampled=len(found.tokens),
        num_primed=found.num_primed,
        num_tokens=found.num_tokens,
        hop_length=found.hop_length,
        audio=run.audio_file(level, item),
    )
