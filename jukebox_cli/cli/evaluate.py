"""evaluate codec: how good a model's codec is, measured on recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from jukebox_cli.cli.completion import complete_models
from jukebox_cli.cli.console import print_result, print_warning, progress
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import (
    AudioSources,
    Device,
    DeviceFlag,
    Engine,
    EngineFlag,
    OutputOptions,
    choose_levels,
    require_no_file_above,
)
from jukebox_cli.interfaces.errors import require_utf8_name
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.config.schema import VQVAEConfig
    from jukebox_cli.evaluation.codec import CodecResult, RowResult
    from jukebox_cli.evaluation.judges import Judge
    from jukebox_cli.evaluation.other_codecs import Encoding
    from jukebox_cli.storage.model import Model


class OtherCodecs(str, Enum):
    """Which other codecs are measured."""

    none = "none"
    nearest = "nearest"
    more = "more"


def validate_figure_path(path: Path | None) -> Path | None:
    """The path. Raises InputError for a name that is not UTF-8, and for a path in a file."""
    if path:
        require_utf8_name(path)
        require_no_file_above(path, "--figure")
    return path


@dataclass(frozen=True)
class EvaluateOptions:
    """What is measured, and by whom."""

    clips: Annotated[
        int, typer.Option(min=1, help="Clips, shared among the recordings, evenly placed.")
    ] = 12
    seconds: Annotated[
        float, typer.Option(min=1, max=3600, help="Length of a clip, in seconds.")
    ] = 6.0
    level: Annotated[list[int] | None, typer.Option(help="Only this level. Repeatable.")] = None
    judge: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this judge of sound, or none. Repeatable. Default: all that are installed.",
            metavar="NAME",
        ),
    ] = None
    other_codecs: Annotated[
        OtherCodecs,
        typer.Option(
            help="Opus, MP3 and Vorbis, by ffmpeg: at the bitrates nearest to the levels', or "
            "Opus at 6 to 64 kbit/s too."
        ),
    ] = OtherCodecs.nearest
    figure: Annotated[
        Path | None,
        typer.Option(
            help="Write the mel spectrograms of the first clip to a PNG file.",
            metavar="FILE",
            callback=validate_figure_path,
        ),
    ] = None
    device: DeviceFlag = Device.auto
    engine: EngineFlag = Engine.auto


def add(app: typer.Typer, registry: Registry) -> None:
    """Adds the group `evaluate` to the app."""
    group = command_group(app, "evaluate", "Measure how good a model is.")
    group.command()(with_option_groups(registry)(codec))


def codec(
    ctx: typer.Context,
    *,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Model: a folder, or a name from `jukebox model list`.",
            autocompletion=complete_models,
        ),
    ],
    sources: AudioSources,
    options: EvaluateOptions,
    output: OutputOptions,
) -> None:
    """Measure how well each level of a codec keeps sound, beside Opus, MP3 and Vorbis.

    Of a manifest with held-out songs, only these are measured. What is not installed is left out.
    """
    from jukebox_cli.storage.model import find_model

    found = find_model(model)
    config = found.config.vqvae
    levels = choose_levels(options.level, config.num_levels)
    compared = _compared(options, config, levels)
    result = _evaluate(ctx.obj, found, sources, levels, compared, options, output.quiet)
    if options.figure:
        from jukebox_cli.evaluation.figure import write_figure

        write_figure(options.figure, result.first_clip)
    data = _data(result, found.name, config, compared.left_out)
    text = "" if output.as_json else _table(data, compared.judges)
    print_result(data, text, output.as_json)


class _Compared(NamedTuple):
    """Who judges, what stands beside the levels, and why others are left out, by name."""

    judges: dict[str, Judge]
    encodings: list[Encoding]
    left_out: dict[str, str]


def _evaluate(
    registry: Registry,
    model: Model,
    sources: Sequence[Path],
    levels: Sequence[int],
    compared: _Compared,
    options: EvaluateOptions,
    quiet: bool,
) -> CodecResult:
    """Measures the codec, with a progress bar; warns of what is left out."""
    from jukebox_cli.audio.manifest import load_recordings
    from jukebox_cli.engine.loader import load_codec
    from jukebox_cli.evaluation.clips import choose_recordings
    from jukebox_cli.evaluation.codec import evaluate_codec
    from jukebox_cli.model.devices import pick_device

    recordings = choose_recordings(load_recordings(registry, sources))
    codec = load_codec(model, pick_device(options.device.value), options.engine.value)
    for name, reason in compared.left_out.items():
        print_warning(f"left out {name}: {reason}")
    with progress(quiet, "clips") as bar:
        return evaluate_codec(
            *(codec, recordings, options.clips, options.seconds),
            *(levels, compared.judges, compared.encodings, bar),
        )


def _compared(options: EvaluateOptions, config: VQVAEConfig, levels: Sequence[int]) -> _Compared:
    """The judges and other codecs of the options. Raises InputError for a judge that is not there,
    and for a figure that can't be drawn."""
    from jukebox_cli.evaluation.code_use import CodeUse
    from jukebox_cli.evaluation.judges import choose_judges
    from jukebox_cli.evaluation.other_codecs import choose_encodings, find_codecs

    if options.figure:
        from jukebox_cli.evaluation.figure import validate_figure

        validate_figure(options.figure)
    names = [name for name in options.judge or () if name != "none"]
    judges, missing = choose_judges(names if options.judge else None)
    if options.other_codecs is OtherCodecs.none:
        return _Compared(judges, [], missing)
    codecs, missing_codecs = find_codecs()
    bitrates = [CodeUse.of_level(config, level).bitrate for level in levels]
    more = options.other_codecs is OtherCodecs.more
    encodings = choose_encodings(codecs, bitrates, more)
    return _Compared(judges, encodings, missing | missing_codecs)


