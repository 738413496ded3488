"""The artists: invented bands, each a table row of instruments, grooves, harmony and forms.

A section's arrangement is text, "part=pattern" words: what each part plays there ("a|b" offers
a choice, made once a song). Patterns are named in `patterns.py`, with spaces for underscores; for
a lead part the pattern is the name of a theme, whose rhythm cells the artist lists. Sections that
name the same theme share its melody, and a theme marked * is improvised anew each time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One player: what it does (role), its General MIDI program, range and level.

    `voices` is the size of its chords; `ring` the beats an arpeggio's notes last beyond their step;
    `strum` the seconds between the strings of a chord; `touch` how much of a written length sounds.
    """

    name: str
    role: str
    program: int
    low: int
    high: int
    gain_db: float = 0.0
    voices: int = 3
    ring: float = 0.0
    strum: float = 0.0
    touch: float = 0.95


@dataclass(frozen=True)
class Section:
    """A kind of section: bars, the progressions to draw from, and the arrangement.

    `lift` moves the whole section up by semitones, for a last chorus in a higher key.
    """

    bars: int
    progressions: tuple[str, ...]
    arrangement: str
    energy: float = 0.7
    lift: int = 0

    def options(self) -> dict[str, list[str]]:
        """The patterns that each part may play here, by the part's name."""
        pairs = (word.split("=") for word in self.arrangement.split())
        return {name: patterns.replace("_", " ").split("|") for name, patterns in pairs}


@dataclass(frozen=True)
class Artist:
    """Everything that makes a band sound like itself."""

    name: str
    genre: str
    tempo: tuple[int, int]
    tonics: tuple[int, ...]
    scale: str
    melody_scale: str
    parts: tuple[Part, ...]
    sections: dict[str, Section]
    forms: tuple[str, ...]
    cells: dict[str, tuple[str, ...]]
    fill: str = ""
    kit: int = 0
    beats: int = 4
    swing: float = 0.5
    leap: float = 0.18
    loose: float = 0.006
    close: str = "I"
    crash: bool = True


def drums(gain_db: float = 0.0) -> Part:
    """A drum part; its kit is the artist's."""
    return Part("drums", "drums", 0, 0, 127, gain_db)


IRON_LANTERN = Artist(
    "Iron Lantern",
    "rock",
    (132, 152),
    (40, 42, 45, 38),
    "minor",
    "minor pentatonic",
    parts=(
        Part("gtr", "power", 30, 40, 63, -3, touch=0.9),
        Part("lead", "lead", 29, 62, 84, 4),
        Part("bass", "bass", 34, 28, 45, 4),
        drums(1),
    ),
    sections={
        "intro": Section(4, ("i i bVI bVII",), "gtr=mute_gallop drums=rock_half", 0.65),
        "verse": Section(
            8,
            ("i i bVI bVII i i bIII bVII", "i bVII bVI bVI i bVII iv iv"),
            "gtr=mute|mute_gallop bass=eighths|drive drums=rock lead=verse",
            0.65,
        ),
        "chorus": Section(
            8,
            ("bVI bVII i i bVI bVII i bIII", "i bVI bIII bVII i bVI bIII bVII"),
            "gtr=open|open_long|eighths bass=drive|eighths drums=rock_ride|rock lead=hook",
            0.95,
        ),
        "solo": Section(
            8,
            ("i bVII bVI bVII i bVII bVI V",),
            "gtr=mute_gallop bass=eighths drums=rock lead=solo*",
            0.85,
        ),
        "break": Section(4, ("iv iv bVI bVII",), "gtr=open_long bass=whole drums=rock_half", 0.6),
    },
    forms=(
        "intro verse chorus verse chorus solo chorus",
        "intro verse verse chorus break verse chorus solo chorus",
        "intro chorus verse chorus break solo chorus",
    ),
    cells={
        "verse": ("x---x-x---......", "..x-x-x-x---....", "x-----x-x---....", "x-x-x---x-------"),
        "hook": ("x-----x-x---x---", "x---x---x-x-x---", "x-------x-x-x---"),
        "solo": ("x-x-x-x-x-x-x-x-", "x-x-x---x-x-x-x-", "xxx-xxx-x-x-x---", "x---x-x-xxx-x---"),
    },
    fill="rock",
    kit=16,
    close="i",
)

