"""The conditions of a batch of items in each window, as tensors for a prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jukebox_cli.interfaces.conditioner import PriorShape, Song, Window
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.windows import TokenWindow

if TYPE_CHECKING:
    from torch import Tensor

    from jukebox_cli.model.conditioning import Conditioning
    from jukebox_cli.model.prior import Prior


def audio_window(shape: PriorShape, window: TokenWindow, num_samples: int) -> Window:
    """A token window of an item of `num_samples`, in samples, as conditioners see it."""
    hop_length = shape.hop_length
    return Window(window.start * hop_length, shape.context_length * hop_length, num_samples)


class ConditionedItem(NamedTuple):
    """An item, what it is conditioned on, its length in samples, and the token that windows count
    from."""

    item: int
    song: Song
    num_samples: int
    first: int = 0


class SongConditioner:
    """Conditions a prior on the songs of a batch, and on the tokens of the level above.

    Each item is encoded alone, so that its conditions don't depend on the batch.
    """

    def __init__(
        self, job: Job, level: int, prior: Prior, items: Sequence[ConditionedItem]
    ) -> None:
        self.job, self.level, self.prior, self.items = job, level, prior, items
        self.conditioners = load_conditioners(job.model, level, job.registry)
        self.shape = prior_shape(job.model.config, level)
        self.upper_tokens: dict[int, np.ndarray] = {}

    def conditioning(self, window: TokenWindow) -> Conditioning:
        """The conditions of the whole batch in a window."""
        from jukebox_cli.model.conditioning import stack_conditionings

        return stack_conditionings([self._item_conditioning(item, window) for item in self.items])

    def _item_conditioning(self, item: ConditionedItem, window: TokenWindow) -> Conditioning:
        from jukebox_cli.model.conditioning import arrays_to_device

        window = window.moved(item.first)
        device = self.prior.position_embedding.device
        audio = audio_window(self.shape, window, item.num_samples)
        arrays = encode_window(self.conditioners, [item.song], audio, self.shape)
        upper = self._upper_window(item, window)
        return self.prior.condition(
            arrays_to_device(arrays, device), None if upper is None else upper.to(device)
        )

    def _upper_window(self, item: ConditionedItem, window: TokenWindow) -> Tensor | None:
        """The tokens above a window, (1, context_length / ratio); None at the top level.

        Past the end of the item the last one is repeated.
        """
        import torch

        grid, upper_level = self.job.grid, self.level + 1
        if self.level == grid.top_level:
            return None
        window_end = window.start + self.shape.context_length
        start, full_end = grid.upper_range(self.level, window.start, window_end)
        end = min(full_end, grid.num_tokens(upper_level, item.num_samples))
        tokens = self._read_upper(item.item, end)[start:end]
        return torch.from_numpy(np.pad(tokens, (0, full_end - end), "edge"))[None]

    def _read_upper(self, item: int, count: int) -> np.ndarray:
        """The tokens of the level above, as soon as there are at least `count`."""
        level, run = self.level + 1, self.job.run
        if self.job.live_tokens:
            return self.job.live_tokens.wait_for(level, item, count)
        while len(self.upper_tokens.get(item, ())) < count:
            if run.num_tokens(level, item) >= count:
                tokens = run.read_tokens(level, item)
                if tokens is not None:
                    self.upper_tokens[item] = tokens
            else:
                assert self.job.wait_for_upper, f"level {level} is not complete"
                self.job.wait_for_upper()
        return self.upper_tokens[item]
