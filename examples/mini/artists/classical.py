"""The classical ensembles: string quartet, solo piano and a baroque trio."""

from __future__ import annotations

from styles import Artist, Part, Section

ALDERWOOD = Artist(
    "Quartetto Alderwood",
    "classical",
    (94, 112),
    (50, 55, 48, 57),
    "major",
    "major",
    parts=(
        Part("violin", "lead", 40, 67, 88, 4, articulation=1.0),
        Part("second", "chords", 40, 57, 72, -2, num_voices=2, articulation=0.9),
        Part("viola", "arp", 41, 50, 65, 3, num_voices=3),
        Part("cello", "bass", 42, 36, 55, 3, articulation=1.0),
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
    rhythms={
        "theme": ("x---x-x-x---x---", "x-----x-x---x---", "x-x-x-x-x---x---", "x-------x---x---"),
        "second": ("x-x-x-x-x-x-x---", "x---x---x-x-x-x-", "xxx-x---x-x-x---"),
        "minor": ("x-----------x---", "x-------x-------", "x-----x-x-------"),
    },
    timing_jitter=0.01,
    leap_probability=0.16,
)

MIRELA_VOSS = Artist(
    "Mirela Voss",
    "classical",
    (104, 126),
    (45, 50, 48, 52),
    "harmonic",
    "harmonic",
    parts=(
        Part("melody", "lead", 0, 69, 93, 4, articulation=1.0),
        Part("left", "arp", 0, 45, 67, -7, num_voices=5, ring_beats=0.9),
        Part("low", "bass", 0, 28, 47, -3, articulation=1.0),
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
    rhythms={
        "theme": ("x-------x---", "x---x---x---", "x-----x-x---", "x-----------"),
        "second": ("x-x-x---x---", "x---x-x-x---", "x-x-x-x-x---"),
        "song": ("x-------x---", "x-----x-x---", "x-----------"),
    },
    beats_per_bar=3,
    timing_jitter=0.014,
    leap_probability=0.22,
    final_chord="i",
)

BELLMERE = Artist(
    "The Collegium Bellmere",
    "classical",
    (92, 112),
    (50, 55, 57, 52),
    "harmonic",
    "harmonic",
    parts=(
        Part("flute", "lead", 74, 72, 93, -5, articulation=0.9),
        Part("keys", "arp", 6, 55, 76, 0, num_voices=4),
        Part("cello", "bass", 42, 36, 55, 4, articulation=0.85),
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
    rhythms={
        "theme": ("x-x-xxx-x-x-x-x-", "x---x-x-x-x-xxxx", "x-xxx-x-x-x-x---"),
        "second": ("xxxxx-x-x-x-x---", "x-x-xxxxx-x-x-x-"),
        "sequence": ("x-xxx-x-x-xxx-x-", "x---x-x-x---x-x-"),
    },
    timing_jitter=0.008,
    leap_probability=0.12,
    final_chord="I",
)

CLASSICAL = (ALDERWOOD, MIRELA_VOSS, BELLMERE)
