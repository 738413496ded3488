"""The text of `jukebox run show`; the command is tested in tests/cli/test_run.py."""

from __future__ import annotations

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.run_details import run_text

SEGMENT = {
    "seconds": [0.0, 1.5],
    "seed": 3,
    "conditions": {"genre": ["rock", "jazz"]},
    "sampling": [{}, {"top_k": 5}],
    "hop_fraction": [0.5, 0.125],
    "slices": [],
    "parent": None,
    "prompt": None,
}


def test_the_text_has_a_block_for_each_segment(registry: Registry) -> None:
    parent = {"run": "../y", "item": 2, "upto_sample": 12_000}
    more = {**SEGMENT, "seconds": [1.5, 2.0], "seed": 4, "conditions": {}, "parent": parent}
    more["slices"] = [{"count": 4, "start": 0, "warmup": 32, "seam": 4}, None]
    item = {"item": 2, "seconds": 2.0, "progress": "tokens", "segments": [SEGMENT, more]}
    details = {"run": "runs/x", "model": "mini", "sample_rate": 8000, "items": [item]}
    assert run_text(details, registry).splitlines() == [
        "runs/x: model mini, 8000 Hz",
        "item 2: 2 s, tokens",
        "  0 to 1.5 s: seed 3",
        "    genre: rock, jazz",
        "    level 0: hop_fraction 0.5",
        "    level 1: hop_fraction 0.125, top_k 5",
        "  1.5 to 2 s: seed 4, continues item 2 of ../y",
        "    level 0: hop_fraction 0.5, 4 slices",
        "    level 1: hop_fraction 0.125, top_k 5",
    ]


def test_a_prompt_is_named_by_its_recording(registry: Registry) -> None:
    prompt = {"audio_hash": "abc", "num_samples": 12_000, "name": "riff.wav"}
    item = {
        "item": 0,
        "seconds": 1.5,
        "progress": None,
        "segments": [{**SEGMENT, "prompt": prompt}],
    }
    details = {"run": "runs/x", "model": "mini", "sample_rate": 8000, "items": [item]}
    assert run_text(details, registry).splitlines()[1:3] == [
        "item 0: 1.5 s",
        "  0 to 1.5 s: recording riff.wav",
    ]
