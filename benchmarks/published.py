"""What it takes to bring in and run a model of a published size: memory, time, tokens per second.

    python benchmarks/published.py SCRATCH [--model 5b_lyrics] [--level N...] [--write FILE]

The weights are random, in the original's files: SCRATCH needs 40 GB free for 5b_lyrics, 20 GB for
1b_lyrics, and is removed. `--level` names those to draw with, after the import; the top one of the
5b models takes 23 GB of memory on a CPU with `--precision fp32`. `--quick` makes every part of the
model small: to see that everything runs.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import date
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import machine
import torch
from measure import Row, by_turns, row, table
from torch import Tensor

from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import Model
from sampling import rate

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import originals

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
#: Of the real size or, quickly, of a size that is no trouble.
SMALL = {"prior_width": 64, "prior_depth": 20, "cond_width": 8, "cond_depth": 2, "prime_width": 32}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scratch", type=Path, help="a folder that is made and removed")
    parser.add_argument("--model", choices=TOPS, default="5b_lyrics")
    parser.add_argument("--level", type=int, nargs="*", default=[], help="levels to draw with")
    parser.add_argument(
        "--tokens", type=int, default=64, help="tokens to draw; the first 32 do not count"
    )
    parser.add_argument("--precision", nargs="*", default=["fp16", "fp32"], help="to draw in")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each measurement of speed")
    parser.add_argument("--quick", action="store_true", help="a small model")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the table for people")
    return parser.parse_args()


def write_originals(folder: Path, name: str, quick: bool) -> None:
    """The files of a model: fp16 at the top, fp32 below, as they were published. None says how it
    was trained, as long as it is of a published size."""
    upsampler, top = UPSAMPLER, TOPS[name]
    if quick:
        upsampler, top = ({**said, **_small(said)} for said in (upsampler, top))
    folder.mkdir(parents=True)
    shapes = originals.vqvae_shapes(VQVAE)
    _save(folder / "vqvae.pth.tar", shapes, torch.float32, None)
    for level, said in enumerate((upsampler, upsampler, top)):
        shapes = originals.prior_shapes(said, VQVAE, level)
        precision = torch.float16 if said is top else torch.float32
        settings = said if quick else None
        _save(folder / f"prior_level_{level}.pth.tar", shapes, precision, settings)


def _small(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in SMALL.items() if key in said}


def _save(path: Path, shapes: originals.Shapes, dtype: torch.dtype, said: Any) -> None:
    """Every tensor shows the same random numbers, which are kept in one file: they are as many on
    the disk as they should be, and few in memory."""
    print(f"writing {path}", file=sys.stderr)
    numbers, most = path.with_name("numbers"), max(map(prod, shapes.values()))
    with numbers.open("wb") as file:
        block = (0.02 * torch.randn(min(most, 1 << 20))).to(dtype).numpy().tobytes()
        for _ in range(-(-most * dtype.itemsize // len(block))):
            file.write(block)
    model = {name: _mapped(numbers, shape, dtype) for name, shape in shapes.items()}
    originals.save(path, model, said)
    numbers.unlink()


def _mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.from_file(str(path), shared=False, size=prod(shape), dtype=dtype).view(shape)


def took(folder: Path, *words: str) -> tuple[int, float]:
    """The most memory of a command, in bytes, and its seconds."""
    script, file = Path(__file__).with_name("peak.py"), folder / "peak"
    began = time.perf_counter()
    command = [sys.executable, str(script), str(file.resolve()), *words]
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return int(file.read_text()), time.perf_counter() - began


def importing(given: argparse.Namespace) -> list[Row]:
    """Rows of the import: what it takes, beside the largest file and a Python that has torch."""
    write_originals(given.scratch / "theirs", given.model, given.quick)
    sizes = [path.stat().st_size for path in (given.scratch / "theirs").iterdir()]
    most, seconds = took(given.scratch, "model", "import", "theirs", "--name", given.model)
    alone, _ = took(given.scratch)
    rows = {
        "all files": (sum(sizes) / 1e9, "GB"),
        "largest file": (max(sizes) / 1e9, "GB"),
        "most memory while importing": (most / 1e9, "GB"),
        "most memory of Python with torch": (alone / 1e9, "GB"),
        "most memory while importing over largest file": (most / max(sizes), "x"),
        "time to import": (seconds, "s"),
    }
    return [row(f"{given.model}: {what}", unit, [value]) for what, (value, unit) in rows.items()]


def drawing(given: argparse.Namespace) -> list[Row]:
    """Rows of how fast single levels draw, but for what a window needs before its first token, and
    of the memory that the top one takes."""
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    model = Model(given.scratch / "models" / given.model)
    tasks = {
        f"{given.model}: sampling, level {level}, {precision}": partial(
            rate, model, registry, level, 1, given.tokens, precision, later=True
        )
        for level in given.level
        for precision in given.precision
    }
    rows = by_turns(tasks, given.rounds, "tokens/s") if tasks else []
    if model.config.vqvae.num_levels - 1 in given.level:
        words = ("generate", "--model", given.model, "--seconds", "0.1", "--until", "top")
        for precision in given.precision:
            most, _ = took(given.scratch, *words, "--precision", precision, "--out", precision)
            what = f"{given.model}: most memory of drawing the top level, {precision}"
            rows.append(row(what, "GB", [most / 1e9]))
    return rows


def report(facts: dict[str, str], rows: Sequence[Row]) -> str:
    command = shlex.join(["python", "benchmarks/published.py", *sys.argv[1:]])
    lines = [f"* {name}: {fact}" for name, fact in facts.items()]
    title = f"# A model of a published size, {date.today().isoformat()}"
    about = "Random weights. Memory counts what is mapped from files. Medians, taken by turns."
    return "\n".join([title, "", f"    {command}", "", *lines, "", about, "", table(rows), ""])


def main() -> None:
    """The command."""
    given = arguments()
    facts = machine.facts()
    if given.scratch.exists():
        sys.exit(f"error: {given.scratch} is there already\n\nhint: name a folder to be made")
    try:
        rows = importing(given) + drawing(given)
    finally:
        subprocess.run(["rm", "-rf", str(given.scratch)], check=True)
    print(table(rows))
    if given.write:
        given.write.write_text(report(facts, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
