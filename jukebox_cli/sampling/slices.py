"""Sampling a segment at one level in slices that are rows of one batch (see `slice_layout`).

A slice has the true tokens of the level above, and the random numbers of its own positions: in a
warm-up the same as the slice before, so that the two often agree. Each is in a file of its own
until all are complete; then so are the seams, and then they become the item's tokens. Until then
slices need nothing of each other, so other commands may sample some of them (`shard_worker`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.rows import Row, make_row, sample_rows
from jukebox_cli.sampling.slice_layout import SliceLayout
from jukebox_cli.sampling.windows import SegmentWindows, TokenWindow
from jukebox_cli.storage.slice_files import SliceFiles

if TYPE_CHECKING:
    from jukebox_cli.sampling.sampler import LevelSampler


@dataclass(frozen=True)
class SlicedItem:
    """A segment of an item that is sampled in slices at a level."""

    job: Job
    level: int
    item: int
    part: SegmentWindows
    layout: SliceLayout

    @cached_property
    def files(self) -> SliceFiles:
        return self.job.run.slice_files(self.level, self.item, self.part.number, self._origin())

    def _origin(self) -> str:
        """A hash of what the tokens of a slice follow from, but for the tokens of the level above
        and of the item before the segment."""
        segment, level = self.part.segment, self.level
        origin = {
            "seed": segment.seed,
            "conditions": segment.conditions,
            "sampling": segment.sampling[level],
            "hop_fraction": segment.hop_fraction[level],
            "prior": segment.prior_fingerprints[level],
            "slices": asdict(self.layout),
            "place": (level, self.item, self.part.first, self.part.num_samples),
        }
        text = json.dumps(origin, sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    @cached_property
    def known(self) -> np.ndarray:
        """The item's tokens before the segment, int64 (first,)."""
        tokens = self.job.run.read_tokens(self.level, self.item)
        return np.zeros(0, np.int64) if tokens is None else tokens[: self.part.first]

    def windows(self) -> list[TokenWindow]:
        """The windows of every slice, and last that of every seam, in tokens from where the slice
        begins."""
        context_length = self.job.model.config.priors[self.level].context_length
        fraction = self.part.segment.hop_fraction[self.level]
        windows = self.layout.windows(context_length, fraction, self.job.grid.ratio(self.level))
        return [*windows, self.layout.seam_window(context_length)]

    def slices(self) -> list[Row]:
        """The slices, as far as they are sampled."""
        return [self.slice_row(number) for number in range(self.layout.plan.count)]

    def slice_row(self, number: int) -> Row:
        """A slice, as far as it is sampled."""
        prompt = None if number else self.known[self.layout.plan.start :]
        return self._row("slice", number, prompt, self.layout.length)

    def incomplete_slices(self) -> list[int]:
        """The numbers of the slices that are not sampled to their end."""
        counts = enumerate(self.num_tokens("slice"))
        return [number for number, count in counts if count < self.layout.length]

    def seams(self, slices: Sequence[Row]) -> list[Row]:
        """The seams between complete slices. Each begins with the end of the slice before it."""
        warmup, seam = self.layout.plan.warmup, self.layout.plan.seam
        prompts = [row.partial.tokens[-warmup:] for row in slices[:-1]]
        return [self._row("seam", n, p, warmup + seam) for n, p in enumerate(prompts, 1)]

    def _row(self, kind: str, number: int, prompt: np.ndarray | None, length: int) -> Row:
        def write(tokens: np.ndarray, vocab_size: int | None) -> None:
            # another command may have sampled the same slice, and further
            if self.files.num_tokens(kind, number) < len(tokens):
                codec = self.job.model.config.vqvae
                self.files.write(kind, number, codec, tokens, vocab_size)

        known = self.files.read(kind, number)
        first = self.layout.start(number)
        return make_row(
            self.part, self.item, prompt if known is None else known, length, write, first
        )

    def finish(self, slices: Sequence[Row], seams: Sequence[Row]) -> None:
        """Writes the item's tokens, and deletes the files of its slices."""
        tokens = self._merge(slices, seams)
        self.job.run.write_tokens(self.level, self.item, tokens, self.job.model.config.vqvae)
        if self.job.live_tokens:
            self.job.live_tokens.publish(self.level, self.item, tokens)
        self.files.delete()

    def _merge(self, slices: Sequence[Row], seams: Sequence[Row]) -> np.ndarray:
        """The item's tokens as far as the segment. Each row is complete."""
        warmup, seam = self.layout.plan.warmup, self.layout.plan.seam
        pieces = [self.known, slices[0].partial.tokens[self.part.first - self.layout.plan.start :]]
        for redrawn, row in zip(seams, slices[1:], strict=True):
            new, old = redrawn.partial.tokens[warmup:], row.partial.tokens[warmup:]
            cut = seam_cut(new, old[:seam])
            pieces += [new[:cut], old[cut:]]
        tokens = np.concatenate(pieces)
        rows = [*slices, *seams]
        if len(tokens) != self.part.total or not all(row.is_complete for row in rows):
            raise RuntimeError(f"slices of level {self.level} of item {self.item} are incomplete")
        return tokens[: self.part.end]

    def num_extra_draws(self) -> int:
        """Tokens that are sampled beyond those of the segment: in warm-ups and seams."""
        return self.layout.num_draws(self.part.first) - (self.part.end - self.part.first)

    def num_drawn(self) -> int:
        """Tokens that were sampled so far, warm-ups and seams included."""
        plan = self.layout.plan
        slices, seams = self.num_tokens("slice"), self.num_tokens("seam")
        prompts = [self.part.first - plan.start, *[0] * (plan.count - 1)]
        drawn = [max(0, n - known) for n, known in zip(slices, prompts, strict=True)]
        return sum(drawn) + sum(max(0, n - plan.warmup) for n in seams)

    def num_tokens(self, kind: str) -> list[int]:
        """Tokens that there are of each slice (`slice`), or of the seam before it (`seam`), prompts
        included."""
        return [self.files.num_tokens(kind, number) for number in range(self.layout.plan.count)]


