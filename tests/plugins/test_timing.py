"""timing: total length, position and elapsed fraction at every token."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch
from jukebox_plugins.timing import Timing
from torch import Tensor

from jukebox_cli.interfaces.command_options import CommandOptions, read_options
from jukebox_cli.interfaces.conditioner import PriorShape, Song, Window
from support.results import refusal

SHAPE = PriorShape(width=12, context_length=16, hop_length=128, sample_rate=8000)


def per_token(timing: Timing, module: torch.nn.Module, window: Window) -> Tensor:
    arrays = timing.encode({}, window, SHAPE)
    tensors = {key: torch.from_numpy(array)[None] for key, array in arrays.items()}
    embeddings: Tensor = module(**tensors).per_token
    return embeddings


@pytest.mark.parametrize(("start", "elapsed"), [(0, 0.0), (40_000, 0.25), (128_000, 0.8)])
def test_every_token_has_its_position_and_elapsed_fraction(start: int, elapsed: float) -> None:
    window = Window(start, 32_000, 160_000)  # 4 s of 20 s
    arrays = Timing().encode({}, window, SHAPE)
    step = 32_000 / SHAPE.context_length
    assert arrays["total"].tolist() == [160_000]
    np.testing.assert_allclose(arrays["position"], start + step * np.arange(16))
    expected = elapsed + step / 160_000 * np.arange(16)
    np.testing.assert_allclose(arrays["elapsed"], expected, rtol=1e-6)


def test_beginning_middle_and_end_differ() -> None:
    timing = Timing(num_bins=16, max_seconds=20.0)
    module = timing.module(SHAPE)
    windows = [Window(start, 16_000, 160_000) for start in (0, 72_000, 144_000)]
    beginning, middle, end = (per_token(timing, module, window) for window in windows)
    assert not torch.equal(beginning, middle)
    assert not torch.equal(middle, end)


@pytest.mark.parametrize(
    ("song", "assumed_total", "total"),
    [({}, 0.0, 2.0), ({"total": 90.0}, 0.0, 90.0), ({}, 60.0, 60.0), ({"total": 1.0}, 60.0, 2.0)],
)
def test_what_is_sampled_may_be_the_beginning_of_a_longer_song(
    song: Song, assumed_total: float, total: float
) -> None:
    arrays = Timing(assumed_total=assumed_total).encode(song, Window(8_000, 8_000, 16_000), SHAPE)
    assert arrays["total"] == total * SHAPE.sample_rate
    assert arrays["elapsed"][0] == pytest.approx(1 / total)
    assert arrays["position"][0] == 8_000


def test_a_total_is_in_seconds() -> None:
    assert Timing().read({"total": "90"}, Path()) == {"total": 90.0}
    for value in ("long", -1, 0, nan, inf):
        error = (f"can't read total {value!r}", "write seconds, less than 1,000,000, such as 90")
        assert refusal(Timing().read, {"total": value}, Path()) == error


def test_values_outside_the_range_are_clamped() -> None:
    timing = Timing(num_bins=8, max_seconds=10.0)
    module = timing.module(SHAPE)
    late = 8_000 * 400
    torch.testing.assert_close(
        per_token(timing, module, Window(late, 8_000, late * 2)),
        per_token(timing, module, Window(late * 2, 8_000, late * 4)),
    )
    assert per_token(timing, module, Window(16_000, 8_000, 8_000)).isfinite().all()


@pytest.mark.parametrize(
    ("total", "text"), [(90.5, "90.5"), (90.0, "90.0"), (999_999.0, "999999.0")]
)
def test_values_are_written_as_an_option(total: float, text: str) -> None:
    options = Timing().to_options({"total": total})
    assert options == CommandOptions((("--total", text),))
    assert read_options(Timing(), options) == {"total": total}


def test_a_total_is_described_in_seconds() -> None:
    text = "the beginning of a song of 90 s"
    assert Timing().describe({"total": 90.0, "artist": "Ada Vale"}) == {"total": text}
    assert Timing().describe({"total": "long"}) == {"total": "long"}
    assert Timing().describe({}) == {}
