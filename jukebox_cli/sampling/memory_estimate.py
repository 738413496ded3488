"""How much memory sampling a job takes, from sizes alone: of config.yaml and of weight files.

`benchmarks/memory_estimate.py` compares it with what is measured. Imports torch: import it inside
functions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.engine.footprint import WEIGHT_BYTES, row_bytes
from jukebox_cli.engine.memory import resident_memory
from jukebox_cli.model.codec import MIN_DECODER_CHUNK
from jukebox_cli.model.devices import pick_device
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level_process import LevelProcess
from jukebox_cli.sampling.level_thread import LevelThread
from jukebox_cli.sampling.pipeline import choose_worker
from jukebox_cli.sampling.slice_plans import rows_per_item
from jukebox_cli.storage.segments import ComputeSettings
from jukebox_cli.storage.tensors import index_tensors

if TYPE_CHECKING:
    import torch

#: What numpy, resampling, conditioners and the stacks of threads take when they are first used.
FIRST_USE_BYTES = 40 << 20
#: Of a token of an item in memory: int64, and twice uint16 while it is written.
TOKEN_BYTES = 12
#: Tensors of the width of the prior and its full length that computing with torch takes beside
#: each other: of the prompt of an item, and of the conditions of an item.
PREFILL_TENSORS, CONDITION_TENSORS = 6, 3
#: The same for a decoder, of its widest layer at the sample rate.
DECODER_TENSORS = 8
#: While a GPU computes: CUDA's own kernels and libraries, in the memory of the machine.
CUDA_HOST_BYTES = 2 << 30


@dataclass(frozen=True)
class LevelMemory:
    """Bytes that sampling a level takes."""

    weights: int
    loading: int  # beside the weights, while they are converted
    row: int  # of each row of a batch; with guidance an item has two
    working: int  # while the conditions and the prompt of an item are computed
    tokens: int  # of each item, of all its tokens
    num_windows: int  # of an item

    def total(self, rows: int, items: int) -> int:
        """While so many rows, of so many items, are sampled side by side."""
        sampling = rows * self.row + items * self.tokens + self.working
        return self.weights + max(self.loading, sampling)


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a job takes: `base` has the process already, or will at once."""

    job: Job
    base: int
    levels: Mapping[int, LevelMemory]
    decoding: int
    is_parallel: bool  # levels at the same time
    num_processes: int = 0  # more than this one, for levels

    def peak(self, batch: int) -> int:
        """At the peak, with batches of at most so many rows."""
        if self.is_parallel:
            sampling = self._at_the_same_time(list(self.levels), batch)
        else:
            sampling = max((self._level(level, batch) for level in self.levels), default=0)
        return (1 + self.num_processes) * self.base + max(sampling, self.decoding)

    def needed(self, batch: int) -> int:
        """At the peak, beyond what the process has already."""
        return max(0, self.peak(batch) - resident_memory())

    def _at_the_same_time(self, levels: Sequence[int], batch: int) -> int:
        """Of levels that are sampled in parallel, from the top. Below a level of one window nothing
        begins before that is complete."""
        if not levels:
            return 0
        first, below = levels[0], self._at_the_same_time(levels[1:], batch)
        own = self._level(first, batch)
        is_short = self.levels[first].num_windows == 1
        return max(own, self.levels[first].weights + below) if is_short else own + below

    def _level(self, level: int, batch: int) -> int:
        slices = rows_per_item(self.job, level)
        count = len(self.job.incomplete_items(level))
        items = min(count, max(1, batch // slices))
        return self.levels[level].total(items * slices, items)


def estimate_memory(job: Job, levels: Sequence[int], decode: bool) -> MemoryEstimate:
    """What sampling incomplete levels of a job takes, and decoding.

    job: with compute settings. On a GPU, the memory of the GPU.
    """
    device = pick_device(job.device)
    worker = choose_worker(job, levels)
    on_gpu = device.type == "cuda"
    return MemoryEstimate(
        job,
        0 if on_gpu else resident_memory() + FIRST_USE_BYTES,
        {level: level_memory(job, level, device) for level in levels},
        _decoding_bytes(job) if decode else 0,
        is_parallel=worker in (LevelThread, LevelProcess),
        num_processes=len(levels) - 1 if worker is LevelProcess else 0,
    )


def level_memory(job: Job, level: int, device: torch.device) -> LevelMemory:
    """What sampling a level takes, with the settings of its first incomplete segment."""
    item = job.incomplete_items(level)[0]
    part = job.missing_parts(level, item)[0]
    settings = part.segment.compute_settings(level)
    assert settings, "chosen before memory is estimated"
    config = job.model.config.priors[level]
    on_gpu = device.type == "cuda"
    number_bytes = WEIGHT_BYTES[settings.precision] if on_gpu else WEIGHT_BYTES["fp32"]
    guided = any(
        getattr(each, "needs_unconditional", False)
        for each in job.make_samplers(level, part.segment)
    )
    has_conditions = bool(config.conditioners) or level < job.top_level
    is_lazy = settings.engine == "native"  # torch writes whole caches
    positions = max(job.num_tokens(level, each) for each in job.items) if is_lazy else None
    weights, loading = _weights(job, level, settings, on_gpu)
    return LevelMemory(
        weights,
        loading,
        (2 if guided else 1) * row_bytes(config, number_bytes, positions, has_conditions),
        _working_bytes(config, settings, level < job.top_level),
        TOKEN_BYTES * max(job.num_tokens(level, each) for each in job.items),
        len(part.windows),
    )


def _weights(job: Job, level: int, settings: ComputeSettings, on_gpu: bool) -> tuple[int, int]:
    """Bytes of a prior's weights, and of what is there beside them while they are loaded."""
    linear = kept = embeddings = stored = 0
    for name, tensor in index_tensors(job.model.weights(f"prior-{level}")).items():
        count = prod(tensor.shape)
        if name.startswith("transformer.") and len(tensor.shape) > 1:
            linear += count
            stored += count * tensor.storage.dtype.itemsize
        else:
            kept += count
        if name in ("token_embedding.weight", "position_embedding"):
            embeddings += count
    precise = linear * WEIGHT_BYTES[settings.precision]
    if on_gpu:
        return precise + kept * 4, 0
    if settings.engine == "native":  # it has the embeddings, and maybe the output, for itself
        output = embeddings * WEIGHT_BYTES[settings.precision]
        return precise + (kept + embeddings) * 4 + output, stored
    return precise + kept * 4, 0


def _working_bytes(config: PriorConfig, settings: ComputeSettings, is_upsampler: bool) -> int:
    """Bytes of activations of one item: of its conditions, and with torch of its prompt."""
    length = config.context_length
    tensors = CONDITION_TENSORS * config.width
    if is_upsampler:
        tensors += CONDITION_TENSORS * config.upsampler_conditioner.width
    if settings.engine == "torch":
        tensors = max(tensors, round((PREFILL_TENSORS + config.mlp_ratio) * config.width))
    return 4 * length * tensors


def _decoding_bytes(job: Job) -> int:
    """Bytes of the codec, and of the activations of a chunk of its decoder."""
    vqvae = job.model.config.vqvae
    count = 0
    for level in range(vqvae.num_levels):
        tensors = index_tensors(job.model.weights(f"vqvae-{level}")).values()
        count += sum(prod(tensor.shape) for tensor in tensors)
    return 4 * (
        count
        + DECODER_TENSORS * MIN_DECODER_CHUNK * max(size.width for size in vqvae.decoder_sizes)
    )
