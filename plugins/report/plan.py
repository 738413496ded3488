"""What a person wants to see of a run -> a page that can be written; mistakes end here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.api import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.items import parse_number_list
from jukebox_cli.sampling.run_setup import reopen_job
from jukebox_cli.storage.model import Model, find_model

from . import lyrics
from .facts import Facts, Part, facts
from .page import Page, is_report
from .recipe import recipe
from .sound import Source
from .views import audible

if TYPE_CHECKING:
    from jukebox_cli.model.vqvae import VQVAE


def plan(
    run: Path,
    registry: Registry,
    *,
    items: str | None,
    levels: str | None,
    model: str | None,
    device: str,
) -> Page:
    """The page of a run. Loads a model if there is something to decode, and only then needs one."""
    there = facts(run, None if items is None else parse_number_list(items))
    chosen = _levels(there, levels)
    parts = [part for item in there.items for part in audible(item, chosen)]
    if not parts:
        raise _nothing(there, chosen)
    for alignment in filter(None, (there.alignment(item.number) for item in there.items)):
        lyrics.aligned(alignment)  # a damaged one is told before there is work done
    silent = [part for part in parts if not part.audio]
    vqvae = _vqvae(there, registry, silent, model, device) if silent else None
    made = recipe(there, registry, _model(there, model))
    return Page(there, chosen, Source(there, vqvae), made)


def check_out(out: Path) -> Path:
    """Where the page goes; InputError when that is a folder, or a file that is no report."""
    if out.is_dir():
        raise InputError(f"{out} is a folder", "name a file: --out report.html")
    if out.exists() and not is_report(out):
        raise InputError(f"{out} is there already and is not a report", "choose another --out")
    return out


def _levels(facts: Facts, said: str | None) -> Sequence[int]:
    if said is None:
        return range(facts.levels)
    chosen = parse_number_list(said, "--levels")
    if chosen[-1] >= facts.levels:
        raise InputError(f"there is no level {chosen[-1]}", f"the top level is {facts.levels - 1}")
    return chosen


def _nothing(facts: Facts, levels: Sequence[int]) -> InputError:
    """Why there is nothing to hear."""
    path = facts.run.path
    others = {part.level for item in facts.items for part in item.parts if part.whole}
    if others:
        wanted = " or ".join(map(str, levels))
        hint = f"there is at --levels {','.join(map(str, sorted(others)))}"
        return InputError(f"there is nothing to hear in {path} at level {wanted} yet", hint)
    hint = f"go on with it: `jukebox upsample {path}`"
    return InputError(f"there is nothing to hear in {path} yet", hint)


def _vqvae(
    facts: Facts, registry: Registry, silent: Sequence[Part], model: str | None, device: str
) -> VQVAE:
    """What decodes the parts that have no audio yet."""
    try:
        found = reopen_job(facts.run.path, registry, None, model).model
        for level in range(found.config.vqvae.num_levels):
            found.require_weights(f"vqvae-{level}")
    except InputError as error:
        first = silent[0]
        what = f"level {first.level} of item {first.item} has no audio yet"
        hint = "show only what has: --levels 0, or --only"
        raise InputError(f"{error.message}; {what}", f"{error.hint}, or {hint}") from None
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_vqvae

    return load_vqvae(found, pick_device(device))


def _model(facts: Facts, said: str | None) -> Model | None:
    """The model of the run, if it is there and the same."""
    try:
        found = find_model(said or facts.config.model)
        return found if found.fingerprint() == facts.config.fingerprint else None
    except InputError:
        return None
