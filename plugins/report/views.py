"""What the page's template is given: the facts, laid out, and sound and pictures as text."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox_cli.audio.mel import hz_to_mel
from jukebox_cli.sampling.job import Advance

from . import lyrics
from .facts import Facts, Item, Part, told
from .lyrics import Line
from .sound import Source
from .spectrogram import HEIGHT, Mel

PIECE = 3 << 16  # bytes that become base64 at a time; a multiple of three
PITCHES = (300, 1000, 3000, 10000)  # Hz
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 3600)  # seconds


@dataclass(frozen=True)
class Mark:
    """A mark of an axis: where it stands, in per cent, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class PlayerView:
    """The sound of an item at a level."""

    key: str
    title: str
    about: str
    label: str
    seconds: float
    audio: Iterator[str]  # base64
    picture: str  # base64
    alt: str
    times: list[Mark]
    pitches: list[Mark]


@dataclass(frozen=True)
class ItemView:
    """One of the pieces."""

    number: int
    state: list[str]
    conditions: dict[str, str]  # those that aren't everyone's
    players: Iterator[PlayerView]
    lines: list[Line]
    times: str  # where those of words are from: "found", "asked" for, or from nowhere


@dataclass(frozen=True)
class LevelView:
    """How a level was drawn."""

    name: str
    rate: str
    hop: str
    sampling: dict[str, str]


def item_view(
    facts: Facts, item: Item, levels: Sequence[int], source: Source, tick: Advance
) -> ItemView:
    """An item; each of its players is made when the template comes to it."""
    own = item.song if item.song != facts.asked.song else {}
    alignment = facts.alignment(item.number)
    times = _times(item, alignment)
    lines = _lines(item, alignment, times)
    players = (player(facts, item, part, source, tick) for part in audible(item, levels))
    state = [*_length(facts, item), *_unfinished(facts, item, levels)]
    return ItemView(item.number, state, told(own), players, lines, times)


def _times(item: Item, alignment: Path | None) -> str:
    if alignment:
        return "found"
    return "asked" if item.song.get("lyrics_times") else ""


def _lines(item: Item, alignment: Path | None, times: str) -> list[lyrics.Line]:
    if alignment:
        return lyrics.aligned(alignment)
    if not item.song.get("lyrics"):
        return []
    return lyrics.asked(item.song) if times else lyrics.plain(item.song)


def audible(item: Item, levels: Sequence[int]) -> list[Part]:
    """The levels of an item that can be heard, of those that are wanted."""
    return [part for part in item.parts if part.whole and part.level in levels]


def seconds(number: float) -> str:
    """`5.2 s`, `1:05 min`."""
    if number < 60:
        return f"{number:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes}:{rest:02} min"


def _length(facts: Facts, item: Item) -> Iterator[str]:
    yield seconds(facts.seconds(item.samples))
    top = item.parts[-1] if item.parts else None
    if top and top.given >= top.total:
        yield "all of it given, not drawn"
    elif top and top.given:
        yield f"the first {seconds(facts.seconds(top.given * top.hop))} given, the rest drawn"


def _unfinished(facts: Facts, item: Item, levels: Sequence[int]) -> Iterator[str]:
    there = {part.level: part for part in item.parts}
    whole = seconds(facts.seconds(item.samples))
    for level in levels:
        if level not in there or not there[level].have:
            yield f"level {level} not begun"
        elif not (part := there[level]).whole:
            drawn = facts.seconds(min(part.have * part.hop, item.samples))
            yield f"level {level} drawn to {drawn:.1f} of {whole}"


def player(facts: Facts, item: Item, part: Part, source: Source, tick: Advance) -> PlayerView:
    """The sound of a part, as it is heard, seen, and told."""
    sound = source.sound(item, part, tick)
    label = f"Item {item.number}, level {part.level}"
    rate = facts.config.sample_rate
    nyquist = f"{sound.mel.sample_rate / 2000:.3g} kHz"
    span = f"0 to {sound.seconds:.1f} seconds from left to right, 0 to {nyquist} from bottom to top"
    return PlayerView(
        key=f"item-{part.item}-level-{part.level}",
        title=f"Level {part.level}",
        about=f"{place(part.level, facts.levels)}{rate / part.hop:,.0f} tokens a second",
        label=label,
        seconds=round(sound.seconds, 3),
        audio=encoded(sound.mp3),
        picture="".join(encoded(sound.mel.png())),
        alt=f"Mel spectrogram of item {part.item}, level {part.level}: {span}; {sound.mel.words()}",
        times=times(sound.seconds),
        pitches=pitches(sound.mel),
    )


def place(level: int, levels: int) -> str:
    """What the number of a level means."""
    if levels == 1:
        return ""
    return {0: "the finest, ", levels - 1: "the coarsest, "}.get(level, "")


def encoded(data: bytes) -> Iterator[str]:
    """Base64, piece by piece."""
    for start in range(0, len(data), PIECE):
        yield base64.b64encode(data[start : start + PIECE]).decode()


def times(length: float) -> list[Mark]:
    """Seconds below a picture, seven or fewer of them."""
    step = next((s for s in STEPS if length / s <= 7), STEPS[-1])
    marks = [number * step for number in range(1, int(length / step) + 1)]
    return [Mark(round(100 * at / length, 2), _clock(at)) for at in marks if at < 0.97 * length]


def _clock(at: float) -> str:
    return f"{at:g} s" if at < 60 else f"{int(at // 60)}:{int(at % 60):02}"


def pitches(picture: Mel) -> list[Mark]:
    """Frequencies beside a picture."""
    nyquist = picture.sample_rate / 2
    shown = [hertz for hertz in PITCHES if hertz < 0.8 * nyquist]
    bands = {h: float(hz_to_mel(h) / hz_to_mel(nyquist)) * (HEIGHT + 1) - 0.5 for h in shown}
    names = {h: f"{h} Hz" if h < 1000 else f"{h // 1000} kHz" for h in shown}
    return [Mark(round(100 * (1 - band / HEIGHT), 2), names[h]) for h, band in bands.items()]


def level_views(facts: Facts) -> list[LevelView]:
    """How each level was drawn, the finest first."""
    hops = {part.level: part.hop for item in facts.items for part in item.parts}
    sampling = facts.config.sampling
    views = []
    for level, hop in enumerate(facts.config.hop_fraction):
        rate = f"{facts.config.sample_rate / hops[level]:,.0f}" if level in hops else "-"
        knobs = sampling[level] if level < len(sampling) else {}
        said = told({name: value for name, value in knobs.items() if value is not None})
        views.append(LevelView(f"Level {level}", rate, f"{hop:g}", said))
    return views
