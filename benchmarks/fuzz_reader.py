"""What a reader is to the fuzzer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    make: writes whole files to a folder and returns those that are made wrong.
    read: reads the folder, and returns what was understood, in a form that can be compared.
    exact: whether another result than that of the whole files is an error.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    exact: bool = False


def sample_tensors() -> dict[str, torch.Tensor]:
    """Small weights, always the same."""
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(12, 5, generator=generator).half(),
        "bias": torch.randn(5, generator=generator),
        "step": torch.tensor(7),
    }
