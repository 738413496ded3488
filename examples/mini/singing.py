"""The vocal line of a song: sung sections, the words of each line, a note for each syllable."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

from artists import ARTISTS
from lyrics import Line, SyllableRange, syllables, write_chorus, write_verse
from melody import MelodyWriter, Motif, Tone, draw_steps
from players import LEAD_ROLES
from song_plan import PlacedSection, SongPlan, plan_song
from styles import Artist

LOW, HIGH = 57, 72  # the range of the voice in MIDI pitches
MIN_LINE_SECONDS = 2.7  # a line takes the fewest bars that last so long
MIN_REST_SECONDS = 0.45  # after a line
MEAN_SYLLABLE_SECONDS = 0.43  # in a line with as many syllables as fit
MIN_STRESSED_SECONDS = 0.4  # of a stressed syllable, unless the line is too short
MAX_SYLLABLE_SECONDS = 1.2
MIN_SYLLABLE_SECONDS = 0.2
MAX_SYLLABLES = 10
UNSTRESSED_WORDS = ("the", "and", "in", "is", "my", "your", "me")
UNSTRESSED_PREFIXES = ("a-", "be-", "to-", "un-", "for-")


@dataclass(frozen=True)
class Vocals:
    """The sung sections of an artist."""

    verses: tuple[str, ...]
    choruses: tuple[str, ...]
    forms: tuple[str, ...] = ()  # instead of those of instrumental songs


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
    """A word with a note for each syllable."""

    text: str  # with hyphens between syllables
    tones: tuple[Tone, ...]  # in beats from the beginning of the song


@dataclass(frozen=True)
class SungLine:
    """A line of the lyrics."""

    words: tuple[SungWord, ...]
    section: str | None  # of the first line of a section, its name


def plan_sung(artist: str, seed: int) -> SongPlan:
    """The plan of a song in which lead instruments are silent in verses and choruses."""
    vocals = VOCALS[artist]
    style = ARTISTS[artist]
    plan = plan_song(replace(style, forms=vocals.forms or style.forms), seed)
    leads = {part.name for part in style.parts if part.role in LEAD_ROLES}
    sections = tuple(
        _without_parts(p, leads) if section_of(p.kind, vocals) else p for p in plan.sections
    )
    return replace(plan, sections=sections)


def _without_parts(placed: PlacedSection, names: set[str]) -> PlacedSection:
    """A section without some of its parts."""
    kept = {name: pattern for name, pattern in placed.patterns.items() if name not in names}
    return replace(placed, patterns=kept)


def section_of(kind: str, vocals: Vocals) -> str | None:
    """ "Verse" or "Chorus" for a sung kind of section, None for others."""
    if kind in vocals.verses:
        return "Verse"
    return "Chorus" if kind in vocals.choruses else None


def write_vocal_lines(plan: SongPlan) -> list[SungLine]:
    """Every line of a song, with notes."""
    vocals = VOCALS[plan.artist.name]
    lines: list[SungLine] = []
    verses = 0
    for placed in plan.sections:
        section = section_of(placed.kind, vocals)
        if section:
            verses += section == "Verse"
            lines += _section(plan, placed, section, verses if section == "Verse" else 0)
    return lines


def _section(plan: SongPlan, placed: PlacedSection, section: str, verse: int) -> Iterator[SungLine]:
    """The lines of one section. `verse` counts verses from 1 and is 0 for a chorus."""
    beats = _line_bars(plan) * plan.artist.beats_per_bar
    grid = _RhythmGrid.of(plan, beats)
    seed = f"{plan.artist.name}:{plan.seed}:{section}"
    rng = Random(f"{seed}:{verse}:words")
    count = max(1, placed.section.bars * plan.artist.beats_per_bar // beats)
    write = write_chorus if section == "Chorus" else write_verse
    writer = _melody_writer(plan, placed)
    for i, text in enumerate(write(rng, count, grid.syllable_range())):
        offset = placed.start + i == 0 or (section == "Verse" and rng.random() < 0.3)
        rhythm = grid.rhythm(Random(f"{seed}:{' '.join(text)}"), text, int(offset))
        motif = Motif(rhythm, _contour(seed, i, len(rhythm), plan.artist))
        close = i % 2 == 1 or i == count - 1
        tones = writer.write(motif, i * beats, _anchor(section, i, count), close)
        tones_in_song = [_in_song(tone, placed) for tone in tones]
        yield SungLine(tuple(_words(text, tones_in_song)), section if i == 0 else None)


def _line_bars(plan: SongPlan) -> int:
    """How many bars a line of text takes at the song's tempo."""
    bar = plan.artist.beats_per_bar * 60 / plan.bpm
    return next(bars for bars in (1, 2, 4) if bars * bar >= MIN_LINE_SECONDS or bars == 4)