def _data(
    result: CodecResult, model: str, config: VQVAEConfig, missing: Mapping[str, str]
) -> dict[str, Any]:
    """The result as JSON; bitrates are in bit/s."""
    return {
        "model": model,
        "sample_rate": config.sample_rate,
        "codebook_size": config.codebook_size,
        "clips": [
            {"audio": str(path), "start": round(start, 3), "seconds": round(seconds, 3)}
            for path, start, seconds in result.clips
        ],
        "left_out": dict(missing),
        "rows": [_row(row) for row in result.rows],
    }


def _row(row: RowResult) -> dict[str, Any]:
    use = row.code_use
    return {
        "name": row.title,
        "bitrate": None if row.bitrate is None else round(row.bitrate, 1),
        "entropy_bits": use and round(use.entropy_bits, 4),
        "entropy_bitrate": use and round(use.entropy_bitrate, 1),
        "codes_used": use and use.codes_used,
        "mean": {name: round(row.mean(name) or 0.0, 4) for name in row.scores},
        "scores": {name: [round(each, 4) for each in row.scores[name]] for name in row.scores},
    }


def _table(data: Mapping[str, Any], judges: Mapping[str, Judge]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from jukebox_cli.evaluation.metrics import METRICS

    titles = {name: _head(each.title, each.unit) for name, each in METRICS.items()}
    titles |= {name: _head(each.title, "MOS") for name, each in judges.items()}
    clips = f"{data['model']}, means of {len(data['clips'])} clips"
    table = Table(box=SIMPLE_HEAD, title=clips)
    table.add_column("")
    for head in ("kbit/s", "entropy\nkbit/s", "bits of\na code", "codes\nused", *titles.values()):
        table.add_column(head, justify="right")
    for row in data["rows"]:
        cells = [_kbps(row["bitrate"]), _kbps(row["entropy_bitrate"])]
        cells += [_number(row["entropy_bits"]), _number(row["codes_used"], 0)]
        table.add_row(row["name"], *cells, *(_number(row["mean"].get(name)) for name in titles))
    console = Console(width=110)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _head(title: str, unit: str) -> str:
    return f"{title}\n{unit}" if unit else title


def _kbps(bitrate: float | None) -> str:
    return _number(None if bitrate is None else bitrate / 1000, 1)


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
