"""What a prior is told of a window of a song."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.model.condition_inputs import encode_window
from jukebox_cli.model.conditioning import Conditioning, arrays_to_device
from jukebox_cli.model.prior import Prior


def told(
    prior: Prior,
    parts: Mapping[str, Conditioner],
    song: Song,
    window: Window,
    shape: PriorShape,
    above: Tensor | None = None,
) -> Conditioning:
    """The conditions of one window, where the prior is. above: tokens (1, T / ratio)."""
    arrays = encode_window(parts, [song], window, shape)
    return prior.condition(arrays_to_device(arrays, prior.position_embedding.device), above)
