"""Singing: which sections an artist sings, the words of each line, and a note to every syllable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from lyrics import Line, Room, syllables, write_chorus, write_verse
from melody import Motif, Singer, Tone, draw_steps
from players import LEAD_ROLES
from song_plan import Placed, Plan, plan_song
from styles import ARTISTS, Artist

LOW, HIGH = 57, 72  # the range of the voice
LINE_SECONDS = 2.7  # a line takes the fewest bars that last as long
REST_SECONDS = 0.45  # at least, after a line
SYLLABLE_SECONDS = 0.43  # on the average, where a line is full
STRONG_SECONDS = 0.4  # what a stressed syllable gets before any is drawn out
LONGEST_SECONDS = 1.2
SHORTEST_SECONDS = 0.2
MOST_SYLLABLES = 10
WEAK = ("the", "and", "in", "is", "my", "your", "me")
SHORT_STARTS = ("a-", "be-", "to-", "un-", "for-")


@dataclass(frozen=True)
class Vocals:
    """The sections that an artist sings as verses and as choruses, and forms that suit it."""

    verses: tuple[str, ...]
    choruses: tuple[str, ...]
    forms: tuple[str, ...] = ()


VOCALS: dict[str, Vocals] = {
    "Iron Lantern": Vocals(("verse",), ("chorus",)),
    "Paper Harbour": Vocals(("verse",), ("chorus", "last")),
    "The Tidal Zephyrs": Vocals(("verse",), ("chorus",)),
    "Blue Ledger Trio": Vocals(
        ("A", "out"), ("B",), ("intro A A B solo A B", "A B solo A B out", "intro A B A B solo out")
    ),
    "Praia Lenta": Vocals(
        ("A",), ("B",), ("intro A A B quiet A B", "A B A B quiet B", "intro A B quiet A B A")
    ),
    "Brass Alley Five": Vocals(
        ("head",), ("organ",), ("head organ tenor organ", "intro head organ tenor organ")
    ),
    "Quartetto Alderwood": Vocals(("A",), ("B",), ("A B C A B", "A B A B coda", "A A B C B")),
    "Mirela Voss": Vocals(("A",), ("B",), ("A B C A B", "A A B C A B", "A B A B C B")),
    "The Collegium Bellmere": Vocals(
        ("A",), ("B",), ("A B sequence A B", "A A B sequence B", "A B A B close")
    ),
    "Neon Parcel": Vocals(("groove", "break"), ("drop",)),
    "Vector Sunset": Vocals(("verse",), ("chorus", "out")),
    "Slow Aurora": Vocals(("float",), ("beat",)),
}


@dataclass(frozen=True)
class SungWord:
    """A word (its syllables hyphenated) and a tone for each of them, in beats of the song."""

    text: str
    tones: tuple[Tone, ...]


@dataclass(frozen=True)
class SungLine:
    """The words of a line; `section` is named by the first line of one."""

    words: tuple[SungWord, ...]
    section: str | None


def plan_sung(artist: str, seed: int) -> Plan:
    """A song to sing: lead instruments leave its verses and choruses to the voice."""
    vocals = VOCALS[artist]
    style = ARTISTS[artist]
    plan = plan_song(replace(style, forms=vocals.forms or style.forms), seed)
    leads = {part.name for part in style.parts if part.role in LEAD_ROLES}
    placed = tuple(_without(p, leads) if section_of(p.kind, vocals) else p for p in plan.placed)
    return replace(plan, placed=placed)


def _without(placed: Placed, names: set[str]) -> Placed:
    """A section in which some parts are silent."""
    kept = {name: pattern for name, pattern in placed.playing.items() if name not in names}
    return replace(placed, playing=kept)


def section_of(kind: str, vocals: Vocals) -> str | None:
    """What a kind of section is when it is sung; None where it is not."""
    if kind in vocals.verses:
        return "Verse"
    return "Chorus" if kind in vocals.choruses else None


def sing_song(plan: Plan) -> list[SungLine]:
    """Every line of a song, set to music."""
    vocals = VOCALS[plan.artist.name]
    lines: list[SungLine] = []
    verses = 0
    for placed in plan.placed:
        section = section_of(placed.kind, vocals)
        if section:
            verses += section == "Verse"
            lines += _section(plan, placed, section, verses if section == "Verse" else 0)
    return lines


def _section(plan: Plan, placed: Placed, section: str, verse: int) -> Iterator[SungLine]:
    """The lines of one section; verses are counted from 1, and every chorus is 0."""
    beats = _line_bars(plan) * plan.artist.beats
    grid = _Grid.of(plan, beats)
    seed = f"{plan.artist.name}:{plan.seed}:{section}"
    rng = Random(f"{seed}:{verse}:words")
    count = max(1, placed.section.bars * plan.artist.beats // beats)
    write = write_chorus if section == "Chorus" else write_verse
    singer = _singer(plan, placed)
    for i, text in enumerate(write(rng, count, grid.room())):
        late = placed.start + i == 0 or (section == "Verse" and rng.random() < 0.3)
        rhythm = grid.rhythm(Random(f"{seed}:{' '.join(text)}"), text, int(late))
        motif = Motif(rhythm, _contour(seed, i, len(rhythm), plan.artist))
        close = i % 2 == 1 or i == count - 1
        tones = singer.sing(motif, i * beats, _anchor(section, i, count), close)
        moved = [_moved(tone, placed) for tone in tones]
        yield SungLine(tuple(_words(text, moved)), section if i == 0 else None)


def _line_bars(plan: Plan) -> int:
    """How many bars a line of text takes at the song's tempo."""
    bar = plan.artist.beats * 60 / plan.bpm
    return next(bars for bars in (1, 2, 4) if bars * bar >= LINE_SECONDS or bars == 4)