def seam_cut(new: np.ndarray, old: np.ndarray) -> int:
    """How many tokens of a seam (S,) are taken as they were drawn again: up to the end of the
    longest run of tokens that are as they were, so that the slice goes on after what it knows.

    All of them if none is.
    """
    changed = np.flatnonzero(new != old)
    starts = np.concatenate([[0], changed + 1])
    ends = np.concatenate([changed, [len(new)]])
    longest = int(np.argmax(ends - starts))
    return int(ends[longest]) if ends[longest] > starts[longest] else len(new)


def sliced_items(job: Job, level: int, parts: Mapping[int, SegmentWindows]) -> list[SlicedItem]:
    """The segments, by item, that are sampled in slices."""
    plans = {item: part.segment.slice_plan(level) for item, part in parts.items()}
    return [
        SlicedItem(job, level, item, parts[item], SliceLayout(plan, parts[item].total))
        for item, plan in plans.items()
        if plan
    ]


def sample_slices(
    job: Job, sampler: LevelSampler, items: Sequence[SlicedItem], advance: Advance
) -> None:
    """Samples one segment of some items, which have the same slices, and writes their tokens."""
    *windows, seam_window = items[0].windows()
    slices = [item.slices() for item in items]
    sample_rows(job, sampler, _incomplete(slices), windows, advance)
    seams = [item.seams(rows) for item, rows in zip(items, slices, strict=True)]
    sample_rows(job, sampler, _incomplete(seams), [seam_window], advance)
    for item, rows, redrawn in zip(items, slices, seams, strict=True):
        item.finish(rows, redrawn)


def _incomplete(rows: Sequence[Sequence[Row]]) -> list[Row]:
    return [row for each in rows for row in each if not row.is_complete]


def num_known_tokens(job: Job, level: int, item: int) -> int:
    """Tokens of an item at a level, those of slices as a share of what is sampled for them."""
    known = job.num_sampled_tokens(level, item)
    for part in job.missing_parts(level, item) if known < job.num_tokens(level, item) else ():
        for sliced in sliced_items(job, level, {item: part}):
            num_tokens = part.end - part.first
            num_draws = num_tokens + sliced.num_extra_draws()
            known += num_tokens * sliced.num_drawn() // num_draws
    return known


def delete_leftover_slices(job: Job) -> None:
    """Deletes files of slices whose level is complete: of a process that was killed before it did
    so, or of one that was slower than the one that took over from it."""
    sliced = [i for i in job.items if any(segment.slices for segment in job.specs[i].segments)]
    for level in range(job.top_level):
        for item in sliced:
            for part in job.segment_windows(level, item):
                if part.end <= job.num_sampled_tokens(level, item):
                    job.run.slice_files(level, item, part.number).delete()
