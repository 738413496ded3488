"""How well the estimate of memory that is made before sampling agrees with what is measured.

    python benchmarks/memory_estimate.py SCRATCH [--model mini|1b]... [--write FILE] [--json FILE]

Each size, of lengths and batches, is sampled in a process of its own. `1b` is a prior of the size
of 1b_lyrics with random weights, which takes 2 GB of disk in SCRATCH, a new folder that is removed
at the end, and 4 to 6 GB of memory. `--quick` makes it small, as a test.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from machine import machine_facts
from measurements import Row, add_output_arguments, page, publish, single_row
from torch import Tensor

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.engine.machine import peak_memory
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling.compute import with_settings
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.memory_estimate import estimate_memory
from jukebox_cli.sampling.pipeline import complete_run
from jukebox_cli.sampling.request import build_request
from jukebox_cli.sampling.run_setup import create_run, start_job
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import save_tensors, stream_tensors


class Size(NamedTuple):
    """A job: seconds of each item, how many there are, all in one batch, and how far it is made."""

    seconds: float
    items: int
    until: str = "audio"


#: The largest takes minutes.
SIZES = {
    "mini": (Size(1, 1), Size(10, 1), Size(5, 8), Size(2, 32), Size(30, 4)),
    "1b": (
        *(Size(0.05, 1, "top"), Size(0.2, 1, "top"), Size(0.05, 8, "top")),
        *(Size(0.05, 20, "top"), Size(0.1, 28, "top")),
    ),
}
QUICK_SIZES = (Size(0.05, 1), Size(0.05, 4))
CONFIG = """
format: 2
vqvae:
  sample_rate: 44100
  strides: [[2, 2, 2, 2, 2, 2, 2]]
  codebook_size: 2048
  embedding_dim: 64
  widths: [32]
  depths: [1]
priors:
  - {context_length: CONTEXT, width: WIDTH, depth: DEPTH, heads: HEADS, rows: 64,
     attention_ratio: 0.25, mlp_ratio: 1.0, conditioners: {timing: {}}}
"""
NOTES = """Peak resident memory of a process that samples all items in one batch, and what was
estimated just before. Random weights for 1b. Bytes are decimal."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scratch", type=Path, help="a new folder, removed at the end")
    parser.add_argument("--model", nargs="*", default=["mini", "1b"], choices=SIZES)
    parser.add_argument("--quick", action="store_true", help="a small model, as a test")
    parser.add_argument("--job", help=argparse.SUPPRESS)  # of the process that is measured
    add_output_arguments(parser)
    return parser.parse_args()


def write_model(path: Path, quick: bool) -> Model:
    """A model of one level with random weights, which are never in memory together."""
    sizes = (128, 64, 3, 2) if quick else (6144, 2048, 72, 2)
    text = CONFIG
    for name, size in zip(("CONTEXT", "WIDTH", "DEPTH", "HEADS"), sizes, strict=True):
        text = text.replace(name, str(size))
    path.mkdir(parents=True)
    (path.parent / "recipe.yaml").write_text(text)
    model = Model(path)
    model.write_config(load_config(ModelConfig, path.parent / "recipe.yaml"))
    timing = load_installed(print).make_conditioner("timing", {})
    model.write_fitted_conditioners(0, {"timing": {}})
    save_tensors(model.weights("vqvae-0"), VQVAE(model.config.vqvae).level(0).state_dict())
    shapes = build_prior(model.config, 0, {"timing": timing}, on_meta=True).state_dict()
    tensors: dict[str, Callable[[], Tensor]] = {
        name: partial(_random, tuple(tensor.shape)) for name, tensor in shapes.items()
    }
    stream_tensors(model.weights("prior-0"), tensors)
    return model


def _random(shape: tuple[int, ...]) -> Tensor:
    return (0.02 * torch.randn(shape)).half()


def measure_job(model: str, out: Path, size: Size) -> dict[str, int]:
    """The estimate and the peak of a job, in this process, in bytes."""
    registry = load_installed(print)
    request = build_request(
        registry,
        "rock" if model == "mini" else None,
        [],
        model=model,
        seconds=size.seconds,
        items=size.items,
        conditions={},
        sampler_options={},
    )
    job = _with_settings(start_job(request, registry, out, "x"), size)
    levels = job.incomplete_levels(size.until)
    estimate = estimate_memory(job, levels, decode=size.until == "audio").peak(size.items)
    create_run(job)
    complete_run(job, size.until)
    return {"estimate": estimate, "peak": peak_memory() or 0}


def _with_settings(job: Job, size: Size) -> Job:
    job = replace(job, batch_size=size.items, device="cpu")
    return with_settings(job, job.incomplete_levels(size.until))


def run_in_process(scratch: Path, model: str, size: Size) -> dict[str, int]:
    """As `measure_job`, in a process of its own."""
    out = scratch / f"run-{size.seconds}-{size.items}"
    words = json.dumps({"model": model, "out": str(out), "size": size})
    command = [sys.executable, __file__, str(scratch), "--job", words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    shutil.rmtree(out)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure_model(scratch: Path, name: str, quick: bool) -> list[Row]:
    """Estimates and peaks of all sizes of a model."""
    is_small = quick or name != "mini"
    model = str(write_model(scratch / "models" / name, quick).path) if is_small else name
    rows = []
    for size in QUICK_SIZES if quick else SIZES[name]:
        found = run_in_process(scratch, model, size)
        what = f"{name}, {size.items} x {size.seconds:g} s"
        rows += [
            single_row(f"{what}: estimate", "MB", found["estimate"] / 1e6),
            single_row(f"{what}: measured peak", "MB", found["peak"] / 1e6),
            single_row(f"{what}: estimate over peak", "", found["estimate"] / found["peak"]),
        ]
        print(rows[-3:], file=sys.stderr)
    shutil.rmtree(scratch / "models", ignore_errors=True)
    return rows


def main() -> None:
    args = parse_arguments()
    if args.job:
        job = json.loads(args.job)
        print(json.dumps(measure_job(job["model"], Path(job["out"]), Size(*job["size"]))))
        return
    if args.scratch.exists():
        sys.exit(f"error: {args.scratch} exists already\n\nhint: name a new folder")
    args.scratch.mkdir(parents=True)
    facts = machine_facts()
    try:
        rows = [row for name in args.model for row in measure_model(args.scratch, name, args.quick)]
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    text = page("Memory, estimated and measured", "memory_estimate.py", lines, NOTES, rows)
    publish(args, facts, rows, text)


if __name__ == "__main__":
    main()
