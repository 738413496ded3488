"""The event hook: keeps a table of how fast each level of a run was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def note(run: Path, event: Mapping[str, Any]) -> None:
    """Adds a line to the run's speed.csv for every level that was drawn."""
    if event["event"] != "drawn":
        return
    path = run / "speed.csv"
    head = "" if path.exists() else "level,tokens,seconds\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{head}{event['level']},{event['tokens']},{event['seconds']}\n")
