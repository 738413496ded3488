"""Whether there is memory for a job or a training, before it starts and writes anything."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from jukebox_cli.engine.memory import free_device_memory, free_memory
from jukebox_cli.interfaces.command_options import format_bytes, pluralize
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.sampling.disk_space import require_disk_space
from jukebox_cli.sampling.job import Job

#: An estimate of memory may be too low by so much.
MARGIN = 1.1
#: What a process takes without weights and caches, at most.
MOST_BASE_BYTES = 1 << 30
#: Bytes in memory for each byte of a weight file, at most: fp16 becomes fp32, and is there again
#: while it is converted.
MOST_WEIGHT_COPIES = 4
#: Bytes of a parameter, a gradient or a moment in training, and how many a checkpoint has of each.
PARAMETER_BYTES, CHECKPOINT_COPIES = 4, 3
#: Is there if torch may choose a GPU.
NVIDIA = Path("/dev/nvidiactl")


def fit_to_memory(job: Job, until: str) -> Job:
    """The job with a batch for which there is memory, with a warning if that is smaller than was
    asked for.

    Raises InputError if there is not enough for one item at a time. Where there is plenty, torch is
    not imported for it.
    """
    free = free_memory()
    has_gpu = job.device in ("auto", "cuda") and NVIDIA.exists()
    levels = job.incomplete_levels(until)
    if not has_gpu and (free is None or _upper_bound(job, levels) < free):
        return job
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.sampling.compute import with_settings
    from jukebox_cli.sampling.memory_estimate import estimate_memory

    settled = with_settings(job, levels)
    estimate = estimate_memory(settled, levels, decode=until == "audio")
    on_device = free_device_memory(pick_device(job.device))
    free = free if on_device is None else on_device
    kind = "memory" if on_device is None else "GPU memory"
    return job if free is None else _with_batch(job, estimate.needed, free, kind)


def _upper_bound(job: Job, levels: Sequence[int]) -> int:
    """More than a job takes, from sizes of files and shapes alone."""
    total = MOST_BASE_BYTES
    items = len(job.items)
    for level in levels:
        weights, config = job.model.weights(f"prior-{level}"), job.model.config.priors[level]
        length, tokens = (
            config.prefix_length + config.context_length,
            job.num_tokens(level, job.items[0]),
        )
        numbers = 2 * config.depth * length * config.attention_ratio * config.width
        numbers += 4 * length * config.width
        rows = 2 * min(items, job.batch_size)
        total += MOST_WEIGHT_COPIES * (weights.stat().st_size if weights.exists() else 0)
        total += round(rows * (4 * numbers + 16 * tokens))
    return total


def _with_batch(job: Job, needed: Callable[[int], int], free: int, kind: str) -> Job:
    """The job with the largest batch that fits."""
    size = wanted = min(job.batch_size, max(1, len(job.items)))
    if job.parallel is not None:  # slices are rows of a batch
        size = wanted = job.batch_size
    while size > 1 and MARGIN * needed(size) > free:
        size //= 2
    if MARGIN * needed(size) > free:
        what = f"needs {format_bytes(needed(size))} of {kind}, {format_bytes(free)} are free"
        raise InputError(what, _memory_hint(job))
    if size < wanted:
        what = f"a batch of {wanted} needs {format_bytes(needed(wanted))} of {kind}"
        then = f"sampling {pluralize(size, 'item')} at a time"
        message = f"{what}, {format_bytes(free)} are free: {then}"
        warnings.warn(InputWarning(message), stacklevel=4)
    return replace(job, batch_size=size) if size < wanted else job


def _memory_hint(job: Job) -> str:
    if job.precision == "int8":
        return "free some memory, or choose a smaller model"
    return "free some memory, use --precision int8, or choose a smaller model"


def require_training_room(num_parameters: int, path: Path, on_device: int | None = None) -> None:
    """Raises InputError if there is no memory, or no disk at `path`, for the training state of so
    many parameters, which are in memory already: gradients and two moments. What a batch takes is
    not known before.

    on_device: bytes that are free on a GPU; None for the memory of the machine.
    """
    free = free_memory() if on_device is None else on_device
    needed = 3 * PARAMETER_BYTES * num_parameters
    if free is not None and needed > free:
        kind = "memory" if on_device is None else "GPU memory"
        what = f"training needs {format_bytes(needed)} of {kind} beside what a batch takes"
        hint = "free some memory, or train a smaller model"
        raise InputError(f"{what}, {format_bytes(free)} are free", hint)
    require_disk_space(path, (CHECKPOINT_COPIES + 1) * PARAMETER_BYTES * num_parameters)
