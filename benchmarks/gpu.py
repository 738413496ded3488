"""Sampling speed of the published shapes on a GPU, with random weights made on it.

    python benchmarks/gpu.py [--write] [--json] [--port] [--minutes 7.5] [--shapes NAME...]

First it checks that tokens are right: greedy ones with the captured CUDA graph are those without,
and those of a batch are those of each row alone. Then it measures tokens per second by rows, with
and without classifier-free guidance and the graph, the share of the bandwidth that the weights
take, the memory, and how much music that makes. The smallest shape comes first. Each gets an equal
part of the minutes that are left, and the result file is written after each, so that nothing is
lost if the command is cut off. `--port` measures jukebox-infer too, if it is installed. `--quick`
takes small shapes and works on a CPU: a test.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from gpu_level import FEW_BATCHES, QUICK_BATCHES, Attempts, ShapeRun, free_memory
from gpu_port import Port
from gpu_shapes import SHAPES, Shape, ShapedPrior
from gpu_song import LevelFigures, music_rows
from machine import machine_facts
from measurements import Row, page, single_row, table

from jukebox_cli.engine.machine import read_bandwidth, synchronize
from jukebox_cli.model.devices import pick_device, pick_dtype
from jukebox_cli.registry import load_installed

RESULTS = Path(__file__).with_name("results")
#: Bytes of the buffer that bandwidth is measured with.
BUFFER_BYTES, QUICK_BUFFER_BYTES = 2 << 30, 64 << 20
NOTES = (
    "Random weights. A position is one token of each song; its time is the median of rounds of 32 "
    "positions, drawing included. The limit is the faster of two ways to move memory in the same "
    "run, the best of 12 rounds each: the sum of a buffer of 2 GiB, and a copy from one half of "
    "such a buffer to another, which reads and writes. The share is that of the weights of a "
    "position, without keys and values. Music is of a song of 4 minutes, in the windows that the "
    "published models are sampled in, with prompts and conditions: these are computed row by row, "
    "and their time is taken to be that of one row times the rows. Slices include warm-ups and "
    "seams. The port's tokens are without conditions and prompts."
)


class Report:
    """Rows as they are measured, in the result file after every shape."""

    def __init__(self, path: Path | None, facts: Mapping[str, str]) -> None:
        self.path, self.facts, self.rows = path, facts, list[Row]()

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(f"{row.name}: {row.value:.6g} {row.unit}", file=sys.stderr, flush=True)

    def write(self) -> None:
        if self.path:
            lines = [f"{name}: {fact}" for name, fact in self.facts.items()]
            text = page("Published shapes on a GPU", "gpu.py", lines, NOTES, self.rows)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(text, encoding="utf-8")


def copy_bandwidth(device: torch.device, size: int, rounds: int = 12) -> float:
    """Bytes per second that a copy reads and writes, with two buffers of `size` bytes together. Of
    the fastest round."""
    source = torch.ones(size // 8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(rounds):
        synchronize(device)
        start = time.perf_counter()
        target.copy_(source)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return size / min(seconds)


class Benchmark:
    """Everything that is measured on a device."""

    def __init__(self, args: argparse.Namespace, report: Report) -> None:
        self.args, self.report, self.device = args, report, pick_device(args.device)
        self.begun = time.perf_counter()
        self.dtype = pick_dtype(args.precision, self.device, large=False)
        self.registry = load_installed(lambda message: print(message, file=sys.stderr))
        self.levels: dict[str, LevelFigures] = {}
        self.attempts = Attempts()

    def run(self) -> None:
        limit = self._measure_limit()
        shapes = [shape for shape in SHAPES if shape.name in self.args.shapes]
        for number, shape in enumerate(shapes):
            now = time.perf_counter()
            left = self.begun + 60 * self.args.minutes - now
            end = now + left / (len(shapes) - number)
            shape = shape.small() if self.args.quick else shape
            self.attempts.run(shape.name, partial(self._measure_shape, shape, limit, end), end)
            if self.args.port:
                port = partial(self._measure_port, shape, end)
                self.attempts.run(f"{shape.name}, jukebox-infer", port, end)
            self.report.write()
        for row in music_rows(self.levels):
            self.report.add(row)
        self.report.write()

    def _measure_limit(self) -> float:
        size = QUICK_BUFFER_BYTES if self.args.quick else BUFFER_BYTES
        limits = {
            "sum": read_bandwidth(self.device, 1, size=size),
            "copy": copy_bandwidth(self.device, size),
        }
        for name, limit in limits.items():
            self.report.add(single_row(f"limit, {name}", "GB/s", limit / 1e9))
        free_memory()
        return max(limits.values())

    def _measure_shape(self, shape: Shape, limit: float, end: float) -> None:
        shaped = ShapedPrior(shape, self.registry, self.device, self.dtype)
        run = ShapeRun(shaped, self.attempts, self.report.add, limit, end, self.args.quick)
        run.measure()
        self.levels[shape.name] = LevelFigures.of(shaped, run.speeds)

    def _measure_port(self, shape: Shape, end: float) -> None:
        try:
            port = Port(shape, self.device)
        except ImportError as error:
            print(f"{shape.name}: no port: {error}", file=sys.stderr)
            return
        for batch in QUICK_BATCHES if self.args.quick else FEW_BATCHES:
            name = f"{shape.name}: batch {batch}, jukebox-infer"
            self.attempts.run(name, partial(self._add_port_speed, name, port, batch), end)

    def _add_port_speed(self, name: str, port: Port, batch: int) -> None:
        self.report.add(single_row(name, "tokens/s", port.tokens_per_second(batch)))


def result_file(facts: Mapping[str, str]) -> Path:
    """The file of this machine's GPU, e.g. results/gpu-h100-80gb-hbm3.md."""
    words = re.findall(r"[a-z0-9]+", facts["accelerator"].lower())
    return RESULTS / f"gpu-{'-'.join(word for word in words if word != 'nvidia')}.md"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, bf16, fp16, fp32")
    parser.add_argument("--minutes", type=float, default=7.5, help="time of the whole command")
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--shapes", nargs="+", choices=names, default=names)
    parser.add_argument("--port", action="store_true", help="measure jukebox-infer too")
    parser.add_argument("--quick", action="store_true", help="small shapes, as a test")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="FILE",
        help="write the table as Markdown, by default to results/gpu-NAME.md",
    )
    return parser.parse_args(arguments)


def main() -> None:
    args = parse_arguments()
    facts = machine_facts()
    path = result_file(facts) if args.write == Path() else args.write
    report = Report(path, facts)
    benchmark = Benchmark(args, report)
    benchmark.run()
    data = {"machine": facts, "rows": [asdict(row) for row in report.rows]}
    print(json.dumps(data, indent=1) if args.json else table(report.rows))
    if failed := benchmark.attempts.failed:
        sys.exit(f"error: failed: {'; '.join(failed)}")


if __name__ == "__main__":
    main()
