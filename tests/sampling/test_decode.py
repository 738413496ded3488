"""Tokens become audio files, of complete items only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.audio.io import to_int16
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.model.codec import decode
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.decode import decode_items
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings
from support.engines import needs_native_engine
from support.jobs import NUM_SAMPLES, make_job
from support.results import refusal


def sampled(tiny: Model, registry: Registry, path: Path) -> Job:
    job = make_job(path, tiny, registry, (0, 1))
    create_run(job)
    sample_level(job, 2)
    return job


def test_only_missing_audio_is_decoded(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    job = sampled(tiny, registry, tmp_path)
    files = [Path(file) for file in decode_items(job, 2, "flac")]
    assert files == [job.run.audio_file(item, 2, "flac") for item in (0, 1)]
    assert {soundfile.info(file).frames for file in files} == {NUM_SAMPLES}
    before = [file.stat().st_ino for file in files]
    files[1].unlink()
    assert decode_items(job, 2, "flac") == [str(file) for file in files]
    assert files[0].stat().st_ino == before[0]
    assert files[1].exists()


@pytest.mark.parametrize("engine", ["torch", pytest.param("native", marks=needs_native_engine)])
def test_the_engine_of_the_job_decodes(
    engine: str, tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = replace(sampled(tiny, registry, tmp_path), engine=engine)
    decode_items(job, 2)
    event = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    del event["time"]
    assert event == {
        "event": "decoded",
        "level": 2,
        "items": [0, 1],
        "format": "wav",
        "engine": engine,
    }
    tokens = job.run.read_tokens(2, 1)
    assert tokens is not None
    codec = load_codec(tiny, torch.device("cpu"), engine)
    expected = np.concatenate(list(decode(codec, 2, tokens, NUM_SAMPLES)))
    found, _ = soundfile.read(job.run.audio_file(1, 2), dtype="int16")
    assert np.array_equal(found, to_int16(expected))


@needs_native_engine
def test_an_item_that_was_sampled_with_torch_is_decoded_with_torch(
    tiny: Model, registry: Registry, tmp_path: Path
) -> None:
    job = sampled(tiny, registry, tmp_path)
    settings = ComputeSettings("torch", "fp32")
    spec = job.specs[1]
    segment = spec.segments[-1].with_compute_settings(2, settings)
    specs = {**job.specs, 1: spec.with_segment(len(spec.segments) - 1, segment)}
    decode_items(replace(job, specs=specs, engine="auto"), 2)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    decoded = {each["engine"]: each["items"] for each in log if each["event"] == "decoded"}
    assert decoded["torch"] == [1]
    assert sorted(item for items in decoded.values() for item in items) == [0, 1]


def test_an_incomplete_item_is_not_decoded(tiny: Model, registry: Registry, tmp_path: Path) -> None:
    job = sampled(tiny, registry, tmp_path)
    assert refusal(decode_items, job, 1) == (
        f"item 0 of {tmp_path} is incomplete at level 1",
        "finish it with `jukebox upsample`, or choose others: --only, --level",
    )
    assert not (tmp_path / "audio").exists()
