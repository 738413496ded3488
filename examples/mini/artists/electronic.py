"""The electronic acts: house, synthwave and ambient."""

from __future__ import annotations

from styles import Artist, Part, Section, drums

NEON_PARCEL = Artist(
    "Neon Parcel",
    "electronic",
    (120, 128),
    (45, 41, 43, 48),
    "minor",
    "minor pentatonic",
    parts=(
        Part("stab", "chords", 4, 55, 74, -5, num_voices=4, articulation=0.6),
        Part("lead", "lead", 80, 69, 88, 4, articulation=0.7),
        Part("pad", "chords", 50, 55, 72, -8, articulation=1.0),
        Part("bass", "bass", 38, 28, 43, 4, articulation=0.9),
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
    rhythms={"hook": ("x-.x-.x-..x-x-..", "x-..x-x-..x-..x-", "..x-x-..x-.x-.x-")},
    fill="electro",
    drum_kit=25,
    timing_jitter=0.0,
    leap_probability=0.2,
    final_chord="i7",
)

VECTOR_SUNSET = Artist(
    "Vector Sunset",
    "electronic",
    (94, 110),
    (45, 42, 40, 47),
    "minor",
    "minor",
    parts=(
        Part("arp", "arp", 81, 60, 84, 4, num_voices=4, articulation=0.7),
        Part("pad", "chords", 90, 52, 70, -10, num_voices=4, articulation=0.9),
        Part("lead", "lead", 87, 69, 88, 3, articulation=0.95),
        Part("bass", "bass", 39, 28, 45, -2, articulation=0.8),
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
    rhythms={
        "hook": ("x-----x-----x---", "x-------x---x---", "x---x---x-----x-"),
        "line": ("x-------x-------", "x-----x-x-------"),
    },
    fill="electro",
    drum_kit=24,
    timing_jitter=0.0,
    final_chord="i",
)

SLOW_AURORA = Artist(
    "Slow Aurora",
    "electronic",
    (64, 76),
    (48, 53, 50, 43),
    "major",
    "pentatonic",
    parts=(
        Part("pad", "chords", 89, 55, 76, -3, num_voices=4, articulation=1.05),
        Part("bells", "arp", 10, 72, 94, -1, num_voices=4, ring_beats=1.5),
        Part("keys", "lead", 4, 64, 84, 4, articulation=1.2),
        Part("bass", "bass", 39, 29, 45, -3, articulation=1.0),
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
    rhythms={
        "song": ("x-------x-------", "..x---x-x-------", "x-----x-----....", "....x---x-------")
    },
    crash_cymbal=False,
    drum_kit=25,
    timing_jitter=0.006,
    leap_probability=0.2,
    final_chord="Imaj9",
)

ELECTRONIC = (NEON_PARCEL, VECTOR_SUNSET, SLOW_AURORA)