PAPER_HARBOUR = Artist(
    "Paper Harbour",
    "rock",
    (72, 84),
    (48, 50, 43, 45),
    "major",
    "major",
    parts=(
        Part("gtr", "arp", 25, 48, 72, -3, voices=4, ring=0.75),
        Part("piano", "chords", 0, 52, 72, 3, strum=0.01),
        Part("strings", "chords", 48, 55, 76, -11, touch=1.0),
        Part("lead", "lead", 22, 65, 84, 4),
        Part("bass", "bass", 33, 28, 45, -4),
        drums(0),
    ),
    sections={
        "intro": Section(2, ("I IVadd9",), "gtr=picking", 0.45),
        "verse": Section(
            8,
            ("I V_3 vi IV I V_3 IV V", "I iii7 IV V vi iii7 IV V"),
            "gtr=picking|rolling lead=verse bass=ballad|half drums=ballad_soft",
            0.55,
        ),
        "chorus": Section(
            8,
            ("IV V I vi IV V I I", "vi IV I V vi IV V I"),
            "piano=ballad|half strings=whole lead=hook bass=ballad drums=ballad gtr=picking",
            0.85,
        ),
        "bridge": Section(
            4,
            ("ii7 vi IV V", "bVII IV bVII V"),
            "piano=quarters strings=whole bass=half drums=ballad_big",
            0.75,
        ),
        "last": Section(
            8,
            ("IV V I vi IV V I I", "vi IV I V vi IV V I"),
            "piano=quarters strings=half lead=hook bass=ballad drums=ballad_big gtr=picking",
            1.0,
            lift=2,
        ),
    },
    forms=(
        "intro verse chorus bridge chorus",
        "intro verse chorus verse last",
        "intro verse chorus bridge last",
    ),
    cells={
        "verse": ("x---x-x-x-------", "..x-x-x-x---x---", "x-----x-x-------", "x-x-x---x-----x-"),
        "hook": ("x-------x---x---", "x-----x-x-------", "x---x---x-------"),
    },
    fill="soft",
    close="I",
)

TIDAL_ZEPHYRS = Artist(
    "The Tidal Zephyrs",
    "rock",
    (160, 178),
    (40, 45, 43),
    "harmonic",
    "harmonic",
    parts=(
        Part("lead", "lead", 27, 57, 79, 4),
        Part("gtr", "chords", 26, 52, 70, -6, strum=0.008, touch=0.7),
        Part("organ", "chords", 18, 60, 76, -11, touch=1.0),
        Part("bass", "bass", 34, 28, 45, 0),
        drums(-1),
    ),
    sections={
        "intro": Section(4, ("i i V V", "i i i i"), "lead=riff drums=surf_toms", 0.8),
        "verse": Section(
            8,
            ("i i iv iv i i V V", "i bVII bVI V i bVII bVI V"),
            "lead=verse gtr=surf|surf_strum bass=surf_roots|surf drums=surf",
            0.75,
        ),
        "chorus": Section(
            8,
            ("iv iv i i bVI bVI V V", "bIII bVII i i bVI iv V V"),
            "lead=hook gtr=surf_strum organ=whole bass=surf drums=surf",
            0.9,
        ),
        "break": Section(
            8,
            ("i i i i V V V V", "bVI bVI i i bVI bVI V V"),
            "lead=tremolo bass=surf drums=surf_toms",
            0.8,
        ),
    },
    forms=(
        "intro verse verse chorus verse break chorus verse",
        "intro verse chorus verse chorus break verse chorus",
        "intro verse verse chorus break verse verse chorus",
    ),
    cells={
        "riff": ("x-x-x-x-x---....", "x-x-x-x-x-x-x---"),
        "verse": ("x---x-x-x-x-x---", "x-x-x-x-x---x---", "x-x-x---x-x-x---"),
        "hook": ("x-------x---x---", "x-----x-x-------", "x---x---x---x-x-"),
        "tremolo": ("xxxxxxxxxxxxxxxx", "xxxxxxxxxxxxx---", "xxxxxxxxx-x-x-x-"),
    },
    fill="rock",
    kit=8,
    leap=0.1,
    close="i",
)

TRIO_CHANGES = (
    "Imaj7 vi7 ii7 V7 iii7 VI7 ii7/V7 I6",
    "ii7 V7 Imaj7 vi7 ii7 V7 I6 I6",
    "Imaj7 VI7 ii7 V7 Imaj7/VI7 ii7/V7 I6 I6",
)

