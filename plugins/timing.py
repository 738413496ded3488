"""timing: how long the song is and where in it each token lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

#: The longest song, as of `--seconds`. Positions in samples stay finite in float32.
MAX_SECONDS = 1_000_000


@dataclass(frozen=True)
class Timing(Conditioner):
    """Embeddings of total length, position and elapsed fraction, added at every token.

    Source: Dhariwal et al. 2020, "Artist, Genre, and Timing Conditioning".

    Each of the three is quantised to one of `num_bins` embeddings. A model that sees the end of a
    song approaching makes it fade, so the total may be longer than what is sampled: `--total`, or
    `assumed_total` for models trained on longer songs only.
    """

    name: ClassVar[str] = "timing"
    #: Embeddings per quantity.
    num_bins: int = 128
    #: Total lengths, in seconds; values outside are clamped.
    min_seconds: float = 0.0
    max_seconds: float = 600.0
    #: Total length in seconds where --total is not given and what is sampled is shorter; 0 is off.
    assumed_total: float = 0.0

    @dataclass(frozen=True)
    class Input:
        total: Annotated[
            float | None, "Length of the whole song in seconds, if --seconds is only its beginning."
        ] = None

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        try:
            total = float(inputs["total"])
        except (TypeError, ValueError):
            total = 0.0
        if not 0 < total < MAX_SECONDS:
            hint = f"write seconds, less than {MAX_SECONDS:,}, such as 90"
            raise InputError(f"can't read total {inputs['total']!r}", hint)
        return {"total": total}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """float32 arrays: `total` (1,) and `position` (T,) in samples, `elapsed` (T,) from 0 to 1.

        T is the context length.
        """
        import numpy as np

        rate = shape.sample_rate
        total = max(window.total, round((song.get("total") or self.assumed_total) * rate))
        # samples and float32 throughout, as in the original, so that values fall into the same bins
        start, end = np.float32(window.start), np.float32(window.start + window.length)
        fraction = np.arange(shape.context_length, dtype=np.float32) / np.float32(
            shape.context_length
        )
        length = np.float32(total)
        return {
            "total": np.array([length]),
            "position": start + (end - start) * fraction,
            "elapsed": start / length + (end / length - start / length) * fraction,
        }

    def describe(self, song: Song) -> dict[str, str]:
        """`the beginning of a song of 90 s`."""
        total = song.get("total")
        if isinstance(total, bool) or not isinstance(total, (int, float)):
            return super().describe(song)
        return {"total": f"the beginning of a song of {total:g} s"}

    def module(self, shape: PriorShape) -> nn.Module:
        return _embeddings(self, shape)


def _embeddings(timing: Timing, shape: PriorShape) -> nn.Module:
    """The network; a class within a function, since torch must not be imported earlier."""
    from torch import Tensor, nn

    from jukebox_cli.api.nn import Conditioning, RangeEmbedding

    class TimingEmbeddings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            num_bins, width = timing.num_bins, shape.width
            low, high = (s * shape.sample_rate for s in (timing.min_seconds, timing.max_seconds))
            self.total = RangeEmbedding(num_bins, low, high, width)
            self.position = RangeEmbedding(num_bins, 0.0, high, width)
            self.elapsed = RangeEmbedding(num_bins, 0.0, 1.0, width)

        def forward(self, total: Tensor, position: Tensor, elapsed: Tensor) -> Conditioning:
            """total (B, 1), position (B, T), elapsed (B, T) -> per_token (B, T, W)."""
            parts = self.total(total), self.position(position), self.elapsed(elapsed)
            return Conditioning(per_token=parts[0] + parts[1] + parts[2])

    return TimingEmbeddings()


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Timing]
