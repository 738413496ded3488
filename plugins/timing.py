"""timing: how long the song is and where in it a window stands (paper, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from jukebox_cli.plugin import Conditioner, Shape, Song, Window, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Timing(Conditioner):
    """Total length, position and fraction elapsed at every frame, each as one of `bins`.

    Lengths outside `shortest` .. `longest` seconds are clamped.
    """

    name: ClassVar[str] = "timing"
    bins: int = 128
    shortest: float = 0.0
    longest: float = 600.0

    def encode(self, song: Song, window: Window, shape: Shape) -> dict[str, np.ndarray]:
        import numpy as np

        frames = np.arange(shape.frames, dtype=np.float32) / shape.frames
        at = window.start + window.length * frames  # samples
        return {
            "total": np.array([window.total / shape.sample_rate], dtype=np.float32),
            "position": (at / shape.sample_rate).astype(np.float32),
            "elapsed": (at / window.total).astype(np.float32),
        }

    def module(self, shape: Shape) -> nn.Module:
        return _embeddings(self, shape.width)


def _embeddings(timing: Timing, width: int) -> nn.Module:
    from torch import Tensor, nn

    from jukebox_cli.conditioning import Conditioning, RangeEmbedding

    class Embeddings(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            bins, low, high = timing.bins, timing.shortest, timing.longest
            self.total = RangeEmbedding(bins, low, high, width)
            self.position = RangeEmbedding(bins, 0.0, high, width)
            self.elapsed = RangeEmbedding(bins, 0.0, 1.0, width)

        def forward(self, total: Tensor, position: Tensor, elapsed: Tensor) -> Conditioning:
            parts = self.total(total), self.position(position), self.elapsed(elapsed)
            return Conditioning(frames=parts[0] + parts[1] + parts[2])

    return Embeddings()


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Timing]
