"""What `jukebox run show` says; the command is tested in tests/cli/test_run.py."""

from __future__ import annotations

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.run_details import run_text

SEGMENT = {
    "seconds": [0.0, 1.5],
    "seed": 3,
    "conditions": {"genre": ["rock", "jazz"]},
    "sampling": [{}, {"top_k": 5}],
    "hop_fraction": [0.5, 0.125],
}


def test_text_has_a_block_for_each_segment(registry: Registry) -> None:
    more = {**SEGMENT, "seconds": [1.5, 2.0], "seed": 4, "conditions": {}}
    item = {"item": 2, "seconds": 2.0, "progress": "tokens", "segments": [SEGMENT, more]}
    details = {"run": "runs/x", "model": "mini", "sample_rate": 8000, "items": [item]}
    assert run_text(details, registry).splitlines() == [
        "runs/x: model mini, 8000 Hz",
        "item 2: 2 s, tokens",
        "  0 to 1.5 s: seed 3",
        "    genre: rock, jazz",
        "    level 0: hop_fraction 0.5",
        "    level 1: hop_fraction 0.125, top_k 5",
        "  1.5 to 2 s: seed 4",
        "    level 0: hop_fraction 0.5",
        "    level 1: hop_fraction 0.125, top_k 5",
    ]
