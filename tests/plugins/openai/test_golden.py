"""The original program's results for tiny random checkpoints are reproduced.

The checkpoints and the numbers are in tests/golden, or in the folder that JUKEBOX_GOLDEN names;
tests/golden/README.md describes each array.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.engine.native import NativeWindow
from jukebox_cli.engine.native_codec import NativeCodec
from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.interfaces.sampler import SamplingParameters
from jukebox_cli.model.codec import decode
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config, new_item
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt
from support.engines import native_steps, needs_native_engine, pack
from support.golden import CPU, LEVELS, VARIANTS, Golden, import_golden

WITH_LYRICS = ("5b_lyrics", "1b_lyrics")
CLOSE: dict[str, Any] = {"atol": 2e-4, "rtol": 0.0}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> dict[str, Golden]:
    models = tmp_path_factory.mktemp("models")
    return {name: import_golden(name, models, registry) for name in VARIANTS}


@pytest.fixture(params=VARIANTS)
def golden(request: pytest.FixtureRequest, imported: dict[str, Golden]) -> Golden:
    return imported[request.param]


@pytest.fixture(params=WITH_LYRICS)
def golden_with_lyrics(request: pytest.FixtureRequest, imported: dict[str, Golden]) -> Golden:
    return imported[request.param]


@pytest.mark.parametrize("level", LEVELS)
def test_the_codes_of_a_recording_are_equal(golden: Golden, level: int) -> None:
    codes = golden.vqvae.level(level).encode(golden["x"].transpose(1, 2))
    assert torch.equal(codes, golden[f"z.{level}"])


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_decoded_audio_is_within_a_ten_thousandth(golden: Golden, level: int) -> None:
    audio = golden.vqvae.level(level).decode(golden[f"z.{level}"])
    torch.testing.assert_close(audio.transpose(1, 2), golden[f"decode.{level}"], atol=1e-4, rtol=0)


@needs_native_engine
def test_the_native_codec_has_the_codes_and_the_audio(golden: Golden) -> None:
    codec = NativeCodec(golden.vqvae)
    for item, recording in enumerate(golden["x"][:, :, 0].numpy()):
        for level, codes in enumerate(codec.encode([recording])):
            assert codes.tolist() == golden[f"z.{level}"][item].tolist()
            audio = np.concatenate(list(decode(codec, level, codes)))
            expected = golden[f"decode.{level}"][item, :, 0].numpy()
            np.testing.assert_allclose(audio, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_are_close(golden: Golden, level: int) -> None:
    prior = golden.priors[level]
    logits = prior(golden[f"prior.{level}.z"], golden.conditions(level))
    actual = golden.order_logits(prior, logits)
    torch.testing.assert_close(actual, golden[f"prior.{level}.logits"], **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_with_fp16_weights_are_near(golden: Golden, level: int) -> None:
    """Large priors are sampled with fp16 weights; the original program sampled all priors so."""
    prior = load_prior(golden.model, level, golden.registry, CPU, "fp16")
    conditions, tokens = golden.conditions(level), golden[f"prior.{level}.z"]
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    total = prior.config.context_length
    steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(total)]
    actual = golden.order_logits(prior, torch.stack(steps, dim=1))
    expected = golden[f"prior.{level}.logits"][:, -total:]
    torch.testing.assert_close(actual, expected, atol=5e-3, rtol=0)
    assert not torch.allclose(actual, expected, **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_losses_are_close(golden: Golden, level: int) -> None:
    """The original averages its loss over all positions, characters included; here only over tokens
    of the music."""
    prior, info = golden.priors[level], golden.info["priors"][level]
    loss = prior.loss(golden[f"prior.{level}.z"], golden.conditions(level))
    torch.testing.assert_close(loss.bits[None], golden[f"prior.{level}.gen_loss"], **CLOSE)
    num_tokens, num_characters = prior.config.context_length, info["n_tokens"]
    total = loss.total[None] * num_tokens / (num_tokens + num_characters)
    torch.testing.assert_close(total, golden[f"prior.{level}.loss"], **CLOSE)
    if num_characters:
        weight = info["prime_loss_fraction"] * num_characters / num_tokens
        per_character = (loss.total - loss.bits)[None] / weight
        torch.testing.assert_close(per_character, golden[f"prior.{level}.prime_loss"], **CLOSE)


@pytest.mark.parametrize("primed", [False, True])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_greedy_tokens_of_a_window_are_equal(golden: Golden, level: int, primed: bool) -> None:
    prior, conditions = golden.priors[level], golden.conditions(level)
    expected = golden[f"prior.{level}.greedy" + ("_primed" if primed else "")]
    prompt = prior.config.context_length // 3 if primed else 0
    tokens = golden[f"prior.{level}.z"].clone()
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :prompt], conditions, caches)
    for n in range(prompt, prior.config.context_length):
        tokens[:, n] = prior.step(tokens[:, n - 1], n, conditions, caches).argmax(1)
    assert torch.equal(torch.where(tokens < prior.codebook_size, tokens, 0), expected)


@needs_native_engine
@pytest.mark.parametrize("primed", [False, True])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_the_native_engine_has_close_logits_and_equal_greedy_tokens(
    golden: Golden, level: int, primed: bool
) -> None:
    prior, conditions = golden.priors[level], golden.conditions(level)
    tokens, weights = golden[f"prior.{level}.z"], pack(prior)
    logits = golden.order_logits(prior, native_steps(weights, conditions, tokens))
    expected = golden[f"prior.{level}.logits"][:, -tokens.shape[1] :]
    torch.testing.assert_close(logits, expected, **CLOSE)
    prompt, length = prior.config.context_length // 3 if primed else 0, tokens.shape[1]
    sampled = tokens.clone()
    window = NativeWindow(weights, conditions, sampled, len(tokens))
    window.prefill(prompt)
    sample_from, uniform = torch.full((len(tokens),), prompt), torch.zeros(len(tokens), length)
    greedy = SamplingParameters(greedy=True)
    assert window.sample(prompt, length, sample_from, uniform.double(), greedy) == length
    expected = golden[f"prior.{level}.greedy" + ("_primed" if primed else "")]
    assert torch.equal(torch.where(sampled < prior.codebook_size, sampled, 0), expected)


@torch.inference_mode()
def test_the_alignment_head_attends_to_the_same_characters(golden_with_lyrics: Golden) -> None:
    golden = golden_with_lyrics
    layer, head = golden.model.fitted_conditioners(2)["lyrics"]["alignment_head"]
    assert head == golden.info["priors"][2]["alignment_head"]
    weights = golden.priors[2].attention_weights(golden["prior.2.z"], golden.conditions(2), layer)
    torch.testing.assert_close(weights, golden["alignment"], **CLOSE)


def whole_song(golden: Golden, config: RunConfig, item: int, num_primed: int) -> ItemSpec:
    """An item of the golden data that begins with `num_primed` samples of a recording."""
    samples = golden.info["sample_length"]
    spec = new_item(golden.model, config, samples, golden.song(item))
    if not num_primed:
        return spec
    prompt = replace(spec.segments[0], prompt=Prompt("", num_primed))
    return ItemSpec(num_primed, (prompt,)).extended(samples)


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param("torch", marks=pytest.mark.slow),
        pytest.param("native", marks=needs_native_engine),
    ],
)
@pytest.mark.parametrize("mode", ["ancestral", "primed"])
def test_a_whole_song_is_equal_token_for_token(
    golden: Golden, tmp_path: Path, mode: str, engine: str
) -> None:
    """All levels, window after window, through the code of the commands."""
    vqvae = golden.model.config.vqvae
    hop_fraction = tuple(golden.info["hop_fraction"])
    options = ({"greedy": True},) * len(LEVELS)
    request = Request(str(golden.model.path), 1.0, (0, 1), 0, {}, hop_fraction, options)
    config = new_config(golden.model, golden.registry, request)
    num_primed = golden.info["prime_samples"] if mode == "primed" else 0
    specs = {item: whole_song(golden, config, item, num_primed) for item in (0, 1)}
    job = Job(
        Run(tmp_path / "run"), golden.model, golden.registry, (0, 1), config, specs, engine=engine
    )
    for item, spec in specs.items():
        job.run.write_item(item, spec)
    for level in LEVELS:
        prompt = num_primed // vqvae.hop_lengths[level]
        for item in (0, 1):
            job.run.write_tokens(level, item, golden[f"z.{level}"][item, :prompt].numpy(), vqvae)
    for level in reversed(LEVELS):
        sample_level(job, level)
        for item in (0, 1):
            sampled = job.run.read_tokens(level, item)
            assert sampled is not None
            expected = golden[f"{mode}.{level}"][item].numpy()
            np.testing.assert_array_equal(sampled, expected)


def test_lyrics_are_encoded_as_by_the_original_program(golden_with_lyrics: Golden) -> None:
    """The characters of the window are the last of the original's labels."""
    golden = golden_with_lyrics
    labels = golden["prior.2.y"]
    lyrics = load_conditioners(golden.model, 2, golden.registry)["lyrics"]
    start, length = labels[0, 1:3].tolist()
    window = Window(start, length, golden.info["sample_length"])
    shape = prior_shape(golden.model.config, 2)
    for item in (0, 1):
        ids = lyrics.encode(golden.song(item), window, shape)["ids"]
        np.testing.assert_array_equal(ids, labels[item, -len(ids) :].numpy())
