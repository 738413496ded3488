"""Tokens -> audio files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.stages import decode_stage


def decode_items(job: Job, level: int = 0, suffix: str = "wav") -> list[str]:
    """The audio files of the job's items at a level, after writing those that are missing.

    Raises InputError for an item whose tokens of the level are incomplete.
    """
    missing = [item for item in job.items if not job.run.has_audio(item, level, suffix)]
    for item in missing:
        if job.num_missing_tokens(level, item):
            raise InputError(
                f"item {item} of {job.run.path} is incomplete at level {level}",
                "finish it with `jukebox upsample`, or choose others: --only, --level",
            )
    if missing:
        _decode(job, missing, level, suffix)
        job.log_event("decoded", level=level, items=missing, format=suffix)
    return [str(job.run.audio_file(item, level, suffix)) for item in job.items]


def _decode(job: Job, items: Sequence[int], level: int, suffix: str) -> None:
    from jukebox_cli.audio.io import write_audio
    from jukebox_cli.model import codec
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_vqvae

    vqvae = load_vqvae(job.model, pick_device(job.device))
    advance = job.progress(decode_stage(level), 0, sum(job.num_samples(item) for item in items))
    for item in items:
        tokens = job.run.read_tokens(level, item)
        assert tokens is not None
        blocks = codec.decode(vqvae, level, tokens, job.num_samples(item))
        path = job.run.audio_file(item, level, suffix)
        write_audio(path, _with_progress(blocks, advance), vqvae.config.sample_rate)


def _with_progress(blocks: Iterator[np.ndarray], advance: Advance) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block
        advance(len(block))
