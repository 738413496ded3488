"""The model that comes with the package, as it is shipped."""

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


def test_it_is_small_and_says_what_it_was_trained_on() -> None:
    assert sum(path.stat().st_size for path in MINI.path.rglob("*")) <= 25_000_000
    card = (MINI.path / "card.md").read_text()
    assert all(word in card for word in ("FluidR3_GM", "Apache-2.0", "held out", "Attribution"))


def test_it_knows_four_genres_and_several_artists() -> None:
    top = MINI.fitted_conditioners(2)
    assert {"rock", "jazz", "classical", "electronic"} <= set(top["genre"]["names"])
    assert len(top["artist"]["names"]) >= 8
    assert (MINI.config.vqvae.num_levels, MINI.config.vqvae.sample_rate) == (3, 22050)


@pytest.mark.parametrize("level", [0, 1, 2])
@torch.inference_mode()
def test_in_the_precision_of_a_gpu_its_logits_are_near(level: int, registry: Registry) -> None:
    whole, half = (load_prior(MINI, level, registry, torch.device("cpu")) for _ in range(2))
    half.bfloat16().conditioners.float()  # as elsewhere than on a CPU
    parts, shape = load_conditioners(MINI, level, registry), prior_shape(MINI.config, level)
    song = {"artist": "Iron Lantern", "genre": ["rock"], "lyrics": "we go", "total": 90.0}
    frames = MINI.config.priors[level].context_length
    arrays = encode_window(parts, [song], Window(0, frames * shape.hop_length, 10**6), shape)
    above = torch.arange(frames // (4, 2, 1)[level])[None] if level < 2 else None
    logits = []
    for prior in (whole, half):
        told = prior.condition(arrays_to_device(arrays, "cpu"), above)
        caches = prior.make_caches(1, told)
        prior.prefill(torch.arange(5)[None], told, caches)
        logits.append(prior.step(torch.tensor([7]), 5, told, caches))
    assert logits[1].dtype == torch.bfloat16
    torch.testing.assert_close(logits[1].float(), logits[0], atol=0.5, rtol=0.1)


def test_it_makes_sound_without_a_network(
    tmp_path: Path, jukebox: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("there is no network")

    monkeypatch.setattr(socket, "socket", refuse)
    words = ("--preset", "rock.yaml", "--model", MINI.path, "--seconds", 2, "--out", tmp_path / "a")
    made = jukebox("generate", *words, "--quiet")
    assert made.code == 0, made.err
    audio, rate = soundfile.read(tmp_path / "a" / "audio" / "item-00.wav")
    assert (len(audio), rate) == (44_100, 22_050)
    assert 0.01 < np.sqrt((audio**2).mean()) < 0.5  # no silence
    assert np.abs(audio).max() < 1.0  # nor clipped
    frames = np.lib.stride_tricks.sliding_window_view(audio, 2048)[::512] * np.hanning(2048)
    power = np.abs(np.fft.rfft(frames)) ** 2 + 1e-12
    flatness = np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)
    assert np.median(flatness) < 0.1  # nor noise, of which it would be some 0.5
