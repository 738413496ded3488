"""Memory, time and sampling speed of a model of a published size, with random weights.

    python benchmarks/published_sizes.py SCRATCH [--model 5b_lyrics] [--level N...] [--write FILE]

Writes random weights as files of the original program, imports them, and samples with the levels
named by `--level`. SCRATCH is a new folder that is removed at the end; it needs 40 GB for
5b_lyrics, 20 GB for 1b_lyrics. Sampling the top level of 5b_lyrics takes 23 GB of memory on a CPU
with `--precision fp32`. `--quick` makes every part of the model small, as a test.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from machine import machine_facts
from measurements import Row, measure_in_turns, page, single_row, table
from sampling_speed import tokens_per_second
from torch import Tensor

from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import Model

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import originals

# settings of the original program (its `hparams.py`), by its names
VQVAE = {**originals.VQVAE, "downs_t": (3, 2, 2), "emb_width": 64, "l_bins": 2048, "width": 32}
VQVAE |= {"depth": 4, "sr": 44100}
UPSAMPLER = {
    **originals.UPSAMPLER,
    "n_ctx": 8192,
    "prior_width": 1920,
    "prior_depth": 72,
    "blocks": 128,
    "y_bins": (120, 4111),
    "cond_width": 1024,
    "cond_depth": 16,
}
TOP = {**originals.TOP, "n_ctx": 8192, "blocks": 128, "t_bins": 128, "y_bins": (120, 4111)}
ENCODER = {"prime_width": 1280, "prime_depth": 18, "prime_heads": 4, "prime_blocks": 32}
ENCODER |= {"n_tokens": 512, "heads": 8, "attn_order": 10}
SINGLE = {**originals.SINGLE, "n_ctx": 6144, "n_tokens": 384, "n_vocab": 79, "blocks": 64}
SINGLE |= {"t_bins": 64, "y_bins": (604, 7898), "merged_decoder": False, "max_bow_genre_size": 1}
TOPS: dict[str, dict[str, Any]] = {
    "5b_lyrics": {**TOP, **ENCODER, "prior_width": 4800, "prior_depth": 79},
    "1b_lyrics": {**SINGLE, "prior_width": 2048, "prior_depth": 72},
}
#: Replaces settings with --quick.
SMALL = {"prior_width": 64, "prior_depth": 20, "cond_width": 8, "cond_depth": 2, "prime_width": 32}

NOTES = "Random weights. Memory includes mapped files. Medians, measured in turns."


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scratch", type=Path, help="a new folder, removed at the end")
    parser.add_argument("--model", choices=TOPS, default="5b_lyrics")
    parser.add_argument("--level", type=int, nargs="*", default=[], help="levels to sample")
    parser.add_argument(
        "--tokens", type=int, default=64, help="tokens to sample; the first 32 do not count"
    )
    parser.add_argument("--precision", nargs="*", default=["fp16", "fp32"], help="to sample in")
    parser.add_argument("--rounds", type=int, default=3, help="repetitions of each measurement")
    parser.add_argument("--quick", action="store_true", help="a small model, as a test")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the table as Markdown")
    return parser.parse_args()


def write_originals(folder: Path, name: str, quick: bool) -> None:
    """Write the files of a model: fp16 at the top and fp32 below, as they were published.

    Like the published files, they have no settings, which follow from the shapes; small ones do.
    """
    upsampler, top = UPSAMPLER, TOPS[name]
    if quick:
        upsampler, top = ({**settings, **_small(settings)} for settings in (upsampler, top))
    folder.mkdir(parents=True)
    _save(folder / "vqvae.pth.tar", originals.vqvae_shapes(VQVAE), torch.float32, None)
    for level, settings in enumerate((upsampler, upsampler, top)):
        shapes = originals.prior_shapes(settings, VQVAE, level)
        dtype = torch.float16 if settings is top else torch.float32
        path = folder / f"prior_level_{level}.pth.tar"
        _save(path, shapes, dtype, settings if quick else None)


def _small(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in SMALL.items() if key in settings}


def _save(
    path: Path, shapes: originals.Shapes, dtype: torch.dtype, settings: dict[str, Any] | None
) -> None:
    """Write a checkpoint of random numbers.

    All tensors are views of one mapped file, so the checkpoint has its full size on disk while
    little of it is in memory.
    """
    print(f"writing {path}", file=sys.stderr)
    numbers, largest = path.with_name("numbers"), max(map(prod, shapes.values()))
    with numbers.open("wb") as file:
        block = (0.02 * torch.randn(min(largest, 1 << 20))).to(dtype).numpy().tobytes()
        for _ in range(-(-largest * dtype.itemsize // len(block))):
            file.write(block)
    tensors = {name: _mapped(numbers, shape, dtype) for name, shape in shapes.items()}
    originals.save(path, tensors, settings)
    numbers.unlink()


def _mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.from_file(str(path), shared=False, size=prod(shape), dtype=dtype).view(shape)


def run_measured(folder: Path, *arguments: str) -> tuple[int, float]:
    """Run `jukebox ARGUMENTS` in a folder; its peak memory in bytes and its duration in seconds.

    Without arguments, only torch is imported.
    """
    script, file = Path(__file__).with_name("peak_memory.py"), folder / "peak-memory"
    command = [sys.executable, str(script), str(file.resolve()), *arguments]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return int(file.read_text()), time.perf_counter() - start


def measure_import(args: argparse.Namespace) -> list[Row]:
    """Memory and duration of the import, compared with the largest file and with Python alone."""
    write_originals(args.scratch / "original", args.model, args.quick)
    sizes = [path.stat().st_size for path in (args.scratch / "original").iterdir()]
    command = ("model", "import", "original", "--name", args.model)
    peak, seconds = run_measured(args.scratch, *command)
    python_peak, _ = run_measured(args.scratch)
    figures = {
        "all files": (sum(sizes) / 1e9, "GB"),
        "largest file": (max(sizes) / 1e9, "GB"),
        "peak memory of importing": (peak / 1e9, "GB"),
        "peak memory of Python with torch": (python_peak / 1e9, "GB"),
        "peak memory of importing over largest file": (peak / max(sizes), "x"),
        "time to import": (seconds, "s"),
    }
    return [
        single_row(f"{args.model}: {name}", unit, value) for name, (value, unit) in figures.items()
    ]


def measure_sampling(args: argparse.Namespace) -> list[Row]:
    """Sampling speed of single levels, and the peak memory of sampling the top one."""
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    model = Model(args.scratch / "models" / args.model)
    speed = partial(tokens_per_second, model, registry, skip_first=True)
    tasks = {
        f"{args.model}: sampling, level {level}, {precision}": partial(
            speed, level, 1, args.tokens, precision
        )
        for level in args.level
        for precision in args.precision
    }
    rows = measure_in_turns(tasks, args.rounds, "tokens/s") if tasks else []
    if model.config.vqvae.num_levels - 1 in args.level:
        rows += [_top_level_memory(args, precision) for precision in args.precision]
    return rows


def _top_level_memory(args: argparse.Namespace, precision: str) -> Row:
    command = ("generate", "--model", args.model, "--seconds", "0.1", "--until", "top")
    options = ("--precision", precision, "--out", precision)
    peak, _ = run_measured(args.scratch, *command, *options)
    name = f"{args.model}: peak memory of sampling the top level, {precision}"
    return single_row(name, "GB", peak / 1e9)


def main() -> None:
    args = parse_arguments()
    facts = machine_facts()
    if args.scratch.exists():
        sys.exit(f"error: {args.scratch} exists already\n\nhint: name a new folder")
    try:
        rows = measure_import(args) + measure_sampling(args)
    finally:
        shutil.rmtree(args.scratch, ignore_errors=True)
    print(table(rows))
    if args.write:
        lines = [f"{name}: {fact}" for name, fact in facts.items()]
        text = page("A model of a published size", "published_sizes.py", lines, NOTES, rows)
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
