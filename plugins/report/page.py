"""The page: one HTML file with everything in it, written one player at a time."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from jukebox_cli.api import TimedText
from jukebox_cli.api.commands import Advance
from jukebox_cli.api.files import atomic_write

from .reproduction import Reproduction
from .run_summary import RunSummary
from .sound import SoundSource, num_embedded_samples
from .views import base64_pieces, format_seconds, item_view, level_views

#: How every report begins, and no other file of jukebox.
FIRST_LINES = "<!doctype html>\n<!-- jukebox report -->\n"
#: With more players than this, a page loads a sound when it is played: browsers have a limit.
MAX_PRELOADED = 24


@dataclass(frozen=True)
class Page:
    """What a page shows.

    levels: the levels to show.
    texts: the texts of each item, by its number.
    """

    summary: RunSummary
    levels: Sequence[int]
    source: SoundSource
    texts: Mapping[int, Sequence[TimedText]]
    reproduction: Reproduction

    @property
    def num_players(self) -> int:
        return sum(len(item.audible(self.levels)) for item in self.summary.items)

    @property
    def num_samples(self) -> int:
        """Of all players together, at the rate of the embedded audio."""
        rate = self.summary.run.config.sample_rate
        return sum(
            num_embedded_samples(each.item.num_samples, rate) * len(each.audible(self.levels))
            for each in self.summary.items
        )


def is_report(path: Path) -> bool:
    """Whether a file is a page that `write_page` wrote."""
    with path.open("rb") as file:
        return file.read(len(FIRST_LINES)) == FIRST_LINES.encode()


def write_page(page: Page, out: Path, advance: Advance = lambda count: None) -> int:
    """Write a page, completely or not at all, and return its size in bytes.

    The sound of one player at a time is in memory.

    :param advance: called with the numbers of samples that were encoded.
    """
    with atomic_write(out) as part, part.open("wb") as file:
        return sum(file.write(text.encode()) for text in _html(page, advance))


def _html(page: Page, advance: Advance) -> Iterator[str]:
    from jinja2 import Environment, StrictUndefined

    html, css, js = (_read_template(f"page.{suffix}") for suffix in ("html", "css", "js"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    summary, run = page.summary, page.summary.run
    views = (
        item_view(summary, each, page.levels, page.source, page.texts[each.item.number], advance)
        for each in summary.items
    )
    yield FIRST_LINES
    yield from environment.from_string(html).generate(
        summary=summary,
        config=run.config,
        conditions=run.describe(run.song),
        length=format_seconds(summary.seconds(run.num_samples)) if run.num_samples else "",
        items=views,
        levels=level_views(summary),
        recordings=recording_names(summary),
        reproduction=page.reproduction,
        files=[FileView.of(*file) for file in page.reproduction.files],
        preload="metadata" if page.num_players <= MAX_PRELOADED else "none",
        version=version("jukebox-cli"),
        css=css,
        js=js,
        hashes={"style": _content_hash(css), "script": _content_hash(js)},
    )


@dataclass(frozen=True)
class FileView:
    """A file that a command reads. uri: its content as a data URI; text: if it is one, its text."""

    name: str
    uri: str
    text: str | None

    @classmethod
    def of(cls, name: str, content: bytes) -> FileView:
        try:
            text: str | None = content.decode("utf-8")
        except UnicodeDecodeError:
            text = None
        kind = "application/octet-stream" if text is None else "text/plain;charset=utf-8"
        return cls(name, f"data:{kind};base64,{''.join(base64_pieces(content))}", text)


def recording_names(summary: RunSummary) -> dict[str, str]:
    """The hash of each recording that items begin with, by its name."""
    prompts = (each.item.segments[0].prompt for each in summary.items)
    return {prompt.name: prompt.audio_hash for prompt in prompts if prompt}


def _read_template(name: str) -> str:
    templates = resources.files(__package__).joinpath("templates")
    return templates.joinpath(name).read_text(encoding="utf-8")


def _content_hash(text: str) -> str:
    """The hash by which a content security policy allows a style or script, and no other."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
