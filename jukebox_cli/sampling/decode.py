"""What the commands do to a run: fill in the tokens of its levels, then its audio.

Every stage looks at what is there, does what is missing, and leaves the rest alone. That is all
there is to resuming.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    pass
from jukebox_cli.sampling.job import Advance, Job


def decode_items(job: Job, level: int = 0, suffix: str = "wav") -> list[str]:
    """Writes the audio of a level's tokens that is not there yet; gives the files."""
    files = {i: job.run.audio_file(i, level, suffix) for i in job.items}
    missing = [i for i in job.items if not job.run.has_audio(i, level, suffix)]
    for item in missing:
        if job.num_sampled_tokens(level, item) < job.num_tokens(level, item):
            raise InputError(
                f"item {item} of {job.run.path} is not whole at level {level}",
                "finish it with `jukebox upsample`, or choose others: --only, --level",
            )
    if missing:
        from jukebox_cli.audio.io import write_audio
        from jukebox_cli.model import codec
        from jukebox_cli.model.devices import pick_device
        from jukebox_cli.model.loader import load_vqvae

        vqvae = load_vqvae(job.model, pick_device(job.device))
        rate = job.model.config.vqvae.sample_rate
        samples = sum(job.num_samples(i) for i in missing)
        tick = job.progress(f"decode {level}", 0, samples)
        for item in missing:
            tokens = job.run.read_tokens(level, item)
            assert tokens is not None
            blocks = codec.decode(vqvae, level, tokens.tokens, job.num_samples(item))
            write_audio(files[item], _with_progress(blocks, tick), rate)
        job.log_event("decoded", level=level, items=missing, format=suffix)
    return [str(files[i]) for i in job.items]


def _with_progress(blocks: Iterator[np.ndarray], tick: Advance) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block
        tick(len(block))
