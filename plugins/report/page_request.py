"""Checks of what was asked for; what passes them is a page that can be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.api import InputError
from jukebox_cli.api.commands import parse_number_list
from jukebox_cli.api.models import Model, load_codec, pick_device
from jukebox_cli.api.runs import OpenRun

from .page import Page, is_report
from .reproduction import reproduce_run
from .run_summary import LevelSummary, RunSummary, summarize_run
from .sound import SoundSource

if TYPE_CHECKING:
    from jukebox_cli.api.nn import Codec


def build_page(run: OpenRun, levels: str | None, model_name: str | None, device: str) -> Page:
    """The page of a run's items. Loads a model only if there are tokens to decode.

    :param levels: a list of levels such as "0,2"; all if None.
    :param model_name: where the run's model is now, if not where it was.
    :raises InputError: for anything that keeps the page from being written.
    """
    summary = summarize_run(run)
    chosen = _parse_levels(run, levels)
    audible = [level for item in summary.items for level in item.audible(chosen)]
    if not audible:
        raise _nothing_to_hear(summary, chosen)
    texts = {each.item.number: run.timed_texts(each.item) for each in summary.items}
    undecoded = [level for level in audible if level.audio is None]
    codec = _load_codec(run, undecoded[0], model_name, device) if undecoded else None
    reproduction = reproduce_run(summary, _find_model(run, model_name))
    return Page(summary, chosen, SoundSource(run, codec), texts, reproduction)


def validate_page_file(path: Path) -> Path:
    """The path, if a page can be written there: nothing, or an older report.

    :raises InputError: for a folder, and for any other file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder", "name a file: --out report.html")
    if path.exists() and not is_report(path):
        raise InputError(f"{path} exists already and is not a report", "choose another --out")
    return path


def _parse_levels(run: OpenRun, text: str | None) -> Sequence[int]:
    if text is None:
        return range(run.num_levels)
    levels = parse_number_list(text, "--levels")
    if levels[-1] >= run.num_levels:
        hint = f"the top level is {run.num_levels - 1}"
        raise InputError(f"there is no level {levels[-1]}", hint)
    return levels


def _nothing_to_hear(summary: RunSummary, levels: Sequence[int]) -> InputError:
    """The error for a page without players."""
    path = summary.run.path
    complete = {each.level for item in summary.items for each in item.levels if each.is_complete}
    if complete:
        names = " or ".join(map(str, levels))
        hint = f"there is at --levels {','.join(map(str, sorted(complete)))}"
        return InputError(f"there is nothing to hear in {path} at level {names} yet", hint)
    hint = f"continue it: `jukebox upsample {path}`"
    return InputError(f"there is nothing to hear in {path} yet", hint)


def _load_codec(
    run: OpenRun, undecoded: LevelSummary, model_name: str | None, device: str
) -> Codec:
    """The run's codec. An error also says why it is needed, and how to do without it."""
    try:
        model = run.find_model(model_name)
        for level in range(run.num_levels):
            model.require_weights(f"vqvae-{level}")
    except InputError as error:
        what = f"level {undecoded.level} of item {undecoded.item} has no audio yet"
        hint = "show only what has audio: --levels 0, or --only"
        raise InputError(f"{error.message}; {what}", f"{error.hint}, or {hint}") from None
    return load_codec(model, pick_device(device))


def _find_model(run: OpenRun, model_name: str | None) -> Model | None:
    """The run's model, if it is there."""
    try:
        return run.find_model(model_name)
    except InputError:
        return None
