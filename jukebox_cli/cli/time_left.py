"""The time left for a whole job, from the rates of its stages so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jukebox_cli.sampling.stages import Stage

Clock = Callable[[], float]


@dataclass
class StageProgress:
    """How far a stage is. Its rate counts from the first steps on: what comes before is loading."""

    name: str
    remaining: int  # steps
    started: bool = False
    first: float | None = None  # when the first steps were done, of the clock
    steps: int = 0  # since then

    def rate(self, now: float) -> float | None:
        """Steps per second; None if it is not known yet."""
        if self.first is None or not self.steps or now <= self.first:
            return None
        return self.steps / (now - self.first)


class TimeLeft:
    """Estimates the seconds left of stages that run in parallel or one after another.

    Stages that have started run in parallel, so the slowest of them counts; the others are taken to
    run one after another afterwards. A stage without a rate is taken to be as fast as the last one
    before it that has a rate, unless it has a rate of its own to assume.
    """

    def __init__(self, stages: Sequence[Stage] = (), clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.assumed_rates = {stage.name: stage.assumed_rate for stage in stages}
        self.stages = {stage.name: StageProgress(stage.name, stage.num_steps) for stage in stages}

    def start(self, name: str, num_steps: int) -> Callable[[int], None]:
        """Starts a stage, of which so many steps are left. Returns what to call for steps done."""
        stage = StageProgress(name, num_steps, started=True)
        self.stages[name] = stage  # in its place if it was expected

        def advance(count: int) -> None:
            if stage.first is None:
                stage.first = self.clock()
            else:
                stage.steps += count
            stage.remaining -= count

        return advance

    def seconds(self) -> float | None:
        """Seconds left of all stages; None before any rate is known."""
        now, known = self.clock(), None
        parallel, later = [0.0], 0.0
        for stage in list(self.stages.values()):
            rate = stage.rate(now) or self.assumed_rates.get(stage.name) or known
            if stage.remaining <= 0:
                known = rate or known
                continue
            if rate is None:
                return None
            if self.assumed_rates.get(stage.name) is None:
                known = rate
            seconds = stage.remaining / rate
            if stage.started:
                parallel.append(seconds)
            else:
                later += seconds
        return max(parallel) + later
