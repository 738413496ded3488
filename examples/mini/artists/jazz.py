"""The jazz bands: a swing trio, bossa nova and blues."""

from __future__ import annotations

from styles import Artist, Part, Section, drums

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
        Part("comp", "chords", 0, 50, 69, -6, num_voices=4, articulation=0.8),
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
    rhythms={
        "head": ("x-----x-..x-x---", "..x-x-x-x-----..", "x---x-x-..x-----", "......x-x-x-x---"),
        "bridge": ("x-------x-x-x---", "x---x---x-x-x-x-", "..x-x---x-------"),
        "solo": ("x-x-x-x-x-x-x-x-", "..x-x-x-x-x-x-x-", "x-x-x-x-x---....", "x---x-x-x-x-x-x-"),
    },
    fill="jazz",
    crash_cymbal=False,
    drum_kit=32,
    swing=0.64,
    leap_probability=0.2,
    timing_jitter=0.009,
    final_chord="I6",
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
        Part("gtr", "chords", 24, 50, 69, -2, num_voices=4, strum_seconds=0.006, articulation=0.85),
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
    rhythms={
        "song": ("x-----x---x-----", "..x-x---x-----..", "x---..x-----x---", "x-----x-----x---"),
        "bridge": ("x-----------x---", "x-------x---x---", "..x---x---x-----"),
        "solo": ("..x-x-x-x---x---", "x-x---x---x-x---", "x---x-x-----..x-"),
    },
    fill="bossa",
    crash_cymbal=False,
    drum_kit=32,
    leap_probability=0.14,
    timing_jitter=0.007,
    final_chord="Imaj9",
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
        Part("organ", "chords", 17, 50, 69, -8, num_voices=4, articulation=0.8),
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
    rhythms={
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
    crash_cymbal=False,
    swing=0.66,
    leap_probability=0.22,
    timing_jitter=0.009,
    final_chord="I9",
)

JAZZ = (BLUE_LEDGER, PRAIA_LENTA, BRASS_ALLEY)
