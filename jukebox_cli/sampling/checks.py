"""What the commands do to a run: fill in the tokens of its levels, then its audio.

Every stage looks at what is there, does what is missing, and leaves the rest alone. That is all
there is to resuming.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.model.condition_inputs import (
    ConditionArrays,
    encode_window,
    load_conditioners,
    prior_shape,
    require_same_arrays,
    require_used_conditions,
)

if TYPE_CHECKING:
    pass
from jukebox_cli.sampling.job import Job, audio_window


def validate_job(job: Job, until: str = "audio") -> None:
    """Every condition of every window, encoded once, and whether the weights are there: what is
    wrong fails here, before torch and before anything is written."""
    levels = [load_conditioners(job.model, n, job.registry) for n in _prior_levels(job)]
    for item in job.items:
        require_used_conditions(job.model, job.registry, levels, job.song(item))
    for number, parts in zip(_prior_levels(job), levels, strict=True):
        shape = prior_shape(job.model.config, number)
        first: ConditionArrays | None = None
        for item in job.items:
            for stretch in job.token_windows(number, item, 0):
                window = audio_window(job, number, item, stretch)
                arrays = encode_window(parts, [job.song(item)], window, shape)
                first = first or arrays
                require_same_arrays(parts, first, arrays)
    _require_weights(job, until)
    if job.device not in ("auto", "cpu") or job.precision == "bf16":
        from jukebox_cli.model.devices import pick_device, pick_dtype

        pick_dtype(job.precision, pick_device(job.device), large=False)


def _require_weights(job: Job, until: str) -> None:
    """InputError when the model lacks weights that are needed to go as far as `until`."""
    for level in range(job.top_level, (job.top_level if until == "top" else 0) - 1, -1):
        if job.incomplete_items(level):
            job.model.require_weights(f"prior-{level}")
    if until == "audio":
        for level in range(job.top_level + 1):
            job.model.require_weights(f"vqvae-{level}")


def warn_if_drawn_with_other_weights(job: Job) -> None:
    """Warns of items that are whole, but were drawn with other weights than the model has now."""
    for level in _prior_levels(job):
        mine = (
            job.model.prior_fingerprint(level)
            if job.model.weights(f"prior-{level}").exists()
            else ""
        )
        for item in job.items:
            tokens = job.run.read_tokens(level, item)
            whole = tokens and len(tokens.tokens) >= job.num_tokens(level, item)
            if tokens and whole and mine and tokens.prior_fingerprint not in ("", mine):
                message = (
                    f"level {level} of {job.run.path} was drawn with other weights of "
                    f"prior-{level} and stays as it is: for a new song, choose another --out"
                )
                warnings.warn(InputWarning(message), stacklevel=2)
                break


def _prior_levels(job: Job) -> range:
    return range(len(job.model.config.priors))
