"""The model that is shipped with the package."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import jukebox_cli
from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import arrays_to_device
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model

MINI = Model(Path(jukebox_cli.__file__).parent / "models" / "mini")


def test_it_is_small_and_its_card_names_the_training_data() -> None:
    sizes = [path.stat().st_size for path in MINI.path.rglob("*")]
    assert max(sizes) <= 25_000_000
    assert sum(sizes) <= 60_000_000
    card = (MINI.path / "card.md").read_text()
    assert all(word in card for word in ("FluidR3_GM", "Apache-2.0", "held out", "Attribution"))


def test_it_knows_four_genres_and_several_artists() -> None:
    fitted = MINI.fitted_conditioners(2)
    assert {"rock", "jazz", "classical", "electronic"} <= set(fitted["genre"]["names"])
    assert len(fitted["artist"]["names"]) >= 8
    assert (MINI.config.vqvae.num_levels, MINI.config.vqvae.sample_rate) == (3, 22050)


@pytest.mark.parametrize("level", [0, 1, 2])
@torch.inference_mode()
def test_logits_in_bf16_are_near_those_in_fp32(level: int, registry: Registry) -> None:
    fp32, bf16 = (load_prior(MINI, level, registry, torch.device("cpu")) for _ in range(2))
    bf16.bfloat16().conditioners.float()  # as on a GPU
    conditioners = load_conditioners(MINI, level, registry)
    shape = prior_shape(MINI.config, level)
    song = {"artist": "Iron Lantern", "genre": ["rock"], "lyrics": "we go", "total": 90.0}
    window = Window(0, shape.context_length * shape.hop_length, 10**6)
    arrays = encode_window(conditioners, [song], window, shape)
    num_upper_tokens = shape.context_length // (4, 2, 1)[level]
    upper_tokens = torch.arange(num_upper_tokens)[None] if level < 2 else None
    logits = []
    for prior in (fp32, bf16):
        conditions = prior.condition(arrays_to_device(arrays, "cpu"), upper_tokens)
        caches = prior.make_caches(1, conditions)
        prior.prefill(torch.arange(5)[None], conditions, caches)
        logits.append(prior.step(torch.tensor([7]), 5, conditions, caches))
    assert logits[1].dtype == torch.bfloat16
    torch.testing.assert_close(logits[1].float(), logits[0], atol=0.5, rtol=0.1)


@pytest.mark.slow
def test_it_makes_music_without_a_network(
    tmp_path: Path, jukebox: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket, "socket", fail)
    run = tmp_path / "run"
    words = ("--preset", "rock", "--model", MINI.path, "--seconds", 2, "--out", run)
    result = jukebox("generate", *words, "--quiet")
    assert result.code == 0, result.err
    audio, rate = soundfile.read(run / "audio" / "item-00.wav")
    assert (len(audio), rate) == (44_100, 22_050)
    assert 0.01 < np.sqrt((audio**2).mean()) < 0.5  # not silent
    assert np.abs(audio).max() < 1.0  # not clipped
    frames = np.lib.stride_tricks.sliding_window_view(audio, 2048)[::512] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)) ** 2 + 1e-12
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    assert np.median(flatness) < 0.1  # not noise, whose flatness is about 0.5
