"""generate, continue, upsample, decode, tokenize: the commands that fill a run."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    pass


class Until(str, Enum):
    """How far to go."""

    top = "top"
    tokens = "tokens"
    audio = "audio"


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(str, Enum):
    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class Format(str, Enum):
    wav = "wav"
    flac = "flac"
    ogg = "ogg"
    mp3 = "mp3"


class Kind(str, Enum):
    run = "run"
    corpus = "corpus"


Preset = Annotated[
    str | None, typer.Option(help="A preset: a path, or a name from `jukebox preset list`.")
]


ModelName = Annotated[
    str | None, typer.Option(help="A model: a folder, or a name from `jukebox model list`.")
]


Out = Annotated[Path | None, typer.Option(help="Folder to write to.")]


Seconds = Annotated[float | None, typer.Option(help="Length of the song.")]


Items = Annotated[
    str | None, typer.Option(help="How many: 4. Or which of many: 0,2 or 4-7.", metavar="N|LIST")
]


Only = Annotated[
    str | None, typer.Option(help="Only these items: 2 or 0,2 or 4-7.", metavar="LIST")
]


Seed = Annotated[int | None, typer.Option(help="Another seed, another song.")]


UntilFlag = Annotated[
    Until, typer.Option(help="Stop after the top level's tokens, all tokens, or the audio.")
]


DeviceFlag = Annotated[Device, typer.Option(help="Where to compute.")]


PrecisionFlag = Annotated[
    Precision, typer.Option(help="Of the weights; fp16 halves a large model's memory on a CPU.")
]


Batch = Annotated[int, typer.Option(min=1, help="Items drawn side by side; changes no token.")]


Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a key of the preset: sampling.hop=[1,1,1]", metavar="K=V"),
]


Json = Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")]


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no messages.")]


RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]


def computed(device: Device, precision: Precision, batch: int) -> dict[str, Any]:
    """How a job is computed."""
    return {"device": device.value, "precision": precision.value, "batch_size": batch}