BLUE_LEDGER = Artist(
    "Blue Ledger Trio",
    "jazz",
    (150, 186),
    (48, 53, 46, 51),
    "major",
    "major",
    parts=(
        Part("lead", "lead", 0, 67, 90, 4),
        Part("comp", "chords", 0, 50, 69, -6, voices=4, touch=0.8),
        Part("bass", "bass", 32, 28, 50, -12),
        drums(-7),
    ),
    sections={
        "intro": Section(
            4, ("Imaj7/vi7 ii7/V7 iii7/VI7 ii7/V7",), "comp=charleston bass=two drums=brush", 0.55
        ),
        "A": Section(
            8, TRIO_CHANGES, "lead=head comp=charleston|swing bass=two|walk drums=swing", 0.65
        ),
        "B": Section(
            8,
            ("iv7 bVII7 bIIImaj7 bIIImaj7 ii7 V7 ii7 V7", "III7 III7 VI7 VI7 II7 II7 V7 V7"),
            "lead=bridge comp=swing bass=walk drums=swing",
            0.7,
        ),
        "solo": Section(
            16,
            ("Imaj7 vi7 ii7 V7 iii7 VI7 ii7/V7 I6 Imaj7 vi7 ii7 V7 iii7 VI7 ii7/V7 I6",),
            "lead=solo* comp=swing_busy bass=walk drums=swing_drive",
            0.85,
        ),
        "out": Section(8, TRIO_CHANGES, "lead=head comp=swing bass=walk drums=swing_drive", 0.85),
    },
    forms=("intro A A B A solo B out", "A A B A solo A", "intro A A B A solo out"),
    cells={
        "head": ("x-----x-..x-x---", "..x-x-x-x-----..", "x---x-x-..x-----", "......x-x-x-x---"),
        "bridge": ("x-------x-x-x---", "x---x---x-x-x-x-", "..x-x---x-------"),
        "solo": ("x-x-x-x-x-x-x-x-", "..x-x-x-x-x-x-x-", "x-x-x-x-x---....", "x---x-x-x-x-x-x-"),
    },
    fill="jazz",
    crash=False,
    kit=32,
    swing=0.64,
    leap=0.2,
    loose=0.009,
    close="I6",
)

PRAIA_LENTA = Artist(
    "Praia Lenta",
    "jazz",
    (125, 138),
    (48, 50, 53, 45),
    "major",
    "major",
    parts=(
        Part("lead", "lead", 73, 72, 91, 4),
        Part("gtr", "chords", 24, 50, 69, -2, voices=4, strum=0.006, touch=0.85),
        Part("bass", "bass", 32, 28, 45, 0),
        drums(-6),
    ),
    sections={
        "intro": Section(4, ("Imaj9 ii7 Imaj9 V9",), "gtr=bossa drums=bossa_light", 0.5),
        "A": Section(
            8,
            (
                "Imaj9 Imaj9 II9 II9 ii7 V7 Imaj9 bII7",
                "Imaj7 vi7 ii7 V7 iii7 VI7 ii7 V7",
                "Imaj9 iv7 Imaj9 iv7 iii7 VI7 ii9 V7",
            ),
            "lead=song gtr=bossa bass=bossa drums=bossa",
            0.65,
        ),
        "B": Section(
            8,
            ("bIImaj7 bIImaj7 bV7 bV7 iv7 bVII7 ii7 V7", "vi7 vi7 II9 II9 ii7 ii7 V7 V7"),
            "lead=bridge gtr=bossa bass=bossa drums=bossa",
            0.75,
        ),
        "quiet": Section(
            8,
            ("Imaj9 Imaj9 II9 II9 ii7 V7 Imaj9 bII7",),
            "lead=solo* gtr=bossa bass=half drums=bossa_light",
            0.6,
        ),
    },
    forms=("intro A A B A quiet B A", "A A B A quiet A", "intro A B A quiet A B A"),
    cells={
        "song": ("x-----x---x-----", "..x-x---x-----..", "x---..x-----x---", "x-----x-----x---"),
        "bridge": ("x-----------x---", "x-------x---x---", "..x---x---x-----"),
        "solo": ("..x-x-x-x---x---", "x-x---x---x-x---", "x---x-x-----..x-"),
    },
    fill="bossa",
    crash=False,
    kit=32,
    leap=0.14,
    loose=0.007,
    close="Imaj9",
)

