"""What the commands do to a run: fill in the tokens of its levels, then its audio.

Every stage looks at what is there, does what is missing, and leaves the rest alone. That is all
there is to resuming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.sampling.windows import TokenWindow
from jukebox_cli.storage.run import Tokens

if TYPE_CHECKING:
    import torch

    from jukebox_cli.model.conditioning import Conditioning
    from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.job import Advance, Job, audio_window


def sample_level(job: Job, level: int) -> None:
    """Draws what the run's items lack at a level; the level above must be whole."""
    lacking = job.incomplete_items(level)
    if not lacking:
        return
    if (
        level < job.top_level
        and not job.wait_for_upper
        and (short := [i for i in lacking if i in job.incomplete_items(level + 1)])
    ):
        raise InputError(
            f"item {short[0]} of {job.run.path} is not whole at level {level + 1}",
            "finish that level first, with the command that began it",
        )
    if job.config.audio_hash:
        job.run.require_recorded_tokens(level, lacking)
    _require_same_weights(job, level, lacking)
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_prior

    device = pick_device(job.device)
    prior = load_prior(job.model, level, job.registry, device, job.precision)
    counts = [(job.num_sampled_tokens(level, i), job.num_tokens(level, i)) for i in lacking]
    tick = job.progress(f"level {level}", sum(h for h, _ in counts), sum(t for _, t in counts))
    job.log_event("level", level=level, items=lacking)
    began = time.monotonic()
    with _threads_for(prior):
        for batch in _batches(job, level, lacking):
            _sample_batch(job, level, prior, batch, tick)
    drawn = sum(t - h for h, t in counts)
    job.log_event("drawn", level=level, tokens=drawn, seconds=round(time.monotonic() - began, 2))


def _require_same_weights(job: Job, level: int, items: Sequence[int]) -> None:
    """InputError where other weights drew a part: half a song of each would be neither's."""
    mine = job.model.prior_fingerprint(level)
    for item in items:
        tokens = job.run.read_tokens(level, item)
        if (
            tokens
            and len(tokens.tokens) > tokens.primed
            and tokens.prior_fingerprint not in ("", mine)
        ):
            raise InputError(
                f"item {item} of {job.run.path} was begun at level {level} with other weights of "
                f"prior-{level} than '{job.model.name}' has now",
                "make it anew in another --out, or name a model that has them: --model",
            )


@contextmanager
def _threads_for(prior: Prior) -> Iterator[None]:
    """One thread for a small prior on a CPU: handing its tiny sums to others takes longer."""
    import torch

    from jukebox_cli.model.loader import is_large

    before = torch.get_num_threads()
    torch.set_num_threads(before if is_large(prior) else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(job: Job, level: int, items: Sequence[int]) -> list[list[int]]:
    """Items that can be drawn side by side: same length, same part given."""
    alike: dict[tuple[int, int], list[int]] = {}
    for item in items:
        tokens = job.run.read_tokens(level, item)
        alike.setdefault((job.num_tokens(level, item), tokens.primed if tokens else 0), []).append(
            item
        )
    groups = alike.values()
    return [g[i : i + job.batch_size] for g in groups for i in range(0, len(g), job.batch_size)]


def _sample_batch(job: Job, level: int, prior: Prior, items: Sequence[int], tick: Advance) -> None:
    from jukebox_cli.sampling.sampler import (
        LevelSampler,
        PartialTokens,
        ProgressCallbacks,
        sample_windows,
    )

    config = job.config
    given = 0
    drafts = []
    for item in items:
        total = job.num_tokens(level, item)
        known = job.run.read_tokens(level, item) or Tokens(np.zeros(0, np.int64), 0)
        given = known.primed
        tokens = np.zeros(total, np.int64)
        tokens[: len(known.tokens)] = known.tokens
        drafts.append(PartialTokens(item, tokens, len(known.tokens)))
    codec, weights = job.model.config.vqvae, job.model.prior_fingerprint(level)

    def save() -> None:
        for draft in drafts:
            settled = Tokens(draft.tokens[: draft.num_done], given, weights)
            # half a window may hold letters of the prefix, which are numbered after the codes
            half = prior.config.prefix_length and draft.num_done < len(draft.tokens)
            job.run.write_tokens(level, draft.item, settled, codec, 1 << 16 if half else None)

    samplers = job.registry.make_samplers(config.sampling[level])
    what = LevelSampler(level, prior, samplers, config.seed)
    stretches = job.token_windows(level, items[0], given)
    songs = [(item, job.song(item)) for item in items]
    untold: list[tuple[int, Song]] = (
        [(item, {}) for item in items] if what.guidance_samplers else []
    )
    conditions = window_conditioning(job, level, prior, [*songs, *untold])
    try:
        sample_windows(what, drafts, stretches, conditions, ProgressCallbacks(tick, save))
    finally:
        save()


def window_conditioning(
    job: Job, level: int, prior: Prior, songs: Sequence[tuple[int, Song]]
) -> Callable[[TokenWindow], Conditioning]:
    """What steers a prior in each window of some items that are told of as songs: arrays to the
    device once, and one Conditioning, made item by item."""
    from jukebox_cli.model.conditioning import arrays_to_device, stack_conditionings

    parts = load_conditioners(job.model, level, job.registry)
    shape = prior_shape(job.model.config, level)
    device = prior.position_embedding.device

    def one(item: int, song: Song, stretch: TokenWindow) -> Conditioning:
        window = audio_window(job, level, item, stretch)
        arrays = encode_window(parts, [song], window, shape)
        above = _upper_tokens(job, level, item, stretch, shape.context_length)
        return prior.condition(
            arrays_to_device(arrays, device), above if above is None else above.to(device)
        )

    return lambda stretch: stack_conditionings([one(item, song, stretch) for item, song in songs])


def _upper_tokens(
    job: Job, level: int, item: int, stretch: TokenWindow, frames: int
) -> torch.Tensor | None:
    """The tokens of the level above that lie over a window: (1, frames / ratio)."""
    import torch

    if level == job.top_level:
        return None
    hops = job.model.config.vqvae.hop_lengths
    ratio = hops[level + 1] // hops[level]
    first, end = stretch.start // ratio, (stretch.start + frames) // ratio
    codes = _wait_for_tokens(job, level + 1, item, min(end, job.num_tokens(level + 1, item)))[
        first:end
    ]
    return torch.from_numpy(np.pad(codes, (0, frames // ratio - len(codes)), "edge"))[None]


def _wait_for_tokens(job: Job, level: int, item: int, count: int) -> np.ndarray:
    """The tokens of a level, once there are so many."""
    while True:
        tokens = job.run.read_tokens(level, item)
        if tokens is not None and len(tokens.tokens) >= count:
            return tokens.tokens
        assert job.wait_for_upper, f"level {level} is not whole"
        job.wait_for_upper()
