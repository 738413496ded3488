"""The native engine with the items of a batch shared out among threads, for small priors.

Sharing out the outputs of small layers takes longer than computing them. Items need nothing of each
other, and which are computed together changes no bit.

Shapes: B batch, R rows of conditions (B, or with guidance 2B), T tokens of a window, K codes of the
codebook, V characters of the prefix's vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from jukebox_cli.engine.engines import SamplingWindow
from jukebox_cli.engine.native import NativeEngine
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.conditioning import Conditioning

Result = TypeVar("Result")


class ItemThreads:
    """An `engines.Engine` that computes with up to `num_threads` threads."""

    def __init__(self, engine: NativeEngine, num_threads: int) -> None:
        self.engine, self.num_threads = engine, num_threads
        self.pool = ThreadPoolExecutor(num_threads, thread_name_prefix="items")

    def open_window(
        self, conditions: Conditioning, tokens: Tensor, rows: int, num_primed: int, num_known: int
    ) -> SamplingWindow:
        groups = torch.arange(len(tokens)).chunk(self.num_threads)
        if len(groups) == 1:
            return self.engine.open_window(conditions, tokens, rows, num_primed, num_known)
        copies = rows // len(tokens)

        def open_group(group: Tensor) -> SamplingWindow:
            all_rows = torch.cat([group + copy * len(tokens) for copy in range(copies)])
            own = tokens[int(group[0]) : int(group[-1]) + 1]  # a view
            args = (conditions.rows(all_rows), own, len(all_rows), num_primed, num_known)
            return self.engine.open_window(*args)

        windows = self.map([partial(open_group, group) for group in groups])
        return GroupedWindow(self, windows, [len(group) for group in groups], copies)

    def map(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """The results of tasks that run at the same time. Raises what one of them raises, after
        all have ended."""

        def run(task: Callable[[], Result]) -> Result:
            with torch.inference_mode():
                return task()

        futures = [self.pool.submit(run, task) for task in tasks]
        return [future.result() for future in futures]


class GroupedWindow:
    """An `engines.SamplingWindow` whose items are in several windows."""

    def __init__(
        self, threads: ItemThreads, windows: Sequence[SamplingWindow], sizes: list[int], copies: int
    ) -> None:
        self.threads, self.windows, self.sizes, self.copies = threads, windows, sizes, copies

    @property
    def next_position(self) -> int:
        return min(window.next_position for window in self.windows)

    def logits(self, position: int) -> Tensor:
        """Logits (R, K + V), the unconditional rows of all items last."""
        tasks = [partial(window.logits, position) for window in self.windows]
        parts = [part.chunk(self.copies) for part in self.threads.map(tasks)]
        return torch.cat([part[copy] for copy in range(self.copies) for part in parts])

    def sample(
        self,
        first: int,
        end: int,
        sample_from: Tensor,
        uniform: Tensor,
        parameters: SamplingParameters,
    ) -> int:
        groups = zip(
            self.windows, sample_from.split(self.sizes), uniform.split(self.sizes), strict=True
        )
        tasks = [
            partial(window.sample, first, end, start, numbers, parameters)
            for window, start, numbers in groups
        ]
        return min(self.threads.map(tasks))