BRASS_ALLEY = Artist(
    "Brass Alley Five",
    "jazz",
    (108, 128),
    (46, 53, 48, 51),
    "mixolydian",
    "blues",
    parts=(
        Part("tenor", "lead", 66, 53, 72, 1),
        Part("trumpet", "third", 56, 58, 78, 4),
        Part("organ", "chords", 17, 50, 69, -8, voices=4, touch=0.8),
        Part("bass", "bass", 32, 28, 50, -1),
        drums(4),
    ),
    sections={
        "intro": Section(4, ("I7 IV7 I7 V7",), "organ=organ_hold bass=walk drums=shuffle", 0.6),
        "head": Section(
            12,
            (
                "I7 IV7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7/VI7 ii7/V7",
                "i7 i7 i7 i7 iv7 iv7 i7 i7 bVI7 V7 i7 V7",
            ),
            "tenor=head trumpet=tenor organ=organ|swing|charleston bass=walk drums=shuffle",
            0.8,
        ),
        "tenor": Section(
            12,
            ("I7 IV7 I7 I7 IV7 IV7 I7 VI7 ii7 V7 I7/VI7 ii7/V7",),
            "tenor=solo* organ=organ bass=walk drums=shuffle",
            0.75,
        ),
        "organ": Section(
            12,
            ("I7 I7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7",),
            "tenor=riff trumpet=tenor organ=swing bass=walk drums=swing_drive",
            0.7,
        ),
    },
    forms=("intro head head tenor head", "head tenor organ head", "intro head organ tenor head"),
    cells={
        "head": ("x-x-x---..x-x---", "x---..x-x---....", "..x-x-x---x-....", "x-x---x-x-------"),
        "solo": (
            "x-x-x-x-x-x-x---",
            "..x-x-x-x---..x-",
            "x-x-x---x-x-x-x-",
            "x-----x-x-x-....",
        ),
        "riff": ("x-x---......x---", "..x-x---........"),
    },
    fill="jazz",
    crash=False,
    swing=0.66,
    leap=0.22,
    loose=0.009,
    close="I9",
)

ALDERWOOD = Artist(
    "Quartetto Alderwood",
    "classical",
    (94, 112),
    (50, 55, 48, 57),
    "major",
    "major",
    parts=(
        Part("violin", "lead", 40, 67, 88, 4, touch=1.0),
        Part("second", "chords", 40, 57, 72, -2, voices=2, touch=0.9),
        Part("viola", "arp", 41, 50, 65, 3, voices=3),
        Part("cello", "bass", 42, 36, 55, 3, touch=1.0),
    ),
    sections={
        "A": Section(
            8,
            ("I I V7_3 I IV I_5 V7 I", "I vi ii V I IV I_5/V7 I", "I V_3 vi iii IV I_3 ii/V7 I"),
            "violin=theme second=inner_offbeats|inner_long viola=alberti|rolling cello=cello_long",
            0.65,
        ),
        "B": Section(
            8,
            ("V V7 I I II7_3 V II7 V", "V_3 I VI7_3 ii V7_3 I II7 V"),
            "violin=second second=inner_eighths|inner_offbeats viola=alberti cello=cello",
            0.75,
        ),
        "C": Section(
            8,
            ("vi III7_3 vi vi ii vi_5 III7 vi", "i V7_3 i iv i_5 V7 i V"),
            "violin=minor second=inner_long viola=picking_slow cello=whole",
            0.5,
        ),
        "coda": Section(
            4,
            ("IV I_5 V7 I", "ii7_3 V7 vi/IV V7"),
            "violin=theme second=inner_eighths viola=alberti cello=cello_long",
            0.85,
        ),
    },
    forms=("A B A C A", "A A B A coda", "A B A C A coda"),
    cells={
        "theme": ("x---x-x-x---x---", "x-----x-x---x---", "x-x-x-x-x---x---", "x-------x---x---"),
        "second": ("x-x-x-x-x-x-x---", "x---x---x-x-x-x-", "xxx-x---x-x-x---"),
        "minor": ("x-----------x---", "x-------x-------", "x-----x-x-------"),
    },
    loose=0.01,
    leap=0.16,
)

