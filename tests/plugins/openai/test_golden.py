"""What OpenAI's program computed from tiny random checkpoints is computed here too.

The checkpoints and the numbers are in tests/golden, or in the folder that JUKEBOX_GOLDEN names;
tests/golden/README.md says what each array is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.model.condition_inputs import load_conditioners, prior_shape
from jukebox_cli.model.loader import load_prior
from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.request import Request
from jukebox_cli.sampling.run_setup import new_config, new_item
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt
from support.golden import CPU, LEVELS, VARIANTS, Golden, import_golden

SUNG = ("5b_lyrics", "1b_lyrics")
CLOSE = {"atol": 2e-4, "rtol": 0.0}


@pytest.fixture(scope="module")
def imported(tmp_path_factory, registry) -> dict[str, Golden]:
    models = tmp_path_factory.mktemp("models")
    return {name: import_golden(name, models, registry) for name in VARIANTS}


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
    theirs = torch.cat(
        [logits[..., prior.codebook_size :], logits[..., : prior.codebook_size]], dim=2
    )
    torch.testing.assert_close(theirs, golden[f"prior.{level}.logits"], **CLOSE)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_drawn_in_half_precision_are_near(golden, level):
    """Large models are drawn so; the original program drew all of them so."""
    prior = load_prior(golden.model, level, golden.registry, CPU, "fp16")
    conditions, tokens = golden.conditions(level), golden[f"prior.{level}.z"]
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :0], conditions, caches)
    total = prior.config.context_length
    steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(total)]
    logits = torch.stack(steps, dim=1)
    ours = torch.cat(
        [logits[..., prior.codebook_size :], logits[..., : prior.codebook_size]], dim=2
    )
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
    frames, letters = prior.config.context_length, lyrics["n_tokens"]
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
    first = prior.config.context_length // 3 if given == "a third" else 0
    tokens = golden[f"prior.{level}.z"].clone()
    caches = prior.make_caches(len(tokens), conditions)
    prior.prefill(tokens[:, :first], conditions, caches)
    for n in range(first, prior.config.context_length):
        tokens[:, n] = prior.step(tokens[:, n - 1], n, conditions, caches).argmax(1)
    assert torch.equal(torch.where(tokens < prior.codebook_size, tokens, 0), wanted)


@torch.inference_mode()
def test_the_alignment_layer_looks_at_the_same_letters(sung):
    layer, head = sung.model.fitted_conditioners(2)["lyrics"]["alignment_head"]
    assert head == sung.info["priors"][2]["alignment_head"]
    looks = sung.priors[2].attention_weights(sung["prior.2.z"], sung.conditions(2), layer)
    torch.testing.assert_close(looks, sung["alignment"], **CLOSE)


def whole_song(golden: Golden, config: RunConfig, item: int, num_primed: int) -> ItemSpec:
    """An item of the golden data, that begins with so many samples of a recording."""
    samples = golden.info["sample_length"]
    spec = new_item(golden.model, config, samples, golden.song(item))
    if not num_primed:
        return spec
    prompt = replace(spec.segments[0], prompt=Prompt("", num_primed))
    return ItemSpec(num_primed, (prompt,)).extended(samples)


@pytest.mark.parametrize("given", ["ancestral", "primed"])
def test_a_whole_song_is_equal_token_for_token(golden, tmp_path, given):
    """All levels, window after window, through the very commands' code."""
    codec = golden.model.config.vqvae
    hop = tuple(golden.info["hop_fraction"])
    knobs = ({"greedy": True},) * len(LEVELS)
    want = Request(str(golden.model.path), 1.0, (0, 1), 0, {}, hop, knobs)
    config = new_config(golden.model, golden.registry, want)
    num_primed = golden.info["prime_samples"] if given == "primed" else 0
    specs = {item: whole_song(golden, config, item, num_primed) for item in (0, 1)}
    job = Job(Run(tmp_path / "run"), golden.model, golden.registry, (0, 1), config, specs)
    for item, spec in specs.items():
        job.run.write_item(item, spec)
    for level in LEVELS:
        first = num_primed // codec.hop_lengths[level]
        for item in (0, 1):
            tokens = golden[f"z.{level}"][item, :first].numpy()
            job.run.write_tokens(level, item, tokens, codec)
    for level in reversed(LEVELS):
        sample_level(job, level)
        for item in (0, 1):
            made = job.run.read_tokens(level, item)
            assert made is not None
            np.testing.assert_array_equal(made, golden[f"{given}.{level}"][item].numpy())


def test_lyrics_are_spelled_and_cut_as_they_were(sung):
    """The letters of the window, after the other labels."""
    labels = sung["prior.2.y"]
    lyrics = load_conditioners(sung.model, 2, sung.registry)["lyrics"]
    start, length = labels[0, 1:3].tolist()
    window = Window(start, length, sung.info["sample_length"])
    shape = prior_shape(sung.model.config, 2)
    for item in (0, 1):
        row = lyrics.encode(sung.song(item), window, shape)["ids"]
        np.testing.assert_array_equal(row, labels[item, -len(row) :].numpy())
