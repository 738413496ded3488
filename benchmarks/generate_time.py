"""Duration of `jukebox generate` for a preset, stage by stage, start-up included."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import JUKEBOX
from measurements import Row, median_row


def generate_time(preset: str, options: Sequence[str], *, rounds: int) -> list[Row]:
    """Seconds of each stage and of the whole command."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}: generate --preset {preset}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            for stage, value in _generate(preset, options, Path(folder) / "run").items():
                seconds.setdefault(stage, []).append(value)
    command = f"generate --preset {Path(preset).name}"
    return [median_row(f"{command}: {stage}", "s", values) for stage, values in seconds.items()]


def _generate(preset: str, options: Sequence[str], out: Path) -> dict[str, float]:
    """Seconds of each stage of one run of the command."""
    arguments = ("generate", "--preset", preset, "--out", str(out), "--quiet", *options)
    start = time.perf_counter()
    subprocess.run([*JUKEBOX, *arguments], check=True, stdout=subprocess.DEVNULL)
    total = time.perf_counter() - start
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    busy = events[-1]["time"] - events[0]["time"]  # from the start of the top level to the audio
    return {**_stages(events), "start-up and loading": total - busy, "total": total}


def _stages(events: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Seconds of each stage, from a run's log.

    If levels are sampled in parallel, that of a level includes waiting for the level above.
    """
    sampled = [event for event in events if event["event"] == "sampled"]
    one_by_one = [event["event"] for event in events[:-1]] == ["level", "sampled"] * len(sampled)
    suffix = "" if one_by_one else ", in parallel"
    stages = {f"level {event['level']}{suffix}": event["seconds"] for event in sampled}
    (decoded,) = (event for event in events if event["event"] == "decoded")
    return {**stages, "decode": decoded["time"] - sampled[-1]["time"]}