MIRELA_VOSS = Artist(
    "Mirela Voss",
    "classical",
    (104, 126),
    (45, 50, 48, 52),
    "harmonic",
    "harmonic",
    parts=(
        Part("melody", "lead", 0, 69, 93, 4, touch=1.0),
        Part("left", "arp", 0, 45, 67, -7, voices=5, ring=0.9),
        Part("low", "bass", 0, 28, 47, -3, touch=1.0),
    ),
    sections={
        "A": Section(
            8,
            ("i i iv iv V7 V7 i V7", "i bVI iv V7 i bVI iv/V7 i", "i V7_3 i iv i_5 V7 i i"),
            "melody=theme left=waltz|waltz_chords low=dotted",
            0.55,
        ),
        "B": Section(
            8,
            ("bIII bVII bIII V7 i iv V7 V7", "bVI bIII iv i ii7 V7 i V7"),
            "melody=second left=waltz low=dotted",
            0.75,
        ),
        "C": Section(
            8,
            ("I I IV IV ii V7 I I", "bVI bVI bIII bIII iv iv V7 V7"),
            "melody=song left=waltz_chords low=dotted",
            0.9,
        ),
    },
    forms=("A A B A C A", "A B A C B A", "A B A C A B A"),
    cells={
        "theme": ("x-------x---", "x---x---x---", "x-----x-x---", "x-----------"),
        "second": ("x-x-x---x---", "x---x-x-x---", "x-x-x-x-x---"),
        "song": ("x-------x---", "x-----x-x---", "x-----------"),
    },
    beats=3,
    loose=0.014,
    leap=0.22,
    close="i",
)

BELLMERE = Artist(
    "The Collegium Bellmere",
    "classical",
    (92, 112),
    (50, 55, 57, 52),
    "harmonic",
    "harmonic",
    parts=(
        Part("flute", "lead", 74, 72, 93, -5, touch=0.9),
        Part("keys", "arp", 6, 55, 76, 0, voices=4),
        Part("cello", "bass", 42, 36, 55, 4, touch=0.85),
    ),
    sections={
        "A": Section(
            8,
            ("i V_3 i V i iv V i", "i iv bVII bIII bVI ii7 V i"),
            "flute=theme keys=harpsichord|alberti cello=continuo",
            0.7,
        ),
        "B": Section(
            8,
            ("bIII bVII_3 bIII bVI iv bVII bIII V", "bIII bVI ii7 V i iv V7 i"),
            "flute=second keys=sixteenth|rolling_fast cello=continuo_walk",
            0.8,
        ),
        "sequence": Section(
            8,
            ("i/iv bVII/bIII bVI/ii7 V/i iv/bVII bIII/bVI ii7/V7 i",),
            "flute=sequence keys=harpsichord cello=half",
            0.75,
        ),
        "close": Section(
            4, ("iv i_5 V7 i",), "flute=theme keys=sixteenth cello=continuo_walk", 0.85
        ),
    },
    forms=("A A B sequence A", "A B sequence A close", "A sequence B A close"),
    cells={
        "theme": ("x-x-xxx-x-x-x-x-", "x---x-x-x-x-xxxx", "x-xxx-x-x-x-x---"),
        "second": ("xxxxx-x-x-x-x---", "x-x-xxxxx-x-x-x-"),
        "sequence": ("x-xxx-x-x-xxx-x-", "x---x-x-x---x-x-"),
    },
    loose=0.008,
    leap=0.12,
    close="I",
)

NEON_PARCEL = Artist(
    "Neon Parcel",
    "electronic",
    (120, 128),
    (45, 41, 43, 48),
    "minor",
    "minor pentatonic",
    parts=(
        Part("stab", "chords", 4, 55, 74, -5, voices=4, touch=0.6),
        Part("lead", "lead", 80, 69, 88, 4, touch=0.7),
        Part("pad", "chords", 50, 55, 72, -8, touch=1.0),
        Part("bass", "bass", 38, 28, 43, 4, touch=0.9),
        drums(-9),
    ),
    sections={
        "intro": Section(8, ("i7 i7 bVImaj7 v7",), "drums=house_kick bass=offbeat", 0.65),
        "groove": Section(
            8,
            ("i7 bVImaj7 iv7 v7", "i9 iv7 bVImaj7 bVII", "i7 i7 bVImaj7 v7"),
            "drums=house bass=offbeat|house_roll stab=stabs|offbeat",
            0.8,
        ),
        "build": Section(
            4, ("bVImaj7 bVII iv7 v7",), "drums=house_build stab=offbeat pad=whole", 0.75
        ),
        "drop": Section(
            8,
            ("i7 bVImaj7 iv7 v7", "i9 iv7 bVImaj7 bVII"),
            "drums=house bass=house_roll stab=stabs lead=hook",
            1.0,
        ),
        "break": Section(8, ("bVImaj7 bVII i7 iv7",), "pad=whole lead=hook stab=offbeat", 0.5),
    },
    forms=(
        "intro groove build drop break build drop",
        "groove groove build drop break drop groove",
        "intro groove drop break build drop drop",
    ),
    cells={"hook": ("x-.x-.x-..x-x-..", "x-..x-x-..x-..x-", "..x-x-..x-.x-.x-")},
    fill="electro",
    kit=25,
    loose=0.0,
    leap=0.2,
    close="i7",
)

