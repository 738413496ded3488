"""bench: how fast a model is on this machine."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.completion import complete_models
from jukebox_cli.cli.console import format_duration, print_note, print_result
from jukebox_cli.cli.job import with_compute_options
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import ComputeOptions, OutputOptions
from jukebox_cli.cli.plan import memory_text, projection_data, projection_lines
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import DEFAULT_MODEL

if TYPE_CHECKING:
    from jukebox_cli.sampling.bench import Bench
    from jukebox_cli.sampling.job import Job
    from jukebox_cli.sampling.measure import LevelSpeed


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the command to the app."""
    app.command()(with_option_groups(registry)(bench))


def bench(
    ctx: typer.Context,
    *,
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]",
            help="Model: a folder, or a name from `jukebox model list`.",
            autocompletion=complete_models,
        ),
    ] = DEFAULT_MODEL,
    seconds: Annotated[
        float, typer.Option(help="Length of the song whose time is estimated, in seconds.")
    ] = 20.0,
    compute: ComputeOptions,
    output: OutputOptions,
) -> None:
    """Measure how fast a model is on this machine.

    Samples each level for a moment, one item and --batch items at a time, and estimates the time of
    a song. Writes nothing.
    """
    from jukebox_cli.sampling.bench import bench_job

    started = time.perf_counter()

    def note(stage: str) -> None:
        print_note(f"measuring {stage}", output.quiet)

    with tempfile.TemporaryDirectory() as folder:  # stays empty
        job = _job(ctx.obj, model, seconds, Path(folder) / "run")
        job = with_compute_options(job, compute)
        measured = bench_job(job, compute.batch, started, note)
    data = _data(measured, seconds)
    print_result(data, "" if output.as_json else _text(data), output.as_json)


def _job(registry: Registry, model: str, seconds: float, out: Path) -> Job:
    """A job of one item without any conditions. Raises InputError for an unknown model."""
    from jukebox_cli.sampling.request import Request, require_positive
    from jukebox_cli.sampling.run_setup import start_job

    require_positive("--seconds", seconds)
    return start_job(Request(model, seconds, (0,), 0, {}), registry, out, "")


def _data(bench: Bench, seconds: float) -> dict[str, Any]:
    measurement = bench.measured.measurement
    return {
        "model": bench.measured.job.model.name,
        "device": bench.device,
        "kernels": bench.kernels,
        "cores": bench.cores,
        "cache_bytes": bench.cache_bytes,
        "read_bandwidth": {str(n): round(each) for n, each in bench.read_bandwidths.items()},
        "levels": {str(each.level): _level(bench, each) for each in measurement.levels},
        "audio_seconds": seconds,
        **projection_data(bench.measured.projection()),
        "memory": bench.measured.memory(1),
        "device_memory": measurement.peak_device_memory,
    }


def _level(bench: Bench, level: LevelSpeed) -> dict[str, Any]:
    speeds = {size: bench.speed(level, size) for size in bench.batch_sizes}
    read_share = bench.read_share(level)
    return {
        **asdict(level.settings),
        "threads": level.num_threads,
        "tokens_per_second": {
            str(size): None if speed is None else round(speed.tokens_per_second, 1)
            for size, speed in speeds.items()
        },
        "prefill_tokens_per_second": round(level.speeds[0].prefill_tokens_per_second, 1),
        "weight_bytes": level.weight_bytes,
        "read_share": None if read_share is None else round(read_share, 3),
    }


def _text(data: dict[str, Any]) -> str:
    return "\n".join([_table(data), "", *_lines(data)])


def _table(data: dict[str, Any]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    levels = data["levels"].items()
    sizes = list(next(iter(data["levels"].values()))["tokens_per_second"])
    engine = data["device"] if data["kernels"] is None else f"{data['device']}, {data['kernels']}"
    table = Table(box=SIMPLE_HEAD, title=f"{data['model']} ({engine}), tokens/s")
    for name in ("level", *(f"batch {size}" for size in sizes), "prefill", "of read limit"):
        table.add_column(name, justify="right")
    table.add_column("computed by")
    for level, each in levels:
        speeds = (*each["tokens_per_second"].values(), each["prefill_tokens_per_second"])
        read_share = "-" if each["read_share"] is None else f"{each['read_share']:.0%}"
        computed_by = f"{each['engine']}, {each['precision']}"
        table.add_row(level, *map(_speed, speeds), read_share, computed_by)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _speed(tokens_per_second: float | None) -> str:
    if tokens_per_second is None:
        return "-"
    digits = 0 if tokens_per_second >= 100 else 1
    return f"{tokens_per_second:,.{digits}f}"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    audio, total = format_duration(data["audio_seconds"]), format_duration(data["seconds"])
    yield f"{audio} of audio: about {total}"
    yield from projection_lines(data)
    yield f"memory: {memory_text(data['memory'], data['device_memory'])}"
    for threads, bandwidth in data["read_bandwidth"].items():
        count = f"{threads} thread{'' if threads == '1' else 's'}"
        yield f"read limit: {bandwidth / 1e9:.1f} GB/s with {count}"