def _melody_writer(plan: SongPlan, placed: PlacedSection) -> MelodyWriter:
    """A writer in the home key that stays low enough for sections that transpose it."""
    top = HIGH - max(section.transpose for section in plan.artist.sections.values())
    return MelodyWriter(placed.spans, plan.tonic, plan.artist.melody_scale, LOW, top)


def _contour(seed: str, line: int, count: int, artist: Artist) -> tuple[int, ...]:
    """The contour of a line's melody; the third of every four lines has another one."""
    rng = Random(f"{seed}:{'other' if line % 4 == 2 else 'idea'}:contour")
    return draw_steps(rng, MAX_SYLLABLES + 2, artist.leap_probability)[:count]


def _anchor(section: str, line: int, count: int) -> float:
    """The pitch near which a line begins: higher in choruses, and rising until the last line."""
    arch = (0.0, 2.0, 4.0, 0.0)[line % 4 if line < count - 1 else 3]
    return (65.0 if section == "Chorus" else 61.0) + arch


def _in_song(tone: Tone, placed: PlacedSection) -> Tone:
    """A note of a section, moved to its position in the song and transposed."""
    return replace(
        tone, start=tone.start + placed.start, pitch=tone.pitch + placed.section.transpose
    )


def _words(text: Line, tones: list[Tone]) -> Iterator[SungWord]:
    """The words of a line with their notes."""
    at = 0
    for word in text:
        count = syllables(word)
        yield SungWord(word, tuple(tones[at : at + count]))
        at += count


@dataclass(frozen=True)
class _RhythmGrid:
    """The steps that the rhythm of a line consists of."""

    unit: float  # beats of a step
    seconds: float  # of a step
    steps: int  # of a line that can be sung

    @classmethod
    def of(cls, plan: SongPlan, beats: int) -> _RhythmGrid:
        """Steps of an eighth, or of a quarter if eighths are too fast to sing."""
        beat = 60 / plan.bpm
        unit = 0.5 if beat / 2 >= MIN_SYLLABLE_SECONDS else 1.0
        rest = max(1, round(MIN_REST_SECONDS / (unit * beat)))
        return cls(unit, unit * beat, int(beats / unit) - rest)

    def syllable_range(self) -> SyllableRange:
        """How many syllables a line can have at a natural speed."""
        fit = int(self.steps * self.seconds / MEAN_SYLLABLE_SECONDS)
        high = max(3, min(MAX_SYLLABLES, fit, self.steps - 1))
        return SyllableRange(max(3, high - 3), high)

    def rhythm(self, rng: Random, text: Line, offset: int) -> tuple[tuple[float, float], ...]:
        """Start and length in beats of every syllable, from `offset` steps on."""
        strong = max(1, round(MIN_STRESSED_SECONDS / self.seconds))
        stressed = [s for word in text for s in _stresses(word)]
        lengths = [strong if stress else 1 for stress in stressed]
        num_steps = self.steps - offset
        while sum(lengths) > num_steps:
            lengths[lengths.index(max(lengths))] -= 1
        self._lengthen(rng, lengths, stressed, num_steps)
        positions = [offset + sum(lengths[:i]) for i in range(len(lengths))]
        return tuple(
            (s * self.unit, n * self.unit) for s, n in zip(positions, lengths, strict=True)
        )

    def _lengthen(
        self, rng: Random, lengths: list[int], stressed: list[bool], num_steps: int
    ) -> None:
        """Lengthen random stressed syllables and the last one until the line is full."""
        longest = int(MAX_SYLLABLE_SECONDS / self.seconds)
        last = len(lengths) - 1
        choices = [i for i, stress in enumerate(stressed) if stress] + [last] * 3
        for _ in range(num_steps - sum(lengths)):
            chosen = rng.choice(choices)
            if lengths[chosen] < longest:
                lengths[chosen] += 1


def _stresses(word: str) -> list[bool]:
    """Which syllables of a word are stressed."""
    count = syllables(word)
    if count == 1:
        return [word not in UNSTRESSED_WORDS]
    stressed = 1 if word.startswith(UNSTRESSED_PREFIXES) else 0
    return [i == stressed for i in range(count)]
