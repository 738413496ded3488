"""timing: how long the song is and where in it a window stands (paper, section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Timing(Conditioner):
    """Total length, position and fraction elapsed at every frame, each as one of `bins`.

    Lengths outside `shortest` .. `longest` seconds are clamped. What is made may be the beginning
    of a longer song: of one of `--total` seconds, or of `least` seconds if it is shorter than the
    songs that a model knows. A model that is told of a song's end makes it fade.
    """

    name: ClassVar[str] = "timing"
    num_bins: int = 128
    min_seconds: float = 0.0
    max_seconds: float = 600.0
    assumed_total: float = 0.0

    @dataclass(frozen=True)
    class Input:
        total: Annotated[
            float | None, "Seconds of the whole song, of which --seconds is the beginning."
        ] = None

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        try:
            total = float(given["total"])
        except (TypeError, ValueError):
            total = 0.0
        if not 0 < total < float("inf"):
            raise InputError(f"can't read total {given['total']!r}", "write seconds, such as 90")
        return {"total": total}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        rate = shape.sample_rate
        total = max(window.total, round((song.get("total") or self.assumed_total) * rate))
        # in samples and in fp32 throughout, so that each falls into the bin it did in Jukebox
        start, end = np.float32(window.start), np.float32(window.start + window.length)
        through = np.arange(shape.context_length, dtype=np.float32) / np.float32(
            shape.context_length
        )
        whole = np.float32(total)
        return {
            "total": np.array([whole]),
            "position": start + (end - start) * through,
            "elapsed": start / whole + (end / whole - start / whole) * through,
        }

    def module(self, shape: PriorShape) -> nn.Module:
        return _embeddings(self, shape)


def _embeddings(timing: Timing, shape: PriorShape) -> nn.Module:
    from torch import Tensor, nn

    from jukebox_cli.api.nn import Conditioning, RangeEmbedding

    class Embeddings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            bins, width = timing.num_bins, shape.width
            low, high = (s * shape.sample_rate for s in (timing.min_seconds, timing.max_seconds))
            self.total = RangeEmbedding(bins, low, high, width)
            self.position = RangeEmbedding(bins, 0.0, high, width)
            self.elapsed = RangeEmbedding(bins, 0.0, 1.0, width)

        def forward(self, total: Tensor, position: Tensor, elapsed: Tensor) -> Conditioning:
            parts = self.total(total), self.position(position), self.elapsed(elapsed)
            return Conditioning(per_token=parts[0] + parts[1] + parts[2])

    return Embeddings()


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Timing]
