"""The share of one of several commands that work on a run side by side (`--shard`)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jukebox_cli.interfaces.errors import InputError


@dataclass(frozen=True)
class Shard:
    """Share `number` (from 1) of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"shard {self.number}/{self.count}"

    def select(self, items: Sequence[int]) -> tuple[int, ...]:
        """Every `count`-th item, by its number: the same whether all items are there yet or not."""
        return tuple(item for item in items if item % self.count == self.number - 1)

    def rank(self, position: int, total: int) -> int:
        """How many of `total` units this worker takes before the one at `position`: each begins
        elsewhere, and goes round."""
        return (position - (self.number - 1) * self.size(total)) % total

    def size(self, total: int) -> int:
        """An equal share of `total` units, rounded up."""
        return -(-total // self.count)


def parse_shard(text: str | None, environment: Mapping[str, str] | None = None) -> Shard | None:
    """The value of `--shard`: `K/N`, `auto` (from Slurm's variables), or None.

    environment: variables, by default those of this process.
    Raises InputError for anything else, and for `auto` elsewhere than in Slurm.
    """
    if text is None:
        return None
    if text == "auto":
        return _shard_of_slurm(os.environ if environment is None else environment)
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        message = f"--shard must be K/N with K from 1 to N, or auto, not '{text}'"
        raise InputError(message, "try --shard 1/4")
    return Shard(int(match[1]), int(match[2]))


def _shard_of_slurm(environment: Mapping[str, str]) -> Shard:
    """The task's place in its job array, or in its job step (srun), or both."""
    array, step = _array_task(environment), _step_task(environment)
    if array is None and step is None:
        raise InputError(
            "--shard auto takes its share from Slurm, but neither SLURM_ARRAY_TASK_ID nor "
            "SLURM_STEP_ID is set",
            "run it in a job array or with srun, or say which share: --shard 1/4",
        )
    array, step = array or Shard(1, 1), step or Shard(1, 1)
    return Shard((array.number - 1) * step.count + step.number, array.count * step.count)


def _array_task(environment: Mapping[str, str]) -> Shard | None:
    if "SLURM_ARRAY_TASK_ID" not in environment:
        return None
    task = _number(environment, "SLURM_ARRAY_TASK_ID")
    first = _number(environment, "SLURM_ARRAY_TASK_MIN", task)
    count = _number(environment, "SLURM_ARRAY_TASK_COUNT", 1)
    index, rest = divmod(task - first, max(1, _number(environment, "SLURM_ARRAY_TASK_STEP", 1)))
    if rest or not 0 <= index < count:
        raise InputError(
            f"--shard auto: task {task} of a job array of {count}, the first of which is {first}, "
            "has no place in a row",
            "number the tasks without gaps (--array=0-3), or say which share: --shard 1/4",
        )
    return Shard(index + 1, count)


def _step_task(environment: Mapping[str, str]) -> Shard | None:
    """The process's place among those of srun. A batch script has no step: there is one of it."""
    if "SLURM_STEP_ID" not in environment or "SLURM_PROCID" not in environment:
        return None
    total = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
    process, count = _number(environment, "SLURM_PROCID"), _number(environment, total, 1)
    if process >= count:
        raise InputError(
            f"--shard auto: SLURM_PROCID is {process}, but {total} is {count}",
            "say which share: --shard 1/4",
        )
    return Shard(process + 1, count)


def _number(environment: Mapping[str, str], name: str, default: int = 0) -> int:
    text = environment.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text):
        raise InputError(
            f"--shard auto: {name} is '{text}', not a number", "say which share: --shard 1/4"
        )
    return int(text)
