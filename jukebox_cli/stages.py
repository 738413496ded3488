"""What the commands do to a run: fill in the tokens of its levels, then its audio.

Every stage looks at what is there, does what is missing, and leaves the rest alone. That is all
there is to resuming.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jukebox_cli.folders import Asked, Model, Run, RunConfig, Tokens
from jukebox_cli.plugin import InputError, InputWarning, Song, Window
from jukebox_cli.registry import Registry
from jukebox_cli.steering import conditioners, encode_window, refuse_unused, shape_of
from jukebox_cli.windows import Stretch, windows

if TYPE_CHECKING:
    import torch

    from jukebox_cli.conditioning import Conditioning
    from jukebox_cli.prior import Prior


#: Is told how many more are done.
Tick = Callable[[int], None]
#: Something that counts up while a stage works, given what, how many are done and how many there
#: are: see `cli` for the one with colours.
Bar = Callable[[str, int, int], Tick]


def silent(what: str, done: int, total: int) -> Tick:
    """The bar that shows nothing."""
    return lambda count: None


@dataclass(frozen=True)
class Job:
    """A run being worked on."""

    run: Run
    model: Model
    registry: Registry
    items: Sequence[int]
    config: RunConfig
    asked: Asked
    device: str = "auto"
    precision: str = "auto"
    batch: int = 16
    bar: Bar = silent
    #: called again and again while the level above is drawn by another; None: it must be whole
    wait: Callable[[], None] | None = None

    @property
    def top(self) -> int:
        return self.model.config.vqvae.levels - 1

    def samples(self, item: int) -> int:
        return self.asked.of(item)[0]

    def song(self, item: int) -> Song:
        return self.asked.of(item)[1]

    def total(self, level: int, item: int) -> int:
        """Tokens that an item has at a level when it is whole."""
        hops = self.model.config.vqvae.hops
        return -(-self.samples(item) // hops[-1]) * (hops[-1] // hops[level])

    def have(self, level: int, item: int) -> int:
        tokens = self.run.read_tokens(level, item)
        return 0 if tokens is None else len(tokens.tokens)

    def lacks(self, level: int) -> list[int]:
        """The items whose tokens of a level are not all there."""
        return [i for i in self.items if self.have(level, i) < self.total(level, i)]

    def stretches(self, level: int, item: int, given: int) -> list[Stretch]:
        config, hops = self.model.config, self.model.config.vqvae.hops
        ratio = hops[level + 1] // hops[level] if level < self.top else 1
        hop = self.config.hop[level]
        return windows(self.total(level, item), config.priors[level].frames, hop, given, ratio)

    def event(self, kind: str, **what: Any) -> None:
        event = {"time": round(time.time(), 3), "event": kind, **what}
        self.run.log(event)
        self.registry.manager.hook.jukebox_event(run=self.run.path, event=event)


def check(job: Job, until: str = "audio") -> None:
    """Every condition of every window, encoded once, and whether the weights are there: what is
    wrong fails here, before torch and before anything is written."""
    levels = [conditioners(job.model, n, job.registry) for n in _prior_levels(job)]
    for item in job.items:
        refuse_unused(job.model, job.registry, levels, job.song(item))
    for number, parts in zip(_prior_levels(job), levels, strict=True):
        shape = shape_of(job.model.config, number)
        for item in job.items:
            for stretch in job.stretches(number, item, 0):
                window = window_of(job, number, item, stretch)
                encode_window(parts, [job.song(item)], window, shape)
    _refuse_incomplete(job, until)
    if job.device not in ("auto", "cpu") or job.precision == "bf16":
        from jukebox_cli.loading import pick_device, pick_precision

        pick_precision(job.precision, pick_device(job.device), large=False)


def _refuse_incomplete(job: Job, until: str) -> None:
    """InputError when the model lacks weights that are needed to go as far as `until`."""
    for level in range(job.top, (job.top if until == "top" else 0) - 1, -1):
        if job.lacks(level):
            job.model.need(f"prior-{level}")
    if until == "audio":
        for level in range(job.top + 1):
            job.model.need(f"vqvae-{level}")


def tell_of_other_priors(job: Job) -> None:
    """Warns of items that are whole, but were drawn with other weights than the model has now."""
    for level in _prior_levels(job):
        mine = job.model.prior_print(level) if job.model.weights(f"prior-{level}").exists() else ""
        for item in job.items:
            tokens = job.run.read_tokens(level, item)
            whole = tokens and len(tokens.tokens) >= job.total(level, item)
            if tokens and whole and mine and tokens.prior not in ("", mine):
                message = (
                    f"level {level} of {job.run.path} was drawn with other weights of "
                    f"prior-{level} and stays as it is: for a new song, choose another --out"
                )
                warnings.warn(InputWarning(message), stacklevel=2)
                break


def _prior_levels(job: Job) -> range:
    return range(len(job.model.config.priors))


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
    from jukebox_cli.loading import load_prior, pick_device

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

    from jukebox_cli.loading import is_large

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
    from jukebox_cli.sample import Draft, Level, Pulse, sample_level

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
    from jukebox_cli.conditioning import stack, tensors

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


def window_of(job: Job, level: int, item: int, stretch: Stretch) -> Window:
    """A stretch of tokens as the samples that its conditioners are told of."""
    hop, frames = job.model.config.vqvae.hops[level], job.model.config.priors[level].frames
    return Window(stretch.start * hop, frames * hop, job.samples(item))


def decode(job: Job, level: int = 0, suffix: str = "wav") -> list[str]:
    """Writes the audio of a level's tokens that is not there yet; gives the files."""
    files = {i: job.run.audio_file(i, level, suffix) for i in job.items}
    missing = [i for i in job.items if not job.run.has_audio(i, level, suffix)]
    for item in missing:
        if job.have(level, item) < job.total(level, item):
            raise InputError(
                f"item {item} of {job.run.path} is not whole at level {level}",
                "finish it with `jukebox upsample`, or choose others: --items, --level",
            )
    if missing:
        from jukebox_cli import audio, codec
        from jukebox_cli.loading import load_vqvae, pick_device

        vqvae = load_vqvae(job.model, pick_device(job.device))
        rate = job.model.config.vqvae.sample_rate
        samples = sum(job.samples(i) for i in missing)
        tick = job.bar(f"decode {level}", 0, samples)
        for item in missing:
            tokens = job.run.read_tokens(level, item)
            assert tokens is not None
            blocks = codec.decode(vqvae, level, tokens.tokens, job.samples(item))
            audio.write(files[item], _ticked(blocks, tick), rate)
        job.event("decoded", level=level, items=missing, format=suffix)
    return [str(files[i]) for i in job.items]


def _ticked(blocks: Iterator[np.ndarray], tick: Tick) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block
        tick(len(block))
