"""The levels of a run's items, for a report."""

from __future__ import annotations

from pathlib import Path

from jukebox_plugins.report.run_summary import summarize_run

from jukebox_cli.api.runs import open_run
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.report_pages import truncate


def test_the_levels_of_items_are_listed(run: Path, tiny: Model, registry: Registry) -> None:
    truncate(run, tiny, 1, 0, 100)
    summary = summarize_run(open_run(registry, run))
    assert (summary.name, summary.model_name, summary.seconds(4000)) == ("song", "tiny", 0.5)
    first, second = summary.items
    assert [x.hop_length for x in first.levels] == [4, 8, 16]
    assert [x.num_tokens for x in first.levels] == [1000, 500, 250]
    assert [x.num_sampled for x in first.levels] == [1000, 100, 250]
    assert [x.level for x in first.audible(range(3))] == [0, 2]
    assert [x.level for x in second.audible((1, 2))] == [1, 2]
    assert [x.audio for x in second.levels] == [run / "audio" / "item-01.wav", None, None]


def test_some_items_can_be_selected(run: Path, registry: Registry) -> None:
    summary = summarize_run(open_run(registry, run, "1"))
    assert [each.item.number for each in summary.items] == [1]
