"""An alignment: lines of lyrics with the times of their words."""

from __future__ import annotations

from typing import Any

#: Lines as `jukebox align` writes them; some words have no times.
SUNG_LINES: list[dict[str, Any]] = [
    {
        "text": "we go",
        "start": 0.5,
        "end": 1.0,
        "words": [{"word": "we"}, {"word": "go", "start": 0.5, "end": 1.0}],
    },
    {"section": "Verse"},
    {
        "text": "far off",
        "start": 1.2,
        "end": 2.0,
        "words": [{"word": "far", "start": 1.2, "end": 2.0}, {"word": "off"}],
    },
]
