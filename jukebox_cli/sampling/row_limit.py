"""How many rows are sampled side by side where memory is short: fewer, after there was too little.

A token is a function of its item and position, so rows that are sampled in smaller groups, from
the tokens that are there, come out the same.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

from jukebox_cli.engine.memory import free_memory
from jukebox_cli.interfaces.command_options import format_bytes, pluralize
from jukebox_cli.interfaces.errors import InputError, InputWarning, is_out_of_memory

T = TypeVar("T")

NO_MEMORY_HINT = (
    "free some memory, or take less with --batch or --precision; what is sampled stays, and the "
    "same command goes on"
)


class RowLimit:
    """The most rows of a level that there is memory for, as far as is known."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.most: int | None = None

    def sample(
        self, rows: Sequence[T], sample: Callable[[Sequence[T]], None], row_bytes: int
    ) -> None:
        """Calls `sample` for all rows, or for groups of them one after another, which become
        smaller each time that memory runs out.

        row_bytes: about what a row takes. Raises InputError if there is not enough for one row.
        """
        waiting = list(rows)
        while waiting:
            group = waiting[: self.most]
            if _runs_out_of_memory(sample, group):
                self._lower(len(group), row_bytes)
            else:
                del waiting[: len(group)]

    def _lower(self, count: int, row_bytes: int) -> None:
        release_memory()
        if count == 1:
            raise no_memory_error(f" for one item at a time at level {self.level}", row_bytes)
        self.most = count // 2
        message = (
            f"out of memory with {pluralize(count, 'item')} side by side at level {self.level}: "
            f"going on with {self.most}"
        )
        warnings.warn(InputWarning(message), stacklevel=3)


def _runs_out_of_memory(sample: Callable[[Sequence[T]], None], group: Sequence[T]) -> bool:
    """Calls a function. Returns whether memory ran out, when what it allocated is gone: an
    exception keeps it alive."""
    try:
        sample(group)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return True
    return False


def release_memory() -> None:
    """Gives back what is not used any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()


def no_memory_error(purpose: str = "", needed: int | None = None) -> InputError:
    """The error of memory that ran out, with numbers as far as they are known."""
    free = free_memory()
    figures = [] if needed is None else [f"it takes about {format_bytes(needed)} more"]
    figures += [] if free is None else [f"{format_bytes(free)} are free"]
    what = f"out of memory{purpose}" + (f": {', '.join(figures)}" if figures else "")
    return InputError(what, NO_MEMORY_HINT)
