"""Named patterns of one or two bars that the parts of a song play.

A pattern is a string with a character for each sixteenth note: "-" holds the note before it and "."
is silent. The other characters mean:

* drums and chords: "X" an accent, "x" a normal stroke, "o" a soft one;
* bass: "1", "3", "5" the root, third and fifth of the chord, "8" the octave, "a" an approach note
  that leads to the next chord;
* arpeggios: a digit is a voice of the chord, counted from the lowest.
"""

from __future__ import annotations

KICK, SNARE, RIM, CLAP, CLOSED, PEDAL, OPEN = 36, 38, 37, 39, 42, 44, 46
RIDE, BELL, CRASH, SHAKER, TAMBOURINE = 51, 53, 49, 82, 54
HIGH_TOM, MID_TOM, LOW_TOM, FLOOR_TOM = 50, 47, 45, 41

DRUMS: dict[str, dict[int, str]] = {
    "rock": {
        KICK: "X.....x.X.......X.x...x.X.......",
        SNARE: "....X.......X...",
        CLOSED: "X.x.X.x.X.x.X.x.",
    },
    "rock ride": {
        KICK: "X.....x.X.x.....X.....x.X.x...x.",
        SNARE: "....X.......X...",
        RIDE: "X.x.X.x.X.x.X.x.",
    },
    "rock half": {KICK: "X.........x.....", SNARE: "........X.......", CLOSED: "X...x...x...x..."},
    "ballad soft": {KICK: "x...............", RIM: "........x.......", CLOSED: "x...o...x...o..."},
    "ballad": {
        KICK: "X.........x.....",
        SNARE: "....X.......X...",
        CLOSED: "x.o.x.o.x.o.x.o.",
    },
    "ballad big": {
        KICK: "X.....x.X.......",
        SNARE: "....X.......X...",
        RIDE: "X.x.X.x.X.x.X.x.",
    },
    "surf": {
        KICK: "X.......X.x.....",
        SNARE: "....X.X.....X...",
        RIDE: "X.x.X.x.X.x.X.x.",
    },
    "surf toms": {
        KICK: "X.......X.......",
        FLOOR_TOM: "X.x.x.X.x.x.X.x.",
        SNARE: "............X.x.",
    },
    "swing": {RIDE: "x...X.x.x...X.x.", PEDAL: "....x.......x..."},
    "swing drive": {
        RIDE: "x...X.x.x...X.x.",
        PEDAL: "....x.......x...",
        SNARE: "......o.........o.........o.....",
        KICK: "..............o.......o.........",
    },
    "brush": {SNARE: "o...x...o...x...", PEDAL: "....x.......x..."},
    "bossa": {
        KICK: "x.....x.x.....x.",
        RIM: "x.....x.....x.......x.....x.....",
        SHAKER: "x.o.x.o.x.o.x.o.",
    },
    "bossa light": {SHAKER: "x.o.x.o.x.o.x.o.", KICK: "x.......x......."},
    "shuffle": {
        KICK: "X.......X.....x.",
        SNARE: "....X.......X...",
        RIDE: "X.x.X.x.X.x.X.x.",
    },
    "house": {
        KICK: "X...X...X...X...",
        CLAP: "....X.......X...",
        OPEN: "..o...o...o...o.",
        CLOSED: "x..ox..ox..ox..o",
    },
    "house kick": {KICK: "X...X...X...X...", CLOSED: "..x...x...x...x."},
    "house build": {
        KICK: "X...X...X...X...X.X.X.X.X.X.X.X.",
        CLAP: "............................x.x.",
        SNARE: "X...x...X...x...X.x.x.x.XxxxXxXX",
    },
    "synthwave": {
        KICK: "X.......X.......",
        SNARE: "....X.......X...",
        CLOSED: "x.x.x.x.x.x.x.xx",
    },
    "synthwave four": {
        KICK: "X...X...X...X...",
        SNARE: "....X.......X...",
        OPEN: "..x...x...x...x.",
    },
    "down": {
        KICK: "X.........x...........x...x.....",
        SNARE: "........X.......",
        CLOSED: "..o...o...o...o.",
    },
    "down sparse": {
        KICK: "X.......................x.......",
        RIM: "................x...............",
    },
}

