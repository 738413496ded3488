"""The event hook: keeps a table of how fast each level of a run was sampled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def record(run: Path, event: Mapping[str, Any]) -> None:
    """Append a line to the run's speed.csv for every level that was sampled."""
    if event["event"] != "sampled":
        return
    path = run / "speed.csv"
    header = "" if path.exists() else "level,tokens,seconds\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{header}{event['level']},{event['tokens']},{event['seconds']}\n")
