"""Models are found by name, and told apart by fingerprints."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from jukebox_cli.config.schema import DecoderSize, ModelConfig
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model, builtin_model_names, find_model, model_names
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.results import refusal
from support.run_files import edit
from support.tiny_model import make_tiny


def test_a_fingerprint_depends_on_the_codec_alone(tmp_path: Path, registry: Registry) -> None:
    model = make_tiny(tmp_path / "one", registry)
    other = Model(Path(shutil.copytree(model.path, tmp_path / "two")))
    assert other.fingerprint() == model.fingerprint()
    prior = other.weights("prior-0")
    save_tensors(prior, {name: t + 1 for name, t in load_tensors(prior).items()})
    other.write_fitted_conditioners(0, {})
    (other.path / "card.md").write_text("A card.")
    assert other.fingerprint() == model.fingerprint()

    codec = other.weights("vqvae-1")
    save_tensors(codec, {name: t + 1 for name, t in load_tensors(codec).items()})
    assert other.fingerprint() != model.fingerprint()


@pytest.mark.parametrize("part", ["encoder.blocks.0.0.bias", "codebook.vectors"])
def test_a_fingerprint_depends_on_encoders_and_codebooks_and_not_on_decoders(
    part: str, tmp_path: Path, registry: Registry
) -> None:
    model = make_tiny(tmp_path / "one", registry)
    before, path = model.fingerprint(), model.weights("vqvae-1")
    weights = load_tensors(path)
    decoder = {name: t + 1 for name, t in weights.items() if name.startswith("decoder.")}
    save_tensors(path, {**weights, **decoder, "decoder.more": torch.zeros(3)})
    model.change_config(
        lambda config: replace(config, vqvae=config.vqvae.with_decoder(1, DecoderSize(9, 9)))
    )
    assert model.config.vqvae.decoder_sizes[1] == (9, 9)
    assert model.fingerprint() == before
    save_tensors(path, {**weights, part: weights[part] + 1})
    assert model.fingerprint() != before


def test_the_fingerprint_of_damaged_weights_is_another(tmp_path: Path, registry: Registry) -> None:
    model = make_tiny(tmp_path / "one", registry)
    before = model.fingerprint()
    model.weights("vqvae-0").write_bytes(b"damaged")
    assert model.fingerprint() != before


def _with_decoder(level: int, config: ModelConfig) -> ModelConfig:
    return replace(config, vqvae=config.vqvae.with_decoder(level, DecoderSize(9, 9)))


def test_changes_of_the_config_by_others_are_kept(tmp_path: Path, registry: Registry) -> None:
    model = make_tiny(tmp_path / "one", registry)
    assert model.config.vqvae.decoder_sizes == ((8, 2),) * 3
    for level in (0, 2):  # by another process, which has another object
        Model(model.path).change_config(partial(_with_decoder, level))
    model.change_config(lambda config: replace(config, description="changed"))
    assert model.config.vqvae.decoder_sizes == ((9, 9), (8, 2), (9, 9))


def test_a_fingerprint_changes_with_the_shape_of_the_codec(
    tmp_path: Path, registry: Registry
) -> None:
    model = make_tiny(tmp_path / "one", registry)
    before = model.fingerprint()
    edit(model.path / "config.yaml", "sample_rate: 8000", "sample_rate: 16000")
    assert Model(model.path).fingerprint() != before


def test_a_model_is_found_by_path_by_name_and_among_the_built_in(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.path, tmp_path / "models" / "mine")
    assert find_model(str(tiny.path)).path == tiny.path
    assert find_model("mine").path == Path("models/mine")
    assert model_names() == sorted({"mine", *builtin_model_names()})
    assert all(find_model(name).exists for name in builtin_model_names())


def test_an_unknown_model_is_an_error(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.path, tmp_path / "models" / "piano")
    (tmp_path / "music").mkdir()
    assert refusal(find_model, "paino") == ("no model 'paino'", "did you mean 'piano'?")
    hint = "known are: mini, piano; `jukebox model import` brings in others"
    assert refusal(find_model, "openai-5b") == ("no model 'openai-5b'", hint)
    message = "music is not a model: it has no config.yaml"
    assert refusal(find_model, "music") == (message, "see `jukebox model list`")


@pytest.mark.parametrize("text", ['{"checksum": null}', '{"checksum": null, "conditioners": 3}'])
def test_a_damaged_file_of_conditioners_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "prior-2.json").write_text(text.replace("{", '{"format": 2, '))
    message, hint = refusal(Model(tmp_path).fitted_conditioners, 2)
    assert message.startswith(f"{tmp_path}/prior-2.json is damaged: ")
    assert hint == "restore it from a copy, or make it again"


def test_a_file_of_conditioners_of_format_1_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prior-2.json"
    path.write_text('{"format": 1, "conditioners": {}}')
    message, _ = refusal(Model(tmp_path).fitted_conditioners, 2)
    assert message == f"{path}: format 1 cannot be read, only format 2"


def test_the_fingerprint_of_a_prior_changes_with_its_weights(
    tmp_path: Path, registry: Registry
) -> None:
    model = make_tiny(tmp_path / "one", registry)
    before = model.prior_fingerprint(2)
    path = model.weights("prior-2")
    save_tensors(path, {name: t + 1 for name, t in load_tensors(path).items()})
    assert isinstance(before, str)
    assert model.prior_fingerprint(2) != before
    path.unlink()
    assert model.prior_fingerprint(2) is None
