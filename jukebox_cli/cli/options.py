"""Options that several commands share: types with their help, and groups of them.

A group is a frozen dataclass; a command that takes one has an option for each of its fields (see
`option_groups`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from jukebox_cli.cli.completion import complete_models, complete_presets, complete_runs
from jukebox_cli.interfaces.errors import InputError, require_utf8_name


class Until(str, Enum):
    """The last stage of a command that samples."""

    top = "top"
    tokens = "tokens"
    audio = "audio"


class Device(str, Enum):
    """Devices to compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Engine(str, Enum):
    """What computes a prior while sampling."""

    auto = "auto"
    native = "native"
    torch = "torch"


class Precision(str, Enum):
    """How a prior's weights are stored while sampling."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class Format(str, Enum):
    """File formats of decoded audio."""

    wav = "wav"
    flac = "flac"
    ogg = "ogg"
    mp3 = "mp3"


class StreamFormat(str, Enum):
    """What is written to the standard output while a song is made."""

    pcm = "pcm"
    wav = "wav"


#: Bound of options that training computes with in fp32; infinity and NaN are beyond any bound.
MAX_NUMBER = 1e6


def validate_out(path: Path | None) -> Path | None:
    """The path. Raises InputError for `-`, because a folder can't be written to stdout, for a name
    that is not UTF-8, and for a path in a file."""
    if path:
        require_utf8_name(path)
        require_no_file_above(path, "--out")
    if path == Path("-"):
        raise InputError("can't write to '-'", "name a folder or file, such as --out runs/song")
    return path


def require_no_file_above(path: Path, option: str) -> None:
    """Raises InputError for the path of an option that leads into a file."""
    for folder in path.parents:
        if folder.is_dir():
            return
        if folder.exists():
            raise InputError(f"can't write {path}: {folder} is a file", f"choose another {option}")


def choose_levels(levels: Sequence[int] | None, num_levels: int) -> Sequence[int]:
    """The levels of --level, or all. Raises InputError for one that the codec does not have."""
    top = num_levels - 1
    if missing := [level for level in levels or () if not 0 <= level <= top]:
        raise InputError(f"there is no level {missing[0]}", f"the top level is {top}")
    return levels or range(num_levels)


Preset = Annotated[
    str | None,
    typer.Option(
        help="Preset: a path, or a name from `jukebox preset list`.",
        metavar="NAME",
        autocompletion=complete_presets,
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        help="Model: a folder, or a name from `jukebox model list`.",
        metavar="NAME",
        autocompletion=complete_models,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder to write the run to.",
        metavar="FOLDER",
        show_default="runs/NAME, after the preset or the conditions",
        callback=validate_out,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(help="Length of the song, in seconds.", show_default="the preset's, or 20"),
]


def parse_items(text: str) -> int:
    """The number of items. Raises InputError for a list of them."""
    if re.fullmatch(r"\d+([-,]\d+)+", text):  # pydantic reads 0-1 as -1
        what = f"--items is how many, not which: '{text}'"
        raise InputError(what, f"choose some of them with --only {text}")
    if not re.fullmatch(r"[+-]?\d+", text):
        raise InputError("--items must be a whole number", "write how many: --items 4")
    return int(text)


Items = Annotated[
    int | None,
    typer.Option(
        parser=parse_items,
        help="Number of items, which are variations of the song.",
        metavar="N",
        show_default="the preset's, or 1",
    ),
]
Only = Annotated[
    str | None,
    typer.Option(
        "--only", help="Only these items: a list of numbers, such as 0,2,4-7.", metavar="LIST"
    ),
]
Seed = Annotated[int | None, typer.Option(help="Random seed.", show_default="the preset's, or 0")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override a key of the preset: sampling.hop_fraction=[1,1,1]. Repeatable.",
        metavar="KEY=VALUE",
    ),
]
UntilFlag = Annotated[
    Until, typer.Option(help="Stop after the top level's tokens, all tokens, or the audio.")
]
StreamFlag = Annotated[
    StreamFormat | None,
    typer.Option(
        help="Write the audio to stdout while it is made, for a player: as WAV, or as raw 16-bit "
        "little-endian mono. With --parallel it begins when all slices are sampled.",
        show_default=False,
    ),
]
DeviceFlag = Annotated[Device, typer.Option(help="Device to compute on.")]
EngineFlag = Annotated[
    Engine, typer.Option(help="What computes: native is fastest on a CPU, torch runs everywhere.")
]
PrecisionFlag = Annotated[
    Precision,
    typer.Option(
        help="Precision of the weights: fewer bits are faster and take less memory. auto keeps "
        "the bits they are stored with, but takes fp16 for a large model."
    ),
]
Batch = Annotated[
    int, typer.Option(min=1, help="Items sampled at the same time. Does not affect the tokens.")
]
Parallel = Annotated[
    str | None,
    typer.Option(
        help="Slices of each song sampled at the same time, below the top level: faster on a GPU "
        "or with a large model, with other tokens than one after another; auto takes as many as "
        "pay.",
        metavar="N|auto",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no messages.")]
ShardFlag = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="Do share K of N, beside commands that do the others: of the items, or with "
        "--parallel of every song, until it is whole. auto takes K and N from Slurm.",
        metavar="K/N|auto",
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="The folder of a run.", autocompletion=complete_runs),
]
AudioSources = Annotated[
    list[Path], typer.Argument(metavar="AUDIO...", help="Audio files, folders or manifests.")
]


@dataclass(frozen=True)
class RequestOptions:
    """The request: model, conditions from a preset, length, items, seed."""

    preset: Preset = None
    model: ModelName = None
    out: Out = None
    seconds: Seconds = None
    items: Items = None
    only: Only = None
    seed: Seed = None
    overrides: Overrides = None


@dataclass(frozen=True)
class ComputeOptions:
    """Device, precision, batch size and slices."""

    device: DeviceFlag = Device.auto
    engine: EngineFlag = Engine.auto
    precision: PrecisionFlag = Precision.auto
    batch: Batch = 16
    parallel: Parallel = None


@dataclass(frozen=True)
class ResultOptions:
    """How far a run is made, which share of it, and whether its audio is streamed."""

    until: UntilFlag = Until.audio
    shard: ShardFlag = None
    stream: StreamFlag = None


@dataclass(frozen=True)
class OutputOptions:
    """What is printed."""

    as_json: Json = False
    quiet: Quiet = False
