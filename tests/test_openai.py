"""What OpenAI's program computed from tiny random checkpoints is computed here too.

The checkpoints and the numbers are in tests/golden, or in the folder that JUKEBOX_GOLDEN names;
tests/golden/README.md says what each array is.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.openai.finding import read_parts
from jukebox_plugins.openai.writing import write_model
from safetensors.torch import load_file
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.model.condition_inputs import conditioners, encode_window, shape_of
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Asked, Run, Tokens

GOLDEN = Path(os.environ.get("JUKEBOX_GOLDEN") or Path(__file__).parent / "golden")
VARIANTS = ("5b", "5b_lyrics", "1b_lyrics")
SUNG = ("5b_lyrics", "1b_lyrics")
LEVELS = (0, 1, 2)
CPU = torch.device("cpu")
CLOSE = {"atol": 2e-4, "rtol": 0.0}


@dataclass(frozen=True)
class Golden:
    """An imported model beside what the original program computed with it."""

    name: str
    model: Model
    registry: Registry

    @cached_property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((GOLDEN / self.name / "info.json").read_text())
        return found

    @cached_property
    def arrays(self) -> dict[str, Tensor]:
        return load_file(GOLDEN / self.name / "expected.safetensors")

    @cached_property
    def vqvae(self) -> VQVAE:
        return load_vqvae(self.model, CPU)

    @cached_property
    def priors(self) -> list[Prior]:
        return [load_prior(self.model, level, self.registry, CPU) for level in LEVELS]

    def __getitem__(self, name: str) -> Tensor:
        array = self.arrays[name]
        return array.long() if array.dtype == torch.int32 else array

    def song(self, item: int) -> Song:
        """What was asked for: ids as the names they have where there are no lists of names.

        The second item's genre is id 0, which is what nobody said.
        """
        genre, artist = self.info["genre_ids"][item], self.info["artist_ids"][item]
        return {
            "artist": str(artist),
            "genre": [str(genre)] if genre else [],
            "lyrics": self.info["lyrics"],
            "total": self.info["total_length"] / self.model.config.vqvae.sample_rate,
        }

    def conditions(self, level: int) -> Conditioning:
        """Those that the labels of `prior.LEVEL` stand for."""
        start, length = self[f"prior.{level}.y"][0, 1:3].tolist()
        window = Window(start, length, self.info["sample_length"])
        parts = conditioners(self.model, level, self.registry)
        songs = [self.song(0), self.song(1)]
        arrays = encode_window(parts, songs, window, shape_of(self.model.config, level))
        tensors = {
            name: {key: torch.from_numpy(a) for key, a in each.items()}
            for name, each in arrays.items()
        }
        above = self[f"prior.{level}.z_cond"] if level < LEVELS[-1] else None
        return self.priors[level].condition(tensors, above)


@pytest.fixture(scope="module")
def imported(tmp_path_factory, registry) -> dict[str, Golden]:
    models = tmp_path_factory.mktemp("models")
    return {name: import_golden(name, models, registry) for name in VARIANTS}


def import_golden(name: str, models: Path, registry: Registry) -> Golden:
    parts = read_parts([GOLDEN / name])
    model = write_model(parts, models / name, registry, [GOLDEN / name], lambda part: None)
    return Golden(name, model, registry)


@pytest.fixture(params=VARIANTS)
def golden(request, imported) -> Golden:
    return imported[request.param]


@pytest.fixture(params=SUNG)
def sung(request, imported) -> Golden:
    """One that takes lyrics."""
    return imported[request.param]


@pytest.mark.parametrize("level", LEVELS)
def test_the_codes_of_a_recording_are_equal(golden, level):
    codes = golden.vqvae.level(level).encode(golden["x"].transpose(1, 2))
    assert torch.equal(codes, golden[f"z.{level}"])


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_decoded_audio_is_within_a_ten_thousandth(golden, level):
    audio = golden.vqvae.level(level).decode(golden[f"z.{level}"])
    torch.testing.assert_close(audio.transpose(1, 2), golden[f"decode.{level}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_are_close(golden, level):
    prior, conditions = golden.priors[level], golden.conditions(level)
    logits = prior(golden[f"prior.{level}.z"], conditions)
    theirs = torch.cat([logits[..., prior.bins :], logits[..., : prior.bins]], dim=2)
    torch.testing.assert_close(theirs, golden[f"prior.{level}.logits"], **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_drawn_in_half_precision_are_near(golden, level):
    """Large models are drawn so; the original program drew all of them so."""
    prior = load_prior(golden.model, level, golden.registry, CPU, "fp16")
    conditions, tokens = golden.conditions(level), golden[f"prior.{level}.z"]
    caches = prior.caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    total = prior.config.frames
    steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(total)]
    logits = torch.stack(steps, dim=1)
    ours = torch.cat([logits[..., prior.bins :], logits[..., : prior.bins]], dim=2)
    wanted = golden[f"prior.{level}.logits"][:, -total:]
    torch.testing.assert_close(ours, wanted, atol=5e-3, rtol=0)
    assert not torch.allclose(ours, wanted, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_losses_are_close(golden, level):
    """Theirs is weighed by all positions, letters too; ours is per token of the music."""
    prior, lyrics = golden.priors[level], golden.info["priors"][level]
    loss = prior.loss(golden[f"prior.{level}.z"], golden.conditions(level))
    torch.testing.assert_close(loss.bits[None], golden[f"prior.{level}.gen_loss"], **CLOSE)
    frames, letters = prior.config.frames, lyrics["n_tokens"]
    whole = loss.total[None] * frames / (frames + letters)
    torch.testing.assert_close(whole, golden[f"prior.{level}.loss"], **CLOSE)
    if letters:
        spelling = (loss.total - loss.bits)[None] * frames / letters / lyrics["prime_loss_fraction"]
        torch.testing.assert_close(spelling, golden[f"prior.{level}.prime_loss"], **CLOSE)


@pytest.mark.parametrize("given", ["nothing", "a third"])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_greedy_tokens_of_a_window_are_equal(golden, level, given):
    prior, conditions = golden.priors[level], golden.conditions(level)
    wanted = golden[f"prior.{level}.greedy" + ("_primed" if given == "a third" else "")]
    first = prior.config.frames // 3 if given == "a third" else 0
    tokens = golden[f"prior.{level}.z"].clone()
    caches = prior.caches(len(tokens), conditions)
    prior.prefill(tokens[:, :first], conditions, caches)
    for n in range(first, prior.config.frames):
        tokens[:, n] = prior.step(tokens[:, n - 1], n, conditions, caches).argmax(1)
    assert torch.equal(torch.where(tokens < prior.bins, tokens, 0), wanted)


@torch.inference_mode()
def test_the_alignment_layer_looks_at_the_same_letters(sung):
    layer, head = sung.model.learned(2)["lyrics"]["align"]
    assert head == sung.info["priors"][2]["alignment_head"]
    looks = sung.priors[2].looks(sung["prior.2.z"], sung.conditions(2), layer)
    torch.testing.assert_close(looks, sung["alignment"], **CLOSE)


@pytest.mark.parametrize("given", ["ancestral", "primed"])
def test_a_whole_song_is_equal_token_for_token(golden, tmp_path, given):
    """All levels, window after window, through the very commands' code."""
    codec = golden.model.config.vqvae
    hop = tuple(golden.info["hop_fraction"])
    knobs = ({"greedy": True},) * len(LEVELS)
    want = Request(str(golden.model.path), 1.0, (0, 1), 0, {}, hop, knobs)
    samples = golden.info["sample_length"]
    asked = Asked(samples, {}, {item: (samples, golden.song(item)) for item in (0, 1)})
    config = new_config(golden.model, golden.registry, want)
    job = Job(Run(tmp_path / "run"), golden.model, golden.registry, (0, 1), config, asked)
    job.run.write_asked(asked)
    for level in LEVELS:
        first = golden.info["prime_samples"] // codec.hops[level] if given == "primed" else 0
        for item in (0, 1):
            tokens = golden[f"z.{level}"][item, :first].numpy()
            job.run.write_tokens(level, item, Tokens(tokens, first), codec)
    for level in reversed(LEVELS):
        sample(job, level)
        for item in (0, 1):
            made = job.run.read_tokens(level, item)
            assert made is not None
            np.testing.assert_array_equal(made.tokens, golden[f"{given}.{level}"][item].numpy())


def test_lyrics_are_spelled_and_cut_as_they_were(sung):
    """The letters of the window, after the other labels."""
    labels = sung["prior.2.y"]
    lyrics = conditioners(sung.model, 2, sung.registry)["lyrics"]
    start, length = labels[0, 1:3].tolist()
    window = Window(start, length, sung.info["sample_length"])
    shape = shape_of(sung.model.config, 2)
    for item in (0, 1):
        row = lyrics.encode(sung.song(item), window, shape)["ids"]
        np.testing.assert_array_equal(row, labels[item, -len(row) :].numpy())
