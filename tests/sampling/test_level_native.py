"""A song of the shipped model has the tokens of torch with the native engine, up to rounding."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import jukebox_cli
from jukebox_cli.engine.loader import load_engine
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.rng import draw_tokens
from jukebox_cli.sampling.sampler import LevelSampler, PartialTokens, WindowSampler
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import ComputeSettings
from support.engines import needs_native_engine
from support.run_files import tokens

MINI = Model(Path(jukebox_cli.__file__).parent / "models" / "mini")
CPU = torch.device("cpu")
LEVELS = (2, 1, 0)
ENGINES = (ComputeSettings("torch", "fp32"), ComputeSettings("native", "fp32"))


def open_job(folder: Path, registry: Registry) -> Job:
    """A job on a run that exists, sampled by the native engine as it chooses."""
    run = Run(folder)
    specs = run.read_items([0])
    return Job(run, MINI, registry, (0,), run.config, specs, device="cpu", engine="native")


class Draw(NamedTuple):
    """How one token was drawn."""

    logits: Tensor  # (K,) after the samplers
    uniform: float


@torch.inference_mode()
def draw_at(
    job: Job, level: int, song: np.ndarray, position: int, settings: ComputeSettings
) -> Draw:
    """The draw of an engine at a position of a level, after the song's tokens before it."""
    loaded = load_engine(job.model, level, job.registry, CPU, settings)
    (part,) = job.segment_windows(level, 0)
    samplers = job.registry.make_samplers(part.segment.sampling[level])
    sampler = LevelSampler(level, loaded.prior, samplers, loaded.engine)
    item = ConditionedItem(0, part.segment.conditions, part.num_samples)
    items = [item, item._replace(song={})] if sampler.guidance_samplers else [item]
    window = next(w for w in part.windows if w.sample_from <= position < w.end)
    partial = PartialTokens(0, part.segment.seed, song, position)
    conditioner = SongConditioner(job, level, loaded.prior, items)
    steps = WindowSampler(sampler, [partial], window, conditioner)
    last = position - window.start
    for n in range(steps.steps.next_position, last + 1):
        logits = steps.steps.logits(n)
    shaped = sampler.shape_logits(logits, steps.tokens[:, :last])
    return Draw(shaped[0], float(steps.uniform[0, position - window.sample_from]))


def explain_difference(
    job: Job, level: int, expected: list[int], found: list[int], position: int
) -> str:
    """Where two songs first differ. Asserts that the draw falls between two roundings there: that
    the uniform number lies between the borders of the two CDFs."""
    draws = [draw_at(job, level, np.array(expected), position, each) for each in ENGINES]
    of_torch, native = (each.logits.double().softmax(0).cumsum(0) for each in draws)
    lower = min(expected[position], found[position])
    borders, uniform = sorted([float(of_torch[lower]), float(native[lower])]), draws[0].uniform
    where = (
        f"level {level}, position {position}: torch drew {expected[position]}, the native engine "
        f"{found[position]} with {uniform}, between borders {borders}"
    )
    both = draws[0].logits.isfinite() & draws[1].logits.isfinite()
    assert (draws[0].logits - draws[1].logits)[both].abs().max() < 1e-3, where
    assert borders[0] - 1e-6 <= uniform <= borders[1] + 1e-6, where
    assert borders[1] - borders[0] < 1e-3, where
    return where


@needs_native_engine
@pytest.mark.slow
def test_a_song_of_mini_is_that_of_torch_up_to_rounding(
    tmp_path: Path, registry: Registry, jukebox: Callable[..., Any]
) -> None:
    """Each level is sampled again below the tokens that torch drew of the level above."""
    words = ("--preset", "rock", "--model", MINI.path, "--seconds", 6)
    engine = ("--engine", "torch", "--precision", "fp32", "--device", "cpu")
    out = tmp_path / "torch"
    result = jukebox("generate", *words, *engine, "--until", "tokens", "--out", out, "--quiet")
    assert result.code == 0, result.err
    for level in LEVELS:
        again = Path(shutil.copytree(out, tmp_path / f"native-{level}"))
        job = open_job(again, registry)
        job.run.token_file(level, 0).unlink()
        sample_level(job, level)
        expected, found = tokens(out, level), tokens(again, level)
        assert len(found) == len(expected)
        pairs = enumerate(zip(expected, found, strict=True))
        position = next((n for n, (a, b) in pairs if a != b), None)
        if position is not None:
            print(explain_difference(job, level, expected, found, position))


@needs_native_engine
@pytest.mark.slow
@torch.inference_mode()
def test_only_a_draw_between_two_roundings_explains_a_difference(
    tmp_path: Path, registry: Registry, jukebox: Callable[..., Any]
) -> None:
    """Both engines' draws are computed again as they were, and hardly differ."""
    out = tmp_path / "run"
    words = ("--preset", "rock", "--model", MINI.path, "--seconds", 6, "--until", "tokens")
    assert jukebox("generate", *words, "--device", "cpu", "--out", out, "--quiet").code == 0
    job = open_job(out, registry)
    for level in LEVELS:
        song = tokens(out, level)
        for position in (0, 1, 100):
            draws = [draw_at(job, level, np.array(song), position, each) for each in ENGINES]
            assert draws[0].uniform == draws[1].uniform
            torch.testing.assert_close(draws[0].logits, draws[1].logits, rtol=0, atol=1e-4)
            for logits, uniform in draws:
                drawn = draw_tokens(logits[None], torch.tensor([uniform], dtype=torch.float64))
                assert drawn.tolist() == [song[position]]
        other = [*song[:100], song[100] ^ 1, *song[101:]]
        with pytest.raises(AssertionError, match=f"level {level}, position 100: torch drew"):
            explain_difference(job, level, song, other, 100)
