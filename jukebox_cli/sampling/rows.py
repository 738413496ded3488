"""Rows of a batch: tokens that are sampled, with what they are conditioned on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jukebox_cli.sampling.conditioning import ConditionedItem, SongConditioner
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.windows import SegmentWindows, TokenWindow
from jukebox_cli.storage.token_files import MAX_VOCAB_SIZE

if TYPE_CHECKING:
    from jukebox_cli.model.prior import Prior
    from jukebox_cli.sampling.sampler import LevelSampler, PartialTokens

#: Writes tokens (T,), of so large a vocabulary if it is larger than that of the codec.
WriteTokens = Callable[[np.ndarray, "int | None"], None]
#: Tells other threads what tokens (T,) there are so far.
PublishTokens = Callable[[np.ndarray], None]


class Row(NamedTuple):
    """An item, or a slice of one, while it is sampled."""

    partial: PartialTokens
    part: SegmentWindows  # the segment that it belongs to
    write: WriteTokens
    publish: PublishTokens | None  # if other threads wait for the tokens

    @property
    def is_complete(self) -> bool:
        """Whether all its tokens are known."""
        return self.partial.num_done >= len(self.partial.tokens)


def make_row(
    part: SegmentWindows,
    item: int,
    known: np.ndarray | None,
    length: int,
    write: WriteTokens,
    first: int = 0,
    publish: PublishTokens | None = None,
) -> Row:
    """A row of `length` tokens from token `first` of an item on, of which some are known."""
    from jukebox_cli.sampling.sampler import PartialTokens

    tokens = np.zeros(length, np.int64)
    num_known = 0 if known is None else len(known)
    if known is not None:
        tokens[:num_known] = known
    tokens_so_far = PartialTokens(item, part.segment.seed, tokens, num_known, first)
    return Row(tokens_so_far, part, write, publish)


def sample_rows(
    job: Job,
    sampler: LevelSampler,
    rows: Sequence[Row],
    windows: Sequence[TokenWindow],
    advance: Advance,
) -> None:
    """Samples what rows of one length lack of some windows, and writes them now and then, also when
    it is interrupted. Where memory runs out, fewer rows at a time.

    Raises InputError if there is not enough for one row.
    """
    if not rows:
        return
    from jukebox_cli.engine.footprint import row_bytes

    def sample(group: Sequence[Row]) -> None:
        _sample_together(job, sampler, group, windows, advance)

    per_item = sampler.num_rows(1) * row_bytes(sampler.prior.config)
    job.row_limit(sampler.level).sample(rows, sample, per_item)


def _sample_together(
    job: Job,
    sampler: LevelSampler,
    rows: Sequence[Row],
    windows: Sequence[TokenWindow],
    advance: Advance,
) -> None:
    """As `sample_rows`, all rows side by side."""
    from jukebox_cli.sampling.sampler import ProgressCallbacks, sample_windows

    save = _make_save(rows, sampler.prior)
    is_awaited = any(row.publish for row in rows)
    callbacks = ProgressCallbacks(advance, save, partial(_publish, rows) if is_awaited else None)
    conditioned = _conditioned_items(rows, sampler)
    try:
        conditioner = SongConditioner(job, sampler.level, sampler.prior, conditioned)
        sample_windows(sampler, [row.partial for row in rows], windows, conditioner, callbacks)
    finally:
        save()


def _publish(rows: Sequence[Row]) -> None:
    for row in rows:
        if row.publish:
            row.publish(row.partial.tokens[: row.partial.num_done])


def _make_save(rows: Sequence[Row], prior: Prior) -> Callable[[], None]:
    """A function that writes the rows that have more tokens than when it was last called."""
    written = [row.partial.num_done for row in rows]

    def save() -> None:
        for number, row in enumerate(rows):
            if row.partial.num_done != written[number]:
                _write(row, prior)
                written[number] = row.partial.num_done

    return save


def _conditioned_items(rows: Sequence[Row], sampler: LevelSampler) -> list[ConditionedItem]:
    """The items with their conditions; with guidance once more, without any."""
    items = [
        ConditionedItem(row.item, part.segment.conditions, part.num_samples, row.first)
        for row, part, *_ in rows
    ]
    unconditional = [each._replace(song={}) for each in items] if sampler.guidance_samplers else []
    return [*items, *unconditional]


def _write(row: Row, prior: Prior) -> None:
    """Writes the tokens that are known so far."""
    tokens, num_done = row.partial.tokens, row.partial.num_done
    incomplete = num_done < len(tokens)
    # an incomplete window may hold characters of the prefix, which are numbered after the codes
    vocab_size = MAX_VOCAB_SIZE if prior.config.prefix_length and incomplete else None
    row.write(tokens[:num_done], vocab_size)
