"""The page: one HTML file with everything in it, written piece by piece."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jukebox_cli import __version__
from jukebox_cli.sampling.job import Advance
from jukebox_cli.storage.files import atomic_write

from .conditions import File
from .facts import Facts, told
from .recipe import Recipe
from .sound import Source, embedded
from .views import audible, encoded, item_view, level_views, seconds

#: What every report begins with, and nothing else that jukebox writes.
BEGINNING = "<!doctype html>\n<!-- jukebox report -->\n"
#: More players than this load their sound when they are played: browsers have a limit.
READY = 24


@dataclass(frozen=True)
class Page:
    """What goes into a page, and where its sound comes from."""

    facts: Facts
    levels: Sequence[int]
    source: Source
    recipe: Recipe

    @property
    def players(self) -> int:
        return sum(len(audible(item, self.levels)) for item in self.facts.items)

    @property
    def samples(self) -> int:
        """Of all players together, as they are embedded."""
        return sum(
            embedded(self.facts, item) * len(audible(item, self.levels))
            for item in self.facts.items
        )


def is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGINNING)) == BEGINNING.encode()


def write(page: Page, out: Path, tick: Advance = lambda count: None) -> int:
    """Writes a page, whole or not at all, with the sound of one player at a time in memory; gives
    its size in bytes."""
    with atomic_write(out) as part, part.open("wb") as file:
        return sum(file.write(text.encode()) for text in _html(page, tick))


def _html(page: Page, tick: Advance) -> Iterator[str]:
    from jinja2 import Environment, StrictUndefined

    html, css, js = (_template(f"page.{kind}") for kind in ("html", "css", "js"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["file"] = _data_uri
    facts, source, levels = page.facts, page.source, page.levels
    yield BEGINNING
    yield from environment.from_string(html).generate(
        facts=facts,
        asked=told(facts.asked.song),
        length=seconds(facts.seconds(facts.asked.num_samples)),
        items=(item_view(facts, item, levels, source, tick) for item in facts.items),
        levels=level_views(facts),
        recipe=page.recipe,
        preload="metadata" if page.players <= READY else "none",
        version=__version__,
        css=css,
        js=js,
        hashes={"style": _hash(css), "script": _hash(js)},
    )


def _template(name: str) -> str:
    return (
        resources.files(__package__)
        .joinpath("templates")
        .joinpath(name)
        .read_text(encoding="utf-8")
    )


def _hash(text: str) -> str:
    """What a content security policy knows a text by: no other script runs in the page."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _data_uri(file: File) -> str:
    kind = "audio/midi" if file.text is None else "text/plain;charset=utf-8"
    return f"data:{kind};base64,{''.join(encoded(file.data))}"
