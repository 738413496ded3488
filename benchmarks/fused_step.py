"""Microseconds of a layer in a transformer's step on a GPU, fused and not, as a CUDA graph.

    python benchmarks/fused_step.py [--rows 1 16 64]

Layers of the published sizes with random weights in bf16, enough that their weights do not fit in
the L2 cache, at a position in the middle of the window.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from measurements import single_row, table
from torch import Tensor

from jukebox_cli.engine.fused_step import FusedStep
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.transformer import Transformer

#: Width, heads, layers; the attention width is a quarter of the width.
SHAPES = {"upsampler": (1920, 1, 6), "1b_lyrics, top": (2048, 2, 6), "5b_lyrics, top": (4800, 8, 3)}
PATTERNS, LENGTH, POSITION, ROUNDS = ("row", "column", "previous"), 8192, 4126, 20
CUDA = torch.device("cuda")

Step = Callable[[Tensor, Tensor, Any], Tensor]


def make_transformer(width: int, heads: int, depth: int) -> Transformer:
    with CUDA:
        transformer = Transformer(
            context_length=LENGTH, rows=128, width=width, depth=depth, heads=heads,
            attention_width=width // 4, mlp_width=width, attention_patterns=PATTERNS,
        )  # fmt: skip
    for module in transformer.to(torch.bfloat16).requires_grad_(False).modules():
        if isinstance(module, BatchInvariantLinear):  # as `fused_step.arrange_weights`
            module.weight.data = module.weight.data.T.contiguous().T
    return transformer


def record(compute: Callable[[], Tensor]) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        compute()  # compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        compute()
    return graph


def replay_microseconds(graph: torch.cuda.CUDAGraph) -> float:
    """The median of rounds."""
    times = []
    for _ in range(ROUNDS):
        start, end = (_new_event() for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(1000 * float(start.elapsed_time(end)))
    return sorted(times)[ROUNDS // 2]


def _new_event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 64])
    measured, n = [], torch.full((1,), POSITION, device=CUDA)
    for name, (width, heads, depth) in SHAPES.items():
        transformer = make_transformer(width, heads, depth)
        steps: dict[str, Step] = {"fused": FusedStep(transformer), "not fused": transformer.step}
        for rows in parser.parse_args().rows:
            caches = transformer.make_caches(rows)
            x = torch.randn(rows, 1, width, device=CUDA, dtype=torch.bfloat16)
            for how, step in steps.items():
                time = replay_microseconds(record(partial(step, x, n, caches))) / depth
                measured.append(single_row(f"{name}: {rows} rows, {how}", "us", time))
    print(table(measured))


if __name__ == "__main__":
    main()
