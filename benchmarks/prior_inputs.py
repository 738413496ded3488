"""The conditions of a prior for one window of a song."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Conditioner, PriorShape, Song, Window
from jukebox_cli.model.condition_inputs import encode_window
from jukebox_cli.model.conditioning import Conditioning, arrays_to_device
from jukebox_cli.model.prior import Prior


def condition_window(
    prior: Prior,
    conditioners: Mapping[str, Conditioner],
    song: Song,
    window: Window,
    shape: PriorShape,
    upper_tokens: Tensor | None = None,
) -> Conditioning:
    """The conditioning of a window, on the prior's device; `upper_tokens` are (1, T / ratio)."""
    arrays = encode_window(conditioners, [song], window, shape)
    return prior.condition(arrays_to_device(arrays, prior.position_embedding.device), upper_tokens)


def token_batch(tokens: np.ndarray, device: torch.device) -> Tensor:
    """Tokens (T,) as an int64 batch (1, T) on a device."""
    return torch.from_numpy(tokens.astype(np.int64))[None].to(device)
