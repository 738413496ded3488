"""How long `jukebox generate` of a preset takes, stage by stage, start-up included."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import Row, row

#: The command line, run by the Python that measures.
JUKEBOX = (sys.executable, "-c", "from jukebox_cli.cli import main; main()")


def main_job(preset: str, more: Sequence[str], *, rounds: int) -> list[Row]:
    """A row for each stage, and one for everything, in seconds."""
    took: dict[str, list[float]] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}: generate --preset {preset}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            for what, seconds in _once(preset, more, Path(folder) / "run").items():
                took.setdefault(what, []).append(seconds)
    name = Path(preset).name
    return [row(f"generate --preset {name}: {what}", "s", each) for what, each in took.items()]


def _once(preset: str, more: Sequence[str], out: Path) -> dict[str, float]:
    words = ("generate", "--preset", preset, "--out", str(out), "--quiet", *more)
    began = time.perf_counter()
    subprocess.run([*JUKEBOX, *words], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - began
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    worked = events[-1]["time"] - events[0]["time"]  # from the first level's draws to its audio
    return {**_stages(events), "start-up and loading": whole - worked, "in all": whole}


def _stages(events: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of each stage, from a run's log: of levels that are drawn side by side, from the
    first draw to the last, waits for the level above included."""
    drawn = [e for e in events if e["event"] == "drawn"]
    apart = [e["event"] for e in events[:-1]] == ["level", "drawn"] * len(drawn)
    how = "" if apart else ", beside the others"
    stages = {f"level {e['level']}{how}": e["seconds"] for e in drawn}
    (decoded,) = (e for e in events if e["event"] == "decoded")
    return {**stages, "decode": decoded["time"] - drawn[-1]["time"]}
