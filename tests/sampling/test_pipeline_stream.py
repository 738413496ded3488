"""The audio of a run while it is made: the samples of its file, and the tokens of any other run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from jukebox_cli.engine import native_codec
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model import codec, loader
from jukebox_cli.registry import Registry
from jukebox_cli.sampling import pipeline
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.run_setup import create_run
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors
from support.engines import needs_native_engine
from support.jobs import NUM_SAMPLES, make_job
from support.run_files import all_tokens

ENGINES = ["torch", pytest.param("native", marks=needs_native_engine)]
CHUNK = 256


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "decoder_chunk", lambda *_: CHUNK)
    monkeypatch.setattr(native_codec, "BLOCK_SAMPLES", CHUNK)


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Callable[..., Job]:
    """`job(name)` is a job on a run of that name, whose item is written."""

    def make(name: str, **changes: Any) -> Job:
        made = make_job(tmp_path / name, tiny, registry, (1,))
        create_run(made)
        return replace(made, **changes)

    return make


def stream(job: Job) -> list[np.ndarray]:
    blocks: list[np.ndarray] = []
    pipeline.stream_run(job, blocks.append)
    return blocks


def samples(job: Job) -> np.ndarray:
    audio: np.ndarray = soundfile.read(job.run.audio_file(1), dtype="int16")[0]
    return audio


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_is_the_file_of_a_run_without_one(engine: str, job: Callable[..., Job]) -> None:
    streamed, plain = job("streamed", engine=engine), job("plain", engine=engine)
    pipeline.complete_run(plain)
    blocks = stream(streamed)
    assert [len(block) for block in blocks] == [CHUNK] * 6 + [NUM_SAMPLES - 6 * CHUNK]
    assert np.array_equal(np.concatenate(blocks), samples(streamed))
    assert all_tokens(streamed.run.path) == all_tokens(plain.run.path)
    files = [each.run.audio_file(1).read_bytes() for each in (streamed, plain)]
    assert files[0] == files[1]
    assert streamed.run.has_audio(1, 0)  # not older than its tokens


def test_what_is_there_is_played_again(job: Callable[..., Job]) -> None:
    this_job = job("run")
    first = np.concatenate(stream(this_job))
    before = this_job.run.audio_file(1).stat().st_mtime_ns
    assert np.array_equal(np.concatenate(stream(this_job)), first)
    assert this_job.run.audio_file(1).stat().st_mtime_ns == before
    this_job.run.audio_file(1).unlink()  # but all tokens are there
    assert np.array_equal(np.concatenate(stream(this_job)), first)


@pytest.mark.parametrize("at", [1, 4])
def test_a_stream_that_was_stopped_begins_anew_and_samples_the_rest(
    at: int, job: Callable[..., Job]
) -> None:
    whole, part, blocks = job("whole"), job("part"), []

    def play(block: np.ndarray) -> None:
        blocks.append(block)
        if len(blocks) == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.stream_run(part, play)
    assert part.num_sampled_tokens(0, 1) >= at * CHUNK // part.grid.hop_lengths[0]
    assert not part.run.audio_file(1).exists()
    assert np.array_equal(np.concatenate(stream(part)), np.concatenate(stream(whole)))
    assert all_tokens(part.run.path) == all_tokens(whole.run.path)


def test_large_priors_are_sampled_in_turn(
    job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.concatenate(stream(job("whole", engine="torch")))
    in_turn: list[int] = []

    def sample(job: Job, level: int) -> None:
        in_turn.append(level)
        sample_level(job, level)

    monkeypatch.setattr(pipeline, "sample_level", sample)
    monkeypatch.setattr(loader, "LARGE_PARAMETERS", 1)
    assert len(np.concatenate(stream(job("large", engine="torch")))) == len(whole)
    assert in_turn == [2, 1]


def test_an_error_of_a_level_ends_the_stream(
    job: Callable[..., Job], tiny: Model, tmp_path: Path
) -> None:
    model = Model(tmp_path / "model")
    model.path.mkdir()
    for path in tiny.path.iterdir():
        if path.is_file():
            (model.path / path.name).write_bytes(path.read_bytes())
    save_tensors(model.weights("prior-1"), {"other": torch.zeros(1)})
    with pytest.raises(InputError, match="the weights of model 'model' do not fit"):
        stream(job("run", model=model))
