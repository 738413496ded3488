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
from jukebox_cli.model.condition_inputs import conditioners, encode_window, shape_of
from jukebox_cli.sampling.windows import Stretch
from jukebox_cli.storage.run import Tokens

if TYPE_CHECKING:
    import torch

    from jukebox_cli.model.conditioning import Conditioning
    from jukebox_cli.model.prior import Prior
from jukebox_cli.sampling.job import Job, Tick, window_of


def sample(job: Job, level: int) -> None:
    """Draws what the run's items lack at a level; the level above must be whole."""
    lacking = job.lacks(level)
    if not lacking:
        return
    if (
        level < job.top
        and not job.wait
        and (short := [i for i in lacking if i in job.lacks(level + 1)])
    ):
        raise InputError(
            f"item {short[0]} of {job.run.path} is not whole at level {level + 1}",
            "finish that level first, with the command that began it",
        )
    if job.config.audio:
        job.run.refuse_lost(level, lacking)
    _refuse_begun_by_another(job, level, lacking)
    from jukebox_cli.model.devices import pick_device
    from jukebox_cli.model.loader import load_prior

    device = pick_device(job.device)
    prior = load_prior(job.model, level, job.registry, device, job.precision)
    counts = [(job.have(level, i), job.total(level, i)) for i in lacking]
    tick = job.bar(f"level {level}", sum(h for h, _ in counts), sum(t for _, t in counts))
    job.event("level", level=level, items=lacking)
    began = time.monotonic()
    with _threads_for(prior):
        for batch in _batches(job, level, lacking):
            _sample_batch(job, level, prior, batch, tick)
    drawn = sum(t - h for h, t in counts)
    job.event("drawn", level=level, tokens=drawn, seconds=round(time.monotonic() - began, 2))


def _refuse_begun_by_another(job: Job, level: int, items: Sequence[int]) -> None:
    """InputError where other weights drew a part: half a song of each would be neither's."""
    mine = job.model.prior_print(level)
    for item in items:
        tokens = job.run.read_tokens(level, item)
        if tokens and len(tokens.tokens) > tokens.given and tokens.prior not in ("", mine):
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
        alike.setdefault((job.total(level, item), tokens.given if tokens else 0), []).append(item)
    groups = alike.values()
    return [g[i : i + job.batch] for g in groups for i in range(0, len(g), job.batch)]


def _sample_batch(job: Job, level: int, prior: Prior, items: Sequence[int], tick: Tick) -> None:
    from jukebox_cli.sampling.sampler import Draft, Level, Pulse, sample_level

    config = job.config
    given = 0
    drafts = []
    for item in items:
        total = job.total(level, item)
        known = job.run.read_tokens(level, item) or Tokens(np.zeros(0, np.int64), 0)
        given = known.given
        tokens = np.zeros(total, np.int64)
        tokens[: len(known.tokens)] = known.tokens
        drafts.append(Draft(item, tokens, len(known.tokens)))
    codec, weights = job.model.config.vqvae, job.model.prior_print(level)

    def save() -> None:
        for draft in drafts:
            settled = Tokens(draft.tokens[: draft.done], given, weights)
            # half a window may hold letters of the prefix, which are numbered after the codes
            half = prior.config.prefix and draft.done < len(draft.tokens)
            job.run.write_tokens(level, draft.item, settled, codec, 1 << 16 if half else None)

    samplers = job.registry.sampling(config.sampling[level])
    what = Level(level, prior, samplers, config.seed)
    stretches = job.stretches(level, items[0], given)
    songs = [(item, job.song(item)) for item in items]
    untold: list[tuple[int, Song]] = [(item, {}) for item in items] if what.guides else []
    conditions = conditions_of(job, level, prior, [*songs, *untold])
    try:
        sample_level(what, drafts, stretches, conditions, Pulse(tick, save))
    finally:
        save()


def conditions_of(
    job: Job, level: int, prior: Prior, songs: Sequence[tuple[int, Song]]
) -> Callable[[Stretch], Conditioning]:
    """What steers a prior in each window of some items that are told of as songs: arrays to the
    device once, and one Conditioning, made item by item."""
    from jukebox_cli.model.conditioning import stack, tensors

    parts = conditioners(job.model, level, job.registry)
    shape = shape_of(job.model.config, level)
    device = prior.positions.device

    def one(item: int, song: Song, stretch: Stretch) -> Conditioning:
        window = window_of(job, level, item, stretch)
        arrays = encode_window(parts, [song], window, shape)
        above = _above(job, level, item, stretch, shape.frames)
        return prior.condition(
            tensors(arrays, device), above if above is None else above.to(device)
        )

    return lambda stretch: stack([one(item, song, stretch) for item, song in songs])


def _above(job: Job, level: int, item: int, stretch: Stretch, frames: int) -> torch.Tensor | None:
    """The tokens of the level above that lie over a window: (1, frames / ratio)."""
    import torch

    if level == job.top:
        return None
    hops = job.model.config.vqvae.hops
    ratio = hops[level + 1] // hops[level]
    first, end = stretch.start // ratio, (stretch.start + frames) // ratio
    codes = _settled(job, level + 1, item, min(end, job.total(level + 1, item)))[first:end]
    return torch.from_numpy(np.pad(codes, (0, frames // ratio - len(codes)), "edge"))[None]


def _settled(job: Job, level: int, item: int, count: int) -> np.ndarray:
    """The tokens of a level, once there are so many."""
    while True:
        tokens = job.run.read_tokens(level, item)
        if tokens is not None and len(tokens.tokens) >= count:
            return tokens.tokens
        assert job.wait, f"level {level} is not whole"
        job.wait()
