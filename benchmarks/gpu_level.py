"""Sampling speed of one prior of a published size on a GPU."""

from __future__ import annotations

import gc
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial

import torch
from gpu_shapes import ShapedPrior
from gpu_steps import StepCheck, make_eager_step
from jukebox_plugins.samplers import Guidance, Temperature
from measurements import Row, single_row

from jukebox_cli.engine.engines import TorchEngine
from jukebox_cli.engine.footprint import weight_bytes
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.sampling.measure import BatchSpeed
from jukebox_cli.sampling.sampler import LevelSampler
from jukebox_cli.sampling.window_timer import RepeatedConditions, WindowTimer
from jukebox_cli.sampling.windows import TokenWindow

#: Songs side by side, the most important first: what comes last is left out if time runs short.
BATCHES = (1, 16, 64, 4)
#: With guidance, and without a graph.
FEW_BATCHES = (1, 16)
#: With --quick.
QUICK_BATCHES = (1, 4)
#: As the published models are sampled, and a usual scale of guidance.
TEMPERATURE, GUIDANCE = 0.99, 3.0
#: Positions between looks at the clock, and seconds that a case is sampled for; with --quick.
EVERY, SECONDS = 32, 0.5
QUICK_EVERY, QUICK_SECONDS = 4, 0.0

#: Takes a row that was measured.
AddRow = Callable[[Row], None]


class Attempts:
    """Runs measurements so that one that fails does not end the others."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def run(self, name: str, task: Callable[[], None], end: float) -> None:
        """Runs a task unless the time is over. Says what it had no memory for, or why it failed."""
        if time.perf_counter() > end:
            print(f"{name}: left out, its time is over", file=sys.stderr, flush=True)
            return
        try:
            task()
        except torch.cuda.OutOfMemoryError:
            print(f"{name}: no memory", file=sys.stderr, flush=True)
        except Exception:
            self.failed.append(name)
            print(f"{name}: failed", file=sys.stderr)
            traceback.print_exc()
        free_memory()


class ShapeRun:
    """What is measured of a shape, until its time is over."""

    def __init__(
        self,
        shaped: ShapedPrior,
        attempts: Attempts,
        add: AddRow,
        limit: float,
        end: float,
        quick: bool,
    ) -> None:
        self.shaped, self.attempts, self.add_row = shaped, attempts, add
        self.limit, self.end = limit, end
        self.quick, self.name, self.device = quick, shaped.shape.name, shaped.device
        self.speeds: dict[int, BatchSpeed] = {}
        self.prefill = self.conditions = 0.0  # seconds of a row: of a position, of a window

    @torch.inference_mode()
    def measure(self) -> None:
        self.add("weights", "GB", self._weight_bytes() / 1e9)
        self._attempt("greedy tokens", self._check)
        self._attempt("a prompt", self._measure_prompt)
        for batch in QUICK_BATCHES if self.quick else BATCHES:
            self._attempt(f"batch {batch}", partial(self._measure_graph, batch))
        for batch in QUICK_BATCHES if self.quick else FEW_BATCHES:
            self._attempt(f"batch {batch}, guided", partial(self._measure_guided, batch))
            self._attempt(f"batch {batch}, without a graph", partial(self._measure_eager, batch))

    def add(self, name: str, unit: str, value: float) -> None:
        self.add_row(single_row(f"{self.name}: {name}", unit, value))

    def _attempt(self, what: str, task: Callable[[], None]) -> None:
        self.attempts.run(f"{self.name}: {what}", task, self.end)

    def _weight_bytes(self) -> int:
        precision = {4: "fp32", 2: "bf16"}[self.shaped.prior.position_embedding.element_size()]
        return weight_bytes(self.shaped.prior, precision)

    def _check(self) -> None:
        for name, value in StepCheck(self.shaped, self.quick).results().items():
            self.add(name, "", value)

    def _timer(self, *samplers: Sampler, eager: bool = False) -> WindowTimer:
        prior = self.shaped.prior
        engine = TorchEngine(prior, make_eager_step) if eager else TorchEngine(prior)
        level = LevelSampler(self.shaped.level, prior, samplers, engine)
        parts = [self.shaped.song_conditions({})] * level.num_rows(1)
        return WindowTimer(level, RepeatedConditions(parts, self.device))

    def _measure_prompt(self) -> None:
        timer, length = self._timer(), self.shaped.context_length
        prompt = length - round(length * self.shaped.hop_fraction)
        window = TokenWindow(0, prompt, length)
        timer.open(1, window)  # includes what is done once in a process
        self.prefill = timer.open(1, window)[1] / prompt
        self.conditions = timer.conditions.seconds
        self.add("prefill", "tokens/s", 1 / self.prefill)
        self.add("conditions of a window", "s", self.conditions)

    def _measure_graph(self, batch: int) -> None:
        position = self._position_seconds(f"batch {batch}", batch, self._timer(_temperature()))
        bandwidth = self._weight_bytes() / position
        self.add(f"batch {batch}: share of the limit", "", bandwidth / self.limit)
        if self.prefill:  # else what a song takes is not known
            times = (batch * self.conditions, batch * self.prefill, position)
            self.speeds[batch] = BatchSpeed(batch, *times)

    def _measure_guided(self, batch: int) -> None:
        timer = self._timer(Guidance(guidance=GUIDANCE), _temperature())
        self._position_seconds(f"batch {batch}, guided", batch, timer)

    def _measure_eager(self, batch: int) -> None:
        timer = self._timer(_temperature(), eager=True)
        self._position_seconds(f"batch {batch}, without a graph", batch, timer)

    def _position_seconds(self, name: str, batch: int, timer: WindowTimer) -> float:
        """Seconds of a position; adds the tokens per second of all songs and the peak memory."""
        reset_peak(self.device)
        window, _ = timer.open(batch, TokenWindow(0, 0, self.shaped.context_length))
        every, seconds = (QUICK_EVERY, QUICK_SECONDS) if self.quick else (EVERY, SECONDS)
        position = timer.sample(window, every, seconds)
        self.add(name, "tokens/s", batch / position)
        if self.device.type == "cuda":
            self.add(f"{name}: memory", "GB", torch.cuda.max_memory_allocated() / 1e9)
        return position


def _temperature() -> Sampler:
    sampler: Sampler = Temperature(temperature=TEMPERATURE)
    return sampler


def free_memory() -> None:
    """Gives back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reset_peak(device: torch.device) -> None:
    free_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
