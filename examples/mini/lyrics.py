"""Writing lyrics: verses and a chorus from a small grammar of plain, singable words.

Words are written with a hyphen between their syllables ("riv-er"), and there are few enough of them
to be learned. A line is drawn until it fits the room and rhymes, or, where no rhyme is found, fits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

Line = tuple[str, ...]

# In a pattern, a name in capitals stands for one of these words.
SLOTS: dict[str, str] = {
    "PLACE": "sky sea road land snow rain sun moon night day stream star light riv-er moun-tain "
    "o-cean gar-den cit-y shad-ow win-dow wa-ter val-ley sum-mer win-ter",
    "THING": "heart dream song name hand eyes love home whis-per sto-ry",
    "QUALITY": "gold-en sil-ver bro-ken hap-py lone-ly gen-tle bright cold warm blue",
    "ACT": "dance sing run fly wait walk dream stay shine cry",
    "REACH": "find hold feel need hear know fol-low love see want",
    "BESIDE": "un-der o-ver a-cross be-side in-to be-hind",
    "WHEN": "to-night a-gain a-lone to-day a-way now",
    "END": "free slow true deep",
}
VERSE = (
    "ACT with me",
    "we ACT WHEN",
    "the QUALITY PLACE",
    "I REACH the PLACE",
    "I ACT BESIDE the PLACE",
    "I will ACT with you WHEN",
    "I REACH the QUALITY PLACE",
    "you and I BESIDE the PLACE",
    "we will ACT BESIDE the PLACE",
    "my THING will ACT WHEN",
    "the PLACE is QUALITY and END",
    "come and ACT with me WHEN",
    "I REACH your THING in the PLACE",
    "QUALITY PLACE and QUALITY PLACE",
    "will you REACH my THING WHEN",
    "BESIDE the PLACE we ACT WHEN",
    "the PLACE and the PLACE will ACT for me",
    "un-til the morn-ing we ACT WHEN",
    "I REACH a-noth-er QUALITY PLACE",
)
CHORUS = (
    "take my hand",
    "nev-er go",
    "oh ACT with me",
    "nev-er let me go",
    "ACT with me WHEN",
    "give me your THING WHEN",
    "oh my love we ACT WHEN",
    "take me o-ver the PLACE",
    "for-ev-er you and me",
    "all my love is END",
    "oh give me the QUALITY PLACE",
    "I will nev-er let you go",
    "ev-er-y day I REACH your THING",
    "oh I REACH you in the PLACE WHEN",
    "we ACT for-ev-er you and me",
)
RHYMES = (
    "day stay to-day a-way",
    "sea free me",
    "snow go slow know road home",
    "night light bright to-night",
    "sky fly cry eyes",
    "moon you true blue",
    "star heart",
    "rain a-gain name",
    "stream dream",
    "sun run",
    "land hand",
)
_FAMILY = {word: number for number, row in enumerate(RHYMES) for word in row.split()}
TRIES = 500


@dataclass(frozen=True)
class Room:
    """How many syllables a line may have."""

    low: int
    high: int

    def holds(self, line: Line) -> bool:
        """Whether a line is long enough, and not too long."""
        return self.low <= sum(map(syllables, line)) <= self.high


def spell(word: str) -> str:
    """A word as it is printed."""
    return word.replace("-", "")


def syllables(word: str) -> int:
    """How many syllables a word has."""
    return word.count("-") + 1


def vocabulary() -> list[str]:
    """Every word that a song can have, in order."""
    rows = " ".join([*VERSE, *CHORUS]).split()
    words = {word for row in rows for word in _choices(row)}
    return sorted(words, key=spell)


def write_verse(rng: Random, count: int, room: Room) -> list[Line]:
    """Lines of which most rhyme in pairs."""
    return _stanza(rng, VERSE, count, room)


def write_chorus(rng: Random, count: int, room: Room) -> list[Line]:
    """Four lines, most of which rhyme in pairs, over and over."""
    stanza = _stanza(rng, CHORUS, min(count, 4), room)
    return [stanza[i % len(stanza)] for i in range(count)]


def _stanza(rng: Random, patterns: tuple[str, ...], count: int, room: Room) -> list[Line]:
    """Lines that differ, every second one rhyming with the one before it if it can."""
    lines: list[Line] = []
    for i in range(count):
        partner = lines[-1][-1] if i % 2 else None
        lines.append(_rhyming(rng, patterns, room, partner, lines))
    return lines


def _rhyming(
    rng: Random, patterns: tuple[str, ...], room: Room, partner: str | None, before: list[Line]
) -> Line:
    """A new line that fits and rhymes with a word, or can be rhymed with; else one that fits."""
    spare = None
    for line in _drawn(rng, patterns):
        if room.holds(line) and line not in before:
            spare = spare or line
            if _rhymes(line[-1], partner):
                return line
    if spare is None:
        raise ValueError(f"no line has {room.low} to {room.high} syllables")
    return spare


def _drawn(rng: Random, patterns: tuple[str, ...]) -> Iterator[Line]:
    """Lines at random in which no word of weight comes twice."""
    for _ in range(TRIES):
        line = tuple(rng.choice(_choices(word)) for word in rng.choice(patterns).split())
        heavy = [word for word in line if word not in ("the", "and")]
        if len(set(heavy)) == len(heavy):
            yield line


def _choices(word: str) -> list[str]:
    """The words that a word of a pattern stands for."""
    return SLOTS.get(word, word).split()


def _rhymes(word: str, partner: str | None) -> bool:
    """Whether a word rhymes with another; without one that has rhymes, whether it has some."""
    if partner is None or partner not in _FAMILY:
        return word in _FAMILY
    return word != partner and _FAMILY.get(word) == _FAMILY[partner]
