"""Training decoders with discriminators: what changes and what does not, resuming, and learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox_cli.config.schema import DecoderSize
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.devices import pick_device
from jukebox_cli.model.loader import load_vqvae
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.train.adversarial import AdversarialSettings, AdversarialTask, balanced_loss
from jukebox_cli.train.crops import Crops
from jukebox_cli.train.trainer import evaluate, train
from jukebox_cli.train.vqvae import VQVAETask
from support.training import (
    CONFIG,
    InterruptedTask,
    PowerFailure,
    fail,
    losses,
    new_model,
    training_result,
)

SETTINGS = AdversarialSettings(start=2, batch_size=2)


def trained_model(path: Path, sounds: list[Path]) -> Model:
    """A model whose level 0 is trained for two steps."""
    model = new_model(path)
    crops = Crops.from_files(sounds[:2], 512, 8000, seed=1)
    train(VQVAETask(model.config.vqvae, 0, crops, None), model, replace(CONFIG, steps=2))
    return model


@pytest.fixture
def trained(tmp_path: Path, sounds: list[Path]) -> Model:
    return trained_model(tmp_path / "trained", sounds)


def make(
    model: Model,
    sounds: list[Path],
    settings: AdversarialSettings = SETTINGS,
    size: DecoderSize | None = None,
    is_new: bool = False,
) -> AdversarialTask:
    """A new task, as another process would make it."""
    crops = Crops.from_files(sounds[:2], 512, 8000, seed=1)
    held_out = Crops.from_files(sounds[2:], 512, 8000, seed=2)
    return AdversarialTask(model, 0, crops, held_out, settings, size=size, is_new=is_new)


def is_same(task: AdversarialTask, other: AdversarialTask) -> bool:
    pairs = zip(task.module.decoder.parameters(), other.module.decoder.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_encoder_and_codebook_are_unchanged_to_the_bit_and_the_decoder_is_not(
    trained: Model, sounds: list[Path]
) -> None:
    path, fingerprint = trained.weights("vqvae-0"), trained.fingerprint()
    before = {name: tensor.clone() for name, tensor in load_tensors(path).items()}
    train(make(trained, sounds), trained, CONFIG)
    after = load_tensors(path)
    assert after.keys() == before.keys()
    for name, tensor in after.items():
        same = tensor.dtype == before[name].dtype and torch.equal(tensor, before[name])
        assert same is not name.startswith("decoder."), name
    assert trained.fingerprint() == fingerprint
    assert not trained.weights("decoder-0").exists()


def test_weights_of_another_precision_are_kept_as_they_are(
    trained: Model, sounds: list[Path]
) -> None:
    path = trained.weights("vqvae-0")
    save_tensors(path, {n: t.float() + 1e-6 for n, t in load_tensors(path).items()})
    before = {name: tensor.clone() for name, tensor in load_tensors(path).items()}
    train(make(trained, sounds), trained, replace(CONFIG, steps=1))
    for name, tensor in load_tensors(path).items():
        assert name.startswith("decoder.") or torch.equal(tensor, before[name])


def test_the_moving_average_is_exported(trained: Model, sounds: list[Path]) -> None:
    task = make(trained, sounds)
    train(task, trained, CONFIG)
    stored = load_tensors(trained.weights("vqvae-0"))
    for name, average in task.module.average.state_dict().items():
        assert torch.equal(stored[f"decoder.{name}"], average.half())
    raw = task.module.decoder.state_dict()
    assert any(not torch.equal(stored[f"decoder.{n}"], t.half()) for n, t in raw.items())


def test_the_moving_average_follows_the_weights(trained: Model, sounds: list[Path]) -> None:
    module = make(trained, sounds).module
    average, weights = module.average.out.weight, module.decoder.out.weight
    start = average.detach().clone()
    with torch.no_grad():
        weights.add_(1)
    module.update_average(0)
    torch.testing.assert_close(average - start, torch.full_like(average, 0.9))
    module.update_average(100_000)
    torch.testing.assert_close(average - start, torch.full_like(average, 0.9001))


@pytest.mark.parametrize("step", [0, 2, 3])
def test_a_killed_run_resumes_with_the_same_losses_and_files(
    trained: Model, sounds: list[Path], tmp_path: Path, step: int
) -> None:
    other = trained_model(tmp_path / "other", sounds)
    train(make(other, sounds), other, CONFIG)
    with pytest.raises(PowerFailure):
        train(InterruptedTask(make(trained, sounds), step, fail), trained, CONFIG)
    train(make(trained, sounds), trained, CONFIG)
    assert list(losses(trained)) == [1, 2, 3, 4, 5]
    assert training_result(trained, "decoder-0", "vqvae-0") == training_result(
        other, "decoder-0", "vqvae-0"
    )


def test_stages_come_in_as_the_settings_say(trained: Model, sounds: list[Path]) -> None:
    settings = replace(SETTINGS, start=3)
    assert settings.discriminator_start == 2
    train(make(trained, sounds, settings), trained, CONFIG)
    rows = [r for r in read_jsonl(trained.log) if r["component"] == "decoder-0" and "loss" in r]
    learns = [row["step"] for row in rows if "discriminator_loss" in row]
    counts = [row["step"] for row in rows if "adversarial_loss" in row]
    assert (learns, counts) == ([3, 4, 5], [4, 5])
    assert {"discriminator_grad_norm", "grad_norm", "feature_loss"} <= rows[-1].keys()


def test_the_loss_is_the_weighted_sum_of_its_terms(trained: Model, sounds: list[Path]) -> None:
    settings = AdversarialSettings(0, 2, 0.5, 0.25, 0.125, 2.0)
    task = make(trained, sounds, settings)
    of_discriminators, of_decoder = task.losses(0, task.batch_source(0))
    assert of_discriminators.prefix == "discriminator_"
    terms = of_decoder.metrics
    expected = (
        0.5 * terms["multi_resolution_log_mel_loss"]
        + 0.25 * (terms["spectral_loss"] + terms["waveform_loss"])
        + 0.125 * terms["adversarial_loss"]
        + 2.0 * terms["feature_loss"]
    )
    torch.testing.assert_close(of_decoder.loss.detach(), expected)


def test_gradients_are_balanced() -> None:
    weight = torch.tensor([3.0, 4.0], requires_grad=True)
    decoded = 2 * weight
    first, steep, flat = 2 * decoded[0], 1e6 * decoded[1], 1e-6 * decoded.sum()
    loss = balanced_loss(decoded, first, [steep, flat], [0.5, 0.25])
    torch.testing.assert_close(loss, (first + 0.5 * steep + 0.25 * flat).detach())
    loss.backward()
    half = 0.25 * 2 * 0.5**0.5  # of the gradient of 0.25 times the norm of the first
    expected = 2 * torch.tensor([2 + half, 1 + half])  # through `decoded`
    torch.testing.assert_close(weight.grad, expected)


def test_a_loss_without_a_gradient_does_no_harm() -> None:
    decoded = 2 * torch.ones(2, requires_grad=True)
    nothing = 0 * decoded.sum()
    assert balanced_loss(decoded, decoded.sum(), [nothing], [1.0]).item() == 4


def parts_with_gradient(task: AdversarialTask) -> Iterator[set[str]]:
    """For each loss, the parts of the module that it gives a gradient."""
    for stage in task.losses(0, task.batch_source(0)):
        task.module.zero_grad()
        stage.loss.backward()
        named = task.module.named_parameters()
        yield {name.split(".")[0] for name, p in named if p.grad is not None}


def test_each_loss_updates_its_own_networks(trained: Model, sounds: list[Path]) -> None:
    task = make(trained, sounds, replace(SETTINGS, start=0))
    assert list(parts_with_gradient(task)) == [{"discriminators"}, {"decoder"}]
    weights = [*task.encoder.parameters(), *task.codebook.parameters()]
    assert all(weight.grad is None for weight in weights)


def test_figures_of_held_out_songs(trained: Model, sounds: list[Path]) -> None:
    task = make(trained, sounds)
    metrics = evaluate(task, trained, 0)
    names = ["spectral_convergence_db", "log_mel_loss", "multi_resolution_log_mel_loss"]
    assert list(metrics) == names
    with torch.no_grad():
        task.module.average.out.weight.zero_()
        assert task.module.average.out.bias is not None
        task.module.average.out.bias.zero_()
    assert task.evaluate()["spectral_convergence_db"] == pytest.approx(0, abs=0.05)
    task.held_out_crops = None
    assert task.evaluate() == {}


def test_a_larger_decoder_begins_as_the_trained_one_and_is_written_with_its_config(
    trained: Model, sounds: list[Path]
) -> None:
    before = make(trained, sounds).evaluate()
    task = make(trained, sounds, size=DecoderSize(20, 2))
    assert task.evaluate() == pytest.approx(before, abs=1e-3)
    assert trained.config.vqvae.decoder_sizes[0] == (8, 1)
    fingerprint = trained.fingerprint()
    train(task, trained, CONFIG)
    sizes = Model(trained.path).config.vqvae.decoder_sizes
    assert sizes == ((20, 2), (8, 1))
    assert Model(trained.path).fingerprint() == fingerprint
    save_tensors(trained.weights("vqvae-1"), _level_1(trained))
    network = load_vqvae(trained, pick_device("cpu")).level(0).decoder
    stored = network.state_dict()
    exported = task.module.average.state_dict()
    assert all(torch.equal(stored[name], exported[name].half().float()) for name in exported)


def _level_1(model: Model) -> dict[str, torch.Tensor]:
    crops = Crops((), (), 512, 8000)
    return VQVAETask(model.config.vqvae, 1, crops, None).export()


def test_a_larger_decoder_that_was_stopped_is_resumed(trained: Model, sounds: list[Path]) -> None:
    size = DecoderSize(20, 2)
    with pytest.raises(PowerFailure):
        train(InterruptedTask(make(trained, sounds, size=size), 3, fail), trained, CONFIG)
    trained.change_config(  # as if it had been killed before the config was written
        lambda config: replace(config, vqvae=config.vqvae.with_decoder(0, DecoderSize(8, 1)))
    )
    train(make(trained, sounds, size=size), trained, CONFIG)
    assert list(losses(trained)) == [1, 2, 3, 4, 5]
    assert trained.config.vqvae.decoder_sizes[0] == size


def test_a_new_decoder_begins_with_random_weights(trained: Model, sounds: list[Path]) -> None:
    assert is_same(make(trained, sounds), make(trained, sounds))
    assert is_same(make(trained, sounds, is_new=True), make(trained, sounds, is_new=True))
    assert not is_same(make(trained, sounds, is_new=True), make(trained, sounds))


def test_a_level_that_was_not_trained_is_refused(model: Model, sounds: list[Path]) -> None:
    with pytest.raises(InputError) as caught:
        make(model, sounds)
    assert caught.value.message == "model 'model' has no vqvae for level 0"
    assert caught.value.hint == "train one with `jukebox train vqvae --level 0`"


def test_a_decoder_learns(trained: Model, sounds: list[Path]) -> None:
    settings = AdversarialSettings(start=15, batch_size=2)
    task = make(trained, sounds, settings)
    before = evaluate(task, trained, 0)
    config = replace(CONFIG, steps=25, learning_rate=5e-3, save_every=100)
    after = train(task, trained, config)
    key = "multi_resolution_log_mel_loss"
    assert after[key] < 0.8 * before[key]
