"""Writes lyrics from a small grammar of about a hundred plain words.

Words have hyphens between their syllables ("riv-er"). A line is drawn at random until it has the
right number of syllables and rhymes, or the right number of syllables if no rhyme is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

Line = tuple[str, ...]

# A name in capitals in a pattern stands for one of these words.
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
MAX_DRAWS = 500


@dataclass(frozen=True)
class SyllableRange:
    """How many syllables a line can have."""

    low: int
    high: int

    def contains(self, line: Line) -> bool:
        """Whether a line has as many syllables."""
        return self.low <= sum(map(syllables, line)) <= self.high


def spell(word: str) -> str:
    """A word without its hyphens."""
    return word.replace("-", "")


def syllables(word: str) -> int:
    """The number of syllables of a word."""
    return word.count("-") + 1


def vocabulary() -> list[str]:
    """All words of the grammar, in alphabetical order."""
    rows = " ".join([*VERSE, *CHORUS]).split()
    words = {word for row in rows for word in _choices(row)}
    return sorted(words, key=spell)


def write_verse(rng: Random, count: int, syllable_range: SyllableRange) -> list[Line]:
    """`count` different lines, most of which rhyme in pairs."""
    return _stanza(rng, VERSE, count, syllable_range)


def write_chorus(rng: Random, count: int, syllable_range: SyllableRange) -> list[Line]:
    """`count` lines: up to four different ones, repeated."""
    stanza = _stanza(rng, CHORUS, min(count, 4), syllable_range)
    return [stanza[i % len(stanza)] for i in range(count)]


def _stanza(
    rng: Random, patterns: tuple[str, ...], count: int, syllable_range: SyllableRange
) -> list[Line]:
    """Different lines; every second one rhymes with the one before it, if a rhyme is found."""
    lines: list[Line] = []
    for i in range(count):
        partner = lines[-1][-1] if i % 2 else None
        lines.append(_rhyming_line(rng, patterns, syllable_range, partner, lines))
    return lines


def _rhyming_line(
    rng: Random,
    patterns: tuple[str, ...],
    syllable_range: SyllableRange,
    partner: str | None,
    before: list[Line],
) -> Line:
    """A line that is not in `before` and rhymes with `partner` (or has a rhyme, if there is no
    partner). If none is found, a line that does not rhyme."""
    fallback = None
    for line in _random_lines(rng, patterns):
        if syllable_range.contains(line) and line not in before:
            fallback = fallback or line
            if _rhymes(line[-1], partner):
                return line
    if fallback is None:
        raise ValueError(f"no line has {syllable_range.low} to {syllable_range.high} syllables")
    return fallback


def _random_lines(rng: Random, patterns: tuple[str, ...]) -> Iterator[Line]:
    """Random lines in which no word but "the" and "and" comes twice."""
    for _ in range(MAX_DRAWS):
        line = tuple(rng.choice(_choices(word)) for word in rng.choice(patterns).split())
        content = [word for word in line if word not in ("the", "and")]
        if len(set(content)) == len(content):
            yield line


def _choices(word: str) -> list[str]:
    """The words that a name in a pattern stands for; any other word stands for itself."""
    return SLOTS.get(word, word).split()


def _rhymes(word: str, partner: str | None) -> bool:
    """Whether a word rhymes with `partner`; without a partner that has rhymes, whether the word
    has any."""
    if partner is None or partner not in _FAMILY:
        return word in _FAMILY
    return word != partner and _FAMILY.get(word) == _FAMILY[partner]
