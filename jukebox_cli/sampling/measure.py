"""How fast a job's levels are sampled and decoded on this machine, by the code that samples them.

Imports torch: import it inside functions. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from jukebox_cli.engine.footprint import row_bytes, weight_bytes
from jukebox_cli.engine.loader import load_codec, load_engine, torch_threads
from jukebox_cli.engine.machine import peak_memory, reset_peak_memory, synchronize
from jukebox_cli.engine.memory import free_memory
from jukebox_cli.model import codec
from jukebox_cli.model.devices import pick_device
from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.sampler import LevelSampler, ProgressCallbacks
from jukebox_cli.sampling.window_timer import RepeatedConditions, WindowTimer
from jukebox_cli.sampling.windows import SegmentWindows, TokenWindow
from jukebox_cli.storage.segments import ComputeSettings

#: Positions of the short window that the lengths of the others follow from.
PROBE_POSITIONS = 4
#: Rounds of a measurement.
ROUNDS = 8
#: Rows of prompts that are prefilled at least, all items together.
MIN_PREFILL_ROWS = 32


@dataclass(frozen=True)
class BatchSpeed:
    """How fast a level is sampled with so many items side by side: seconds, of all of them."""

    batch: int
    conditions: float  # of a window
    prefill: float  # of a position of the prompt
    position: float  # of a position that is sampled

    @property
    def tokens_per_second(self) -> float:
        return self.batch / self.position

    @property
    def prefill_tokens_per_second(self) -> float:
        return self.batch / self.prefill

    def scaled(self, batch: int) -> BatchSpeed:
        """The speed of a larger batch, if it is made of several of these."""
        factor = batch / self.batch
        times = (self.conditions, self.prefill, self.position)
        return BatchSpeed(batch, *(factor * seconds for seconds in times))


@dataclass(frozen=True)
class LevelSpeed:
    """What was measured of a level."""

    level: int
    settings: ComputeSettings
    num_threads: int
    load: float  # seconds
    weight_bytes: int  # that are read for a position
    window_bytes: int  # that an item of a batch takes, with guidance both of its rows
    speeds: tuple[BatchSpeed, ...]


@dataclass(frozen=True)
class DecodeSpeed:
    """What was measured of decoding level 0, in seconds."""

    load: float
    sample: float  # a sample of audio


@dataclass(frozen=True)
class Measurement:
    """What was measured of a job. Levels from the top."""

    levels: tuple[LevelSpeed, ...]
    decode: DecodeSpeed | None
    base_memory: int | None  # bytes of the process before anything is loaded
    peak_memory: int | None  # bytes, with the first batch size of each level
    peak_device_memory: int | None  # bytes on a GPU


def measure_job(
    job: Job,
    levels: Sequence[int],
    batch_sizes: Sequence[int],
    seconds: float,
    *,
    keep: bool = False,
    decode: bool = True,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Measurement:
    """Samples a part of a window at each level, with each batch size, for about `seconds` each,
    and decodes some audio. Sizes for which there is no memory are halved.

    keep: whether levels stay loaded, as they do while a run samples them in parallel.
    Raises InputError for weights that are missing or do not fit.
    """
    reset_peak_memory()
    speeds, kept, peaks = [], [], [base := peak_memory()]
    for level in levels:
        on_stage(f"level {level}")
        reset_peak_memory()
        loaded = MeasuredLevel(job, level)
        first, *more = batch_sizes
        measured = [loaded.measure(first, seconds)]
        peaks.append(peak_memory())
        measured += [loaded.measure(size, seconds) for size in more]
        speeds.append(loaded.describe(measured))
        if keep:
            kept.append(loaded)
        del loaded  # before the next one is loaded
    reset_peak_memory()
    if decode:
        on_stage("decode 0")
    decoding = measure_decoding(job) if decode else None
    known = [peak for peak in [*peaks, peak_memory()] if peak is not None]
    return Measurement(tuple(speeds), decoding, base, max(known, default=None), _device_peak(job))


def _device_peak(job: Job) -> int | None:
    device = pick_device(job.device)
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


class MeasuredLevel:
    """A level of a job, loaded to be sampled with the conditions of the job's first item."""

    def __init__(self, job: Job, level: int) -> None:
        self.level, self.device = level, pick_device(job.device)
        item = job.items[0]
        part = job.segment_windows(level, item)[-1]
        settings = part.segment.compute_settings(level)
        assert settings, "chosen before a level is measured"
        self.settings = settings
        start = perf_counter()
        self.loaded = load_engine(job.model, level, job.registry, self.device, settings)
        synchronize(self.device)
        self.load_seconds = perf_counter() - start
        samplers = job.make_samplers(level, part.segment)
        self.sampler = LevelSampler(level, self.loaded.prior, samplers, self.loaded.engine)
        context_length = job.model.config.priors[level].context_length
        self.length = min(context_length, job.num_tokens(level, item))
        self.conditions = _repeated_conditions(job, self.sampler, item, part)
        self.timer = WindowTimer(self.sampler, self.conditions)

    def describe(self, speeds: Sequence[BatchSpeed]) -> LevelSpeed:
        """What was measured, with facts about the prior."""
        prior, precision = self.loaded.prior, self.settings.precision
        return LevelSpeed(
            self.level,
            self.settings,
            self.loaded.num_threads,
            self.load_seconds,
            weight_bytes(prior, precision),
            self.item_bytes(),
            tuple(speeds),
        )

    def measure(self, batch: int, seconds: float) -> BatchSpeed:
        """The speed for a batch, sampled for about `seconds`; a batch for which there is no memory
        is halved."""
        free = free_memory() if self.device.type == "cpu" else None
        while batch > 1 and free is not None and batch * self.item_bytes() > free:
            batch //= 2
        with torch_threads(self.loaded.num_threads), torch.inference_mode():
            return self._measure(batch, seconds)

    def _measure(self, batch: int, seconds: float) -> BatchSpeed:
        probe = TokenWindow(0, 0, min(PROBE_POSITIONS, self.length))
        position = self.timer.sample(self.timer.open(batch, probe)[0], 1, seconds=0.0)
        at_least = max(1, MIN_PREFILL_ROWS // batch)
        prompt = min(max(at_least, int(seconds / position)), self.length // 2)
        window, prefill = self.timer.open(batch, TokenWindow(0, prompt, self.length))
        every = min(max(1, int(seconds / ROUNDS / position)), ProgressCallbacks.every)
        position = self.timer.sample(window, every, seconds)
        return BatchSpeed(batch, batch * self.conditions.seconds, prefill / prompt, position)

    def item_bytes(self) -> int:
        """Bytes that an item of a batch takes; with guidance it has two rows."""
        return self.sampler.num_rows(1) * row_bytes(self.loaded.prior.config)


def _repeated_conditions(
    job: Job, sampler: LevelSampler, item: int, part: SegmentWindows
) -> RepeatedConditions:
    """The conditions of one item, over random tokens of the level above."""
    conditioned = ConditionedItem(item, part.segment.conditions, part.num_samples)
    unconditional = conditioned._replace(song={})
    wanted = [conditioned, unconditional][: sampler.num_rows(1)]
    level = sampler.level
    parts = [SongConditioner(job, level, sampler.prior, [each]) for each in wanted]
    if level < job.top_level:
        size = job.num_tokens(level + 1, item)
        upper = np.random.default_rng(0).integers(sampler.prior.codebook_size, size=size)
        for each in parts:
            each.upper_tokens[item] = upper
    return RepeatedConditions(parts, sampler.prior.position_embedding.device)


def measure_decoding(job: Job) -> DecodeSpeed:
    """The speed of decoding level 0, from a few seconds of audio. Raises InputError if weights of
    the codec are missing or do not fit."""
    device = pick_device(job.device)
    start = perf_counter()
    decoder = load_codec(job.model, device, job.engine)
    load = perf_counter() - start
    length = min(2 * codec.CHUNK_SAMPLES, max(job.num_samples(item) for item in job.items))
    num_tokens = job.grid.num_tokens(0, length)
    tokens = np.random.default_rng(0).integers(decoder.config.codebook_size, size=num_tokens)
    next(codec.decode(decoder, 0, tokens, length))  # the first time, weights are packed
    start = perf_counter()
    for _ in codec.decode(decoder, 0, tokens, length):
        pass
    return DecodeSpeed(load, (perf_counter() - start) / length)