def _singer(plan: Plan, placed: Placed) -> Singer:
    """The melody's rules, in the home key, with room above it for a section that lifts it."""
    top = HIGH - max(section.lift for section in plan.artist.sections.values())
    return Singer(placed.spans, plan.tonic, plan.artist.melody_scale, LOW, top)


def _contour(seed: str, line: int, count: int, artist: Artist) -> tuple[int, ...]:
    """The shape of a line's tune: the third of every four differs from the others."""
    rng = Random(f"{seed}:{'other' if line % 4 == 2 else 'idea'}:contour")
    return draw_steps(rng, MOST_SYLLABLES + 2, artist.leap)[:count]


def _anchor(section: str, line: int, count: int) -> float:
    """The pitch near which a line begins: choruses lie higher, and a section rises and falls."""
    arch = (0.0, 2.0, 4.0, 0.0)[line % 4 if line < count - 1 else 3]
    return (65.0 if section == "Chorus" else 61.0) + arch


def _moved(tone: Tone, placed: Placed) -> Tone:
    """A section's tone in its place in the song, and lifted with the section."""
    return replace(tone, start=tone.start + placed.start, pitch=tone.pitch + placed.section.lift)


def _words(text: Line, tones: list[Tone]) -> Iterator[SungWord]:
    """Share a line's tones out to its words."""
    at = 0
    for word in text:
        count = syllables(word)
        yield SungWord(word, tuple(tones[at : at + count]))
        at += count


@dataclass(frozen=True)
class _Grid:
    """The steps in which a line's rhythm is laid out."""

    unit: float  # beats
    seconds: float  # of a unit
    steps: int  # that can be sung in a line

    @classmethod
    def of(cls, plan: Plan, beats: int) -> _Grid:
        """Eighths, or quarters where eighths are too fast to sing."""
        beat = 60 / plan.bpm
        unit = 0.5 if beat / 2 >= SHORTEST_SECONDS else 1.0
        rest = max(1, round(REST_SECONDS / (unit * beat)))
        return cls(unit, unit * beat, int(beats / unit) - rest)

    def room(self) -> Room:
        """How many syllables sound neither hurried nor sparse."""
        fit = int(self.steps * self.seconds / SYLLABLE_SECONDS)
        high = max(3, min(MOST_SYLLABLES, fit, self.steps - 1))
        return Room(max(3, high - 3), high)

    def rhythm(self, rng: Random, text: Line, late: int) -> tuple[tuple[float, float], ...]:
        """Start and length in beats of every syllable, `late` steps after the line's beginning."""
        strong = max(1, round(STRONG_SECONDS / self.seconds))
        stressed = [s for word in text for s in _stresses(word)]
        lengths = [strong if stress else 1 for stress in stressed]
        room = self.steps - late
        while sum(lengths) > room:
            lengths[lengths.index(max(lengths))] -= 1
        self._draw_out(rng, lengths, stressed, room)
        starts = [late + sum(lengths[:i]) for i in range(len(lengths))]
        return tuple((s * self.unit, n * self.unit) for s, n in zip(starts, lengths, strict=True))

    def _draw_out(self, rng: Random, lengths: list[int], stressed: list[bool], room: int) -> None:
        """Give what room is left to the last syllable and to stressed ones."""
        longest = int(LONGEST_SECONDS / self.seconds)
        last = len(lengths) - 1
        choices = [i for i, stress in enumerate(stressed) if stress] + [last] * 3
        for _ in range(room - sum(lengths)):
            chosen = rng.choice(choices)
            if lengths[chosen] < longest:
                lengths[chosen] += 1


def _stresses(word: str) -> list[bool]:
    """Which syllables of a word are stressed."""
    count = syllables(word)
    if count == 1:
        return [word not in WEAK]
    stressed = 1 if word.startswith(SHORT_STARTS) else 0
    return [i == stressed for i in range(count)]