VECTOR_SUNSET = Artist(
    "Vector Sunset",
    "electronic",
    (94, 110),
    (45, 42, 40, 47),
    "minor",
    "minor",
    parts=(
        Part("arp", "arp", 81, 60, 84, 4, voices=4, touch=0.7),
        Part("pad", "chords", 90, 52, 70, -10, voices=4, touch=0.9),
        Part("lead", "lead", 87, 69, 88, 3, touch=0.95),
        Part("bass", "bass", 39, 28, 45, -2, touch=0.8),
        drums(-3),
    ),
    sections={
        "intro": Section(4, ("i i bVI bVII",), "arp=updown bass=pulse", 0.6),
        "verse": Section(
            8,
            ("i bVI bIII bVII", "i i bVI bVI iv iv bVII bVII"),
            "arp=updown|up|synth pad=whole bass=pulse|gallop drums=synthwave",
            0.75,
        ),
        "chorus": Section(
            8,
            ("bVI bVII i i bVI bVII bIII bVII", "i bVII bVI bVII i bVII bVI v"),
            "lead=hook pad=gated bass=octaves drums=synthwave",
            0.95,
        ),
        "bridge": Section(4, ("iv bVI bVII V",), "pad=whole arp=synth lead=line", 0.55),
        "out": Section(
            8,
            ("bVI bVII i i bVI bVII bIII bVII", "i bVII bVI bVII i bVII bVI v"),
            "lead=hook arp=up bass=gallop drums=synthwave_four",
            1.0,
        ),
    },
    forms=(
        "intro verse chorus verse bridge chorus",
        "intro verse chorus bridge verse out",
        "verse chorus verse chorus bridge out",
    ),
    cells={
        "hook": ("x-----x-----x---", "x-------x---x---", "x---x---x-----x-"),
        "line": ("x-------x-------", "x-----x-x-------"),
    },
    fill="electro",
    kit=24,
    loose=0.0,
    close="i",
)

SLOW_AURORA = Artist(
    "Slow Aurora",
    "electronic",
    (64, 76),
    (48, 53, 50, 43),
    "major",
    "pentatonic",
    parts=(
        Part("pad", "chords", 89, 55, 76, -3, voices=4, touch=1.05),
        Part("bells", "arp", 10, 72, 94, -1, voices=4, ring=1.5),
        Part("keys", "lead", 4, 64, 84, 4, touch=1.2),
        Part("bass", "bass", 39, 29, 45, -3, touch=1.0),
        drums(-11),
    ),
    sections={
        "dawn": Section(4, ("Imaj9 Imaj9 IVmaj9 IVmaj9",), "pad=whole bells=bells", 0.5),
        "float": Section(
            4,
            ("Imaj9 vi9 IVmaj9 V", "IVmaj9 Imaj9 IVmaj9 vi7"),
            "pad=whole keys=song bass=sub drums=down_sparse",
            0.6,
        ),
        "beat": Section(
            8,
            ("Imaj9 vi9 IVmaj9 Vsus4 Imaj9 iii7 IVmaj9 Vsus4", "vi9 IVmaj9 Imaj9 V"),
            "pad=whole keys=song bells=bells|bells_dense bass=sub drums=down",
            0.8,
        ),
        "still": Section(
            4,
            ("bVImaj7 bVII Imaj9 Imaj9", "IVmaj9 iv6 Imaj9 Imaj9"),
            "pad=whole bells=bells_dense",
            0.45,
        ),
    },
    forms=(
        "dawn float beat still beat",
        "dawn beat still float beat",
        "dawn float beat still float",
    ),
    cells={
        "song": ("x-------x-------", "..x---x-x-------", "x-----x-----....", "....x---x-------")
    },
    crash=False,
    kit=25,
    loose=0.006,
    leap=0.2,
    close="Imaj9",
)

ARTISTS: dict[str, Artist] = {
    artist.name: artist
    for artist in (
        IRON_LANTERN,
        PAPER_HARBOUR,
        TIDAL_ZEPHYRS,
        BLUE_LEDGER,
        PRAIA_LENTA,
        BRASS_ALLEY,
        ALDERWOOD,
        MIRELA_VOSS,
        BELLMERE,
        NEON_PARCEL,
        VECTOR_SUNSET,
        SLOW_AURORA,
    )
}
