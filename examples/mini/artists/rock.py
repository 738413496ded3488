"""The rock bands: hard rock, ballads and surf."""

from __future__ import annotations

from styles import Artist, Part, Section, drums

IRON_LANTERN = Artist(
    "Iron Lantern",
    "rock",
    (132, 152),
    (40, 42, 45, 38),
    "minor",
    "minor pentatonic",
    parts=(
        Part("gtr", "power", 30, 40, 63, -3, articulation=0.9),
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
    rhythms={
        "verse": ("x---x-x---......", "..x-x-x-x---....", "x-----x-x---....", "x-x-x---x-------"),
        "hook": ("x-----x-x---x---", "x---x---x-x-x---", "x-------x-x-x---"),
        "solo": ("x-x-x-x-x-x-x-x-", "x-x-x---x-x-x-x-", "xxx-xxx-x-x-x---", "x---x-x-xxx-x---"),
    },
    fill="rock",
    drum_kit=16,
    final_chord="i",
)

PAPER_HARBOUR = Artist(
    "Paper Harbour",
    "rock",
    (72, 84),
    (48, 50, 43, 45),
    "major",
    "major",
    parts=(
        Part("gtr", "arp", 25, 48, 72, -3, num_voices=4, ring_beats=0.75),
        Part("piano", "chords", 0, 52, 72, 3, strum_seconds=0.01),
        Part("strings", "chords", 48, 55, 76, -11, articulation=1.0),
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
            transpose=2,
        ),
    },
    forms=(
        "intro verse chorus bridge chorus",
        "intro verse chorus verse last",
        "intro verse chorus bridge last",
    ),
    rhythms={
        "verse": ("x---x-x-x-------", "..x-x-x-x---x---", "x-----x-x-------", "x-x-x---x-----x-"),
        "hook": ("x-------x---x---", "x-----x-x-------", "x---x---x-------"),
    },
    fill="soft",
    final_chord="I",
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
        Part("gtr", "chords", 26, 52, 70, -6, strum_seconds=0.008, articulation=0.7),
        Part("organ", "chords", 18, 60, 76, -11, articulation=1.0),
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
    rhythms={
        "riff": ("x-x-x-x-x---....", "x-x-x-x-x-x-x---"),
        "verse": ("x---x-x-x-x-x---", "x-x-x-x-x---x---", "x-x-x---x-x-x---"),
        "hook": ("x-------x---x---", "x-----x-x-------", "x---x---x---x-x-"),
        "tremolo": ("xxxxxxxxxxxxxxxx", "xxxxxxxxxxxxx---", "xxxxxxxxx-x-x-x-"),
    },
    fill="rock",
    drum_kit=8,
    leap_probability=0.1,
    final_chord="i",
)

ROCK = (IRON_LANTERN, PAPER_HARBOUR, TIDAL_ZEPHYRS)
