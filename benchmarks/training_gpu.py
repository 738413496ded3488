"""Training on a GPU: tokens per second and model FLOPs utilisation (MFU) of priors.

    python benchmarks/training_gpu.py [--write] [--seconds 8] [--quick]

A step is what `jukebox train prior` does: forward in bf16, backward, clipping, AdamW. FLOPs are
those of the matrix products and attentions of a step, counted by torch; MFU is their rate over that
of a large bf16 matrix product in the same run (Chowdhery et al. 2022, appendix B). Each shape is
measured as it is and compiled. `--quick` takes small shapes and works on a CPU: a test.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from gpu import RESULTS
from gpu import result_file as gpu_result_file
from machine import machine_facts
from measurements import Row, page, single_row, table
from torch.utils.flop_counter import FlopCounterMode
from training_speed import random_corpus

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.engine.machine import synchronize
from jukebox_cli.model.devices import autocast, pick_device
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.train.compilation import compile_layers
from jukebox_cli.train.prior import PriorTask, prepare_prior_task
from jukebox_cli.train.trainer import TrainingConfig, build_optimizer

NOTES = (
    "Random tokens. A step is a batch of windows: 64 of 1,024 tokens for `mini`, and one of 8,192 "
    "for the upsampler; its duration is the median of those within some seconds. Weights and "
    "moments are fp32. The peak is the best of ten products of 8192 x 8192 matrices."
)
#: Steps before the clock starts: libraries choose their kernels in the first ones.
WARMUP_STEPS = 3
#: The published upsamplers (paper, table 4) as changes of a prior of `mini`.
UPSAMPLER = {
    "context_length": 8192, "rows": 128, "width": 1920, "depth": 72, "heads": 1,
    "attention_patterns": ("row", "column", "previous"), "attention_ratio": 0.25, "mlp_ratio": 1.0,
    "conditioners": {},
}  # fmt: skip
SMALL = {"context_length": 64, "rows": 8, "width": 32, "depth": 3, "heads": 1, "conditioners": {}}
#: Side of the matrices whose product is the peak.
PEAK_SIZE, QUICK_PEAK_SIZE = 8192, 256


@dataclass(frozen=True)
class TrainingShape:
    """A prior to train: a level of `mini`, with changes, and the windows of a step."""

    name: str
    level: int
    batch_size: int
    changes: Mapping[str, Any]

    def config(self, base: ModelConfig) -> ModelConfig:
        priors = list(base.priors)
        priors[self.level] = replace(priors[self.level], **self.changes)
        return replace(base, priors=tuple(priors))


SHAPES = (
    TrainingShape("mini, top", 2, 64, {}),
    TrainingShape("mini, level 0", 0, 64, {}),
    TrainingShape("published upsampler", 1, 1, UPSAMPLER),
)
QUICK_SHAPES = (TrainingShape("small", 1, 2, SMALL),)


class TrainingRun:
    """Steps of one shape, with one batch on the device."""

    def __init__(self, task: PriorTask, device: torch.device, precision: str) -> None:
        self.task, self.device, self.precision = task, device, precision
        self.optimizer = build_optimizer(task.module, TrainingConfig())
        self.batch = task.batch_source(0)
        self.num_tokens = self.batch.tokens.size

    def step(self) -> None:
        with autocast(self.device, self.precision):
            loss, _ = self.task.loss(0, self.batch)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.task.module.parameters(), 1.0)
        self.optimizer.step()

    def flops(self) -> int:
        """FLOPs of the products of a step, forward and backward."""
        with FlopCounterMode(display=False) as counter:
            self.step()
        return int(counter.get_total_flops())

    def seconds(self, limit: float) -> float:
        """The median duration of a step within `limit` seconds; three steps at least."""
        for _ in range(WARMUP_STEPS):
            self.step()
        times: list[float] = []
        end = time.perf_counter() + limit
        while len(times) < 3 or time.perf_counter() < end:
            synchronize(self.device)
            start = time.perf_counter()
            self.step()
            synchronize(self.device)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


def measure(
    shape: TrainingShape, registry: Registry, args: argparse.Namespace, peak: float
) -> list[Row]:
    """Tokens per second and MFU of a shape, as it is and compiled, and the memory."""
    device = pick_device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        model = Model(Path(folder) / "model")
        model.create_config(shape.config(find_model(args.model).config))
        corpus = random_corpus(model, Path(folder) / "corpus")
        size = shape.batch_size
        task = prepare_prior_task(
            model, shape.level, corpus, registry, batch_size=size, device=device
        )
        run, rows = TrainingRun(task, device, args.precision), []
    run.step()  # what libraries do at first is not counted
    flops = run.flops()
    for kind in ("", ", compiled"):
        if kind:
            start = time.perf_counter()
            compile_layers(task.module)
            run.step()
            synchronize(device)
            rows.append(single_row(f"{shape.name}: compiling", "s", time.perf_counter() - start))
        seconds = run.seconds(args.seconds)
        name = f"{shape.name}{kind}"
        rows.append(single_row(f"{name}: training", "tokens/s", run.num_tokens / seconds))
        rows.append(single_row(f"{name}: MFU", "", flops / seconds / peak))
    return rows


def peak_flops(device: torch.device, size: int, rounds: int = 10) -> float:
    """FLOPs per second of the product of two bf16 matrices (size, size), the best of `rounds`."""
    a, b = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
    seconds = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


def result_file(facts: Mapping[str, str]) -> Path:
    """The file of this machine's GPU, e.g. results/training-gpu-h100-80gb-hbm3.md."""
    return RESULTS / f"training-{gpu_result_file(facts).name}"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="mini", help="whose priors are trained")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, bf16 or fp32")
    parser.add_argument("--seconds", type=float, default=8, help="of steps for each measurement")
    parser.add_argument("--quick", action="store_true", help="a small shape, as a test")
    parser.add_argument("--write", action="store_true", help="write results/training-gpu-NAME.md")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    device, facts = pick_device(args.device), machine_facts()
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    peak = peak_flops(device, QUICK_PEAK_SIZE if args.quick else PEAK_SIZE)
    rows = [single_row("peak", "TFLOP/s", peak / 1e12)]
    for shape in QUICK_SHAPES if args.quick else SHAPES:
        for row in measure(shape, registry, args, peak):
            rows.append(row)
            print(f"{row.name}: {row.value:.4g} {row.unit}", file=sys.stderr, flush=True)
        if args.write:
            lines = [f"{name}: {fact}" for name, fact in facts.items()]
            text = page("Training on a GPU", "training_gpu.py", lines, NOTES, rows)
            result_file(facts).write_text(text, encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
