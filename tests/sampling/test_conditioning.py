"""The conditions of a batch: each item alone, with the tokens above its window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner, audio_window
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.model import Model
from support.jobs import NUM_SAMPLES, SONG, make_job

WINDOW = TokenWindow(32, 40, 96)


def test_a_window_is_converted_to_samples() -> None:
    shape = PriorShape(width=8, context_length=64, hop_length=4, sample_rate=8000)
    assert audio_window(shape, WINDOW, 1590) == Window(128, 256, 1590)


@pytest.fixture
def job(tiny: Model, registry: Registry, tmp_path: Path) -> Job:
    """A job with two items whose tokens of level 2 are there."""
    job = make_job(tmp_path, tiny, registry, (0, 1))
    for item in job.items:
        tokens = np.arange(100) % 60 + item
        job.run.write_tokens(2, item, tokens, tiny.config.vqvae)
    return job


@pytest.fixture
def prior(job: Job) -> Prior:
    return load_prior(job.model, 1, job.registry, torch.device("cpu"))


def upper_tokens(conditioner: SongConditioner, item: ConditionedItem, start: int) -> list[int]:
    window = TokenWindow(start, start, start + 64)
    found = conditioner._upper_window(item, window)
    assert found is not None
    return [int(token) for token in found[0]]


def test_upper_tokens_lie_over_the_window_and_the_last_is_repeated(job: Job, prior: Prior) -> None:
    whole, shorter = ConditionedItem(0, SONG, NUM_SAMPLES), ConditionedItem(0, SONG, 1280)
    conditioner = SongConditioner(job, 1, prior, [whole])
    tokens = (np.arange(100) % 60).tolist()
    assert upper_tokens(conditioner, whole, 40) == tokens[20:52]
    assert upper_tokens(conditioner, whole, 160) == tokens[80:] + [tokens[99]] * 12
    # as far as the segment, whatever comes after it
    assert upper_tokens(conditioner, shorter, 120) == tokens[60:80] + [tokens[79]] * 12


def test_the_top_level_has_no_upper_tokens(job: Job) -> None:
    top = load_prior(job.model, 2, job.registry, torch.device("cpu"))
    item = ConditionedItem(0, SONG, NUM_SAMPLES)
    assert SongConditioner(job, 2, top, [item])._upper_window(item, WINDOW) is None


@torch.inference_mode()
def test_the_conditions_of_a_batch_are_those_of_its_items(job: Job, prior: Prior) -> None:
    items = [ConditionedItem(n, song, NUM_SAMPLES) for n, song in ((0, SONG), (1, SONG), (0, {}))]
    together = SongConditioner(job, 1, prior, items).conditioning(WINDOW)
    assert together.start is not None
    for number, item in enumerate(items):
        alone = SongConditioner(job, 1, prior, [item]).conditioning(WINDOW)
        assert together.per_token is not None
        assert alone.per_token is not None
        assert torch.equal(together.per_token[number], alone.per_token[0])
        assert alone.start is not None
        assert torch.equal(together.start[number], alone.start[0])
    assert not torch.equal(together.start[0], together.start[2])


def test_sampling_waits_for_tokens_of_another_process(job: Job, prior: Prior, tiny: Model) -> None:
    item = ConditionedItem(1, SONG, NUM_SAMPLES)
    tokens = np.arange(100) % 60
    job.run.write_tokens(2, 1, tokens[:10], tiny.config.vqvae)
    lengths = iter([20, 40, 100])

    def wait() -> None:
        job.run.write_tokens(2, 1, tokens[: next(lengths)], tiny.config.vqvae)

    waiting = make_job(job.run.path, tiny, job.registry, (1,), wait_for_upper=wait)
    conditioner = SongConditioner(waiting, 1, prior, [item])
    assert upper_tokens(conditioner, item, 0) == tokens[:32].tolist()
    assert list(lengths) == [100]  # no longer than it was needed