FILLS: dict[str, tuple[dict[int, str], ...]] = {
    "rock": (
        {
            KICK: "X.......X.......",
            SNARE: "....X.xxX.......",
            MID_TOM: "..........xx....",
            FLOOR_TOM: "............X.X.",
        },
        {KICK: "X.......X...X...", SNARE: "....X...X.XxX.XX", CLOSED: "X.x.X.x........."},
        {
            KICK: "X.......X.......",
            SNARE: "....X...xx......",
            HIGH_TOM: "..........xx....",
            MID_TOM: "............xx..",
            FLOOR_TOM: "..............XX",
        },
    ),
    "soft": (
        {KICK: "X.........x.....", SNARE: "....x.......x.x.", FLOOR_TOM: "..............x."},
        {
            KICK: "X...............",
            SNARE: "....x...........",
            MID_TOM: "........x.x.....",
            FLOOR_TOM: "............x.x.",
        },
    ),
    "jazz": (
        {RIDE: "x...X...........", SNARE: "......x...x.x.x.", KICK: "........x......."},
        {RIDE: "x...X.x.x.......", SNARE: "..........x.x...", LOW_TOM: "..............x."},
    ),
    "bossa": ({KICK: "x.....x.x.....x.", RIM: "x.....x...x.x.x.", SHAKER: "x.o.x.o.x.o.x.x."},),
    "electro": (
        {KICK: "X...X...X.......", CLAP: "....X.......X.XX", SNARE: "........x.x.xxxx"},
        {KICK: "X...X...........", SNARE: "....X...X.X.XXXX"},
    ),
}

BASS: dict[str, str] = {
    "eighths": "1-1-1-1-1-1-1-1-",
    "drive": "1-1-1-1-1-1-5-a-",
    "whole": "1---------------",
    "half": "1-------5-------",
    "ballad": "1-----1-5-----a-",
    "surf": "1---1-1-5-.5.-a-".replace(".5.-", "--5-"),
    "surf roots": "1-1-8-1-1-1-8-5-",
    "bossa": "1-----5-5-----1-",
    "two": "1-------5-----a-",
    "cello": "1---3---5---3---",
    "cello long": "1-------8-------",
    "continuo": "1---5---8---5---",
    "continuo walk": "1-3-5-3-8-5-3-a-",
    "offbeat": "..1-..1-..1-..8-",
    "house roll": "..11..1-..11..8-",
    "pulse": "1.1.1.1.1.1.1.1.",
    "octaves": "1.8.1.8.1.8.1.8.",
    "gallop": "1.111.111.111.11",
    "sub": "1-----------5---",
}

CHORDS: dict[str, str] = {
    "whole": "X---------------",
    "half": "X-------x-------",
    "quarters": "X---x---X---x---",
    "eighths": "X-x-x-x-X-x-x-x-",
    "mute": "X.x.x.x.x.x.x.x.",
    "mute gallop": "X.x.x.X-..x.x.X-",
    "open": "X-----X---x-X---",
    "open long": "X-------X-----x-",
    "ballad": "X-------x---x---",
    "surf": "....X.......X.x.",
    "surf strum": "X-x-..x-X-x-..x-",
    "charleston": "x--...x-........",
    "swing": "..........x.....x---........x-..",
    "swing busy": "......x-....x-....x---....x-....",
    "bossa": "x-..x-x-..x---x-....x-x-..x---..",
    "organ": "......x-......x-......x-..x-....",
    "organ hold": "X-----------....",
    "stabs": "x-.x-.x--.x-.x--",
    "offbeat": "..x-..x-..x-..x-",
    "gated": "x.xxx.xxx.xxx.xx",
    "inner eighths": "x-x-x-x-x-x-x-x-",
    "inner offbeats": "..x-x-x-..x-x-x-",
    "inner long": "x-------x-------",
}

ARPS: dict[str, str] = {
    "picking": "0-2-1-3-2-1-3-2-",
    "picking slow": "0---2---3---1---",
    "alberti": "0-2-1-2-0-2-1-2-",
    "rolling": "0-1-2-3-4-3-2-1-",
    "rolling fast": "0123454321234321",
    "waltz": "0-2-3-4-3-2-",
    "waltz chords": "0---2---3---",
    "up": "0123012301230123",
    "updown": "0123210123210123",
    "synth": "0.1.2.3.2.1.2.1.",
    "sixteenth": "0120120120120123",
    "harpsichord": "0-1-2-1-3-1-2-1-",
    "bells": "3-----1-----2---0-----2---3-----",
    "bells dense": "3---1-2-0---2-1-",
}
