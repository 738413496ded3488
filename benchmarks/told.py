"""What a prior is told of a window of a song."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from jukebox_cli.conditioning import Conditioning
from jukebox_cli.plugin import Conditioner, Shape, Song, Window
from jukebox_cli.prior import Prior
from jukebox_cli.steering import encode_window


def told(
    prior: Prior,
    parts: Mapping[str, Conditioner],
    song: Song,
    window: Window,
    shape: Shape,
    above: Tensor | None = None,
) -> Conditioning:
    """The conditions of one window, where the prior is. above: tokens (1, T / ratio)."""
    device = prior.positions.device
    arrays = {
        name: {key: torch.from_numpy(array).to(device) for key, array in each.items()}
        for name, each in encode_window(parts, [song], window, shape).items()
    }
    return prior.condition(arrays, above)
