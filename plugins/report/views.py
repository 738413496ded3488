"""What the template of the page receives: the summary laid out, and sounds and images as text."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from jukebox_cli.api import TimedText, summarize
from jukebox_cli.api.commands import Advance

from .axes import Mark, frequency_marks, time_marks
from .run_summary import ItemSummary, LevelSummary, RunSummary
from .sound import SoundSource

#: Bytes that become base64 at a time; a multiple of three.
BASE64_BLOCK = 3 << 16


@dataclass(frozen=True)
class PlayerView:
    """The sound of an item at a level."""

    key: str
    title: str
    subtitle: str
    label: str
    seconds: float
    audio: Iterator[str]  # base64
    image: str  # base64
    alt: str
    time_marks: list[Mark]
    frequency_marks: list[Mark]


@dataclass(frozen=True)
class ItemView:
    """An item of the run."""

    number: int
    state: list[str]
    conditions: dict[str, str]  # empty if they are those of the run
    players: Iterator[PlayerView]
    texts: Sequence[TextView]


@dataclass(frozen=True)
class TextView:
    """A text beside the players."""

    key: str
    text: TimedText
    hint: Markup


@dataclass(frozen=True)
class LevelView:
    """How a level was sampled."""

    name: str
    tokens_per_second: str
    hop_fraction: str
    options: dict[str, str]


def item_view(
    summary: RunSummary,
    each: ItemSummary,
    levels: Sequence[int],
    source: SoundSource,
    texts: Sequence[TimedText],
    advance: Advance,
) -> ItemView:
    """The view of an item; each of its players is made when the template comes to it."""
    number = each.item.number
    own = {} if each.item.song == summary.run.song else summary.run.describe(each.item.song)
    players = (player_view(summary, each, level, source, advance) for level in each.audible(levels))
    state = [*_length(summary, each), *_unfinished(summary, each, levels)]
    text_views = [TextView(f"item-{number}-text-{n}", t, _hint(t)) for n, t in enumerate(texts)]
    return ItemView(number, state, own, players, text_views)


def _hint(text: TimedText) -> Markup:
    """The hint of a text as HTML: what is in backquotes is code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text.hint))))


def format_seconds(seconds: float) -> str:
    """`5.2 s`, `1:05 min`."""
    if seconds < 60:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min"


def _length(summary: RunSummary, each: ItemSummary) -> Iterator[str]:
    yield format_seconds(summary.seconds(each.item.num_samples))
    top = each.levels[-1] if each.levels else None
    if top and top.num_primed >= top.num_tokens:
        yield "all of it from a recording"
    elif top and top.num_primed:
        primed = format_seconds(summary.seconds(top.num_primed * top.hop_length))
        yield f"the first {primed} from a recording"


def _unfinished(summary: RunSummary, each: ItemSummary, levels: Sequence[int]) -> Iterator[str]:
    found = {level.level: level for level in each.levels}
    total = format_seconds(summary.seconds(each.item.num_samples))
    for level in levels:
        if level not in found or not found[level].num_sampled:
            yield f"level {level} not begun"
        elif not (part := found[level]).is_complete:
            samples = min(part.num_sampled * part.hop_length, each.item.num_samples)
            yield f"level {level} sampled to {summary.seconds(samples):.1f} of {total}"


def player_view(
    summary: RunSummary,
    each: ItemSummary,
    level: LevelSummary,
    source: SoundSource,
    advance: Advance,
) -> PlayerView:
    """The view of an item at a level, with its sound and its spectrogram."""
    sound = source.encode(each.item, level, advance)
    item, number = level.item, level.level
    rate = f"{summary.run.config.sample_rate / level.hop_length:,.0f} tokens a second"
    nyquist = f"{sound.image.sample_rate / 2000:.3g} kHz"
    axes = f"0 to {sound.seconds:.1f} seconds from left to right, 0 to {nyquist} from bottom to top"
    name = f"Mel spectrogram of item {item}, level {number}"
    return PlayerView(
        key=f"item-{item}-level-{number}",
        title=f"Level {number}",
        subtitle=f"{level_rank(number, summary.run.num_levels)}{rate}",
        label=f"Item {item}, level {number}",
        seconds=round(sound.seconds, 3),
        audio=base64_pieces(sound.mp3),
        image="".join(base64_pieces(sound.image.png())),
        alt=f"{name}: {axes}; {sound.image.description()}",
        time_marks=time_marks(sound.seconds),
        frequency_marks=frequency_marks(sound.image),
    )


def level_rank(level: int, num_levels: int) -> str:
    """`the finest, ` or `the coarsest, `; empty for levels between, and where there is only one."""
    if num_levels == 1:
        return ""
    return {0: "the finest, ", num_levels - 1: "the coarsest, "}.get(level, "")


def base64_pieces(data: bytes) -> Iterator[str]:
    """Base64, in pieces."""
    for start in range(0, len(data), BASE64_BLOCK):
        yield base64.b64encode(data[start : start + BASE64_BLOCK]).decode()


def level_views(summary: RunSummary) -> list[LevelView]:
    """How each level was sampled, the finest first."""
    config = summary.run.config
    hop_lengths = {level.level: level.hop_length for item in summary.items for level in item.levels}
    views = []
    for level, hop_fraction in enumerate(config.hop_fraction):
        rate = f"{config.sample_rate / hop_lengths[level]:,.0f}" if level in hop_lengths else "-"
        options = config.sampling[level] if level < len(config.sampling) else {}
        active = {k.replace("_", " "): summarize(v) for k, v in options.items() if v is not None}
        views.append(LevelView(f"Level {level}", rate, f"{hop_fraction:g}", active))
    return views
