"""A prior of a model's folder with the engine that samples it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from jukebox_cli.engine import library, loader
from jukebox_cli.engine.engines import TorchEngine
from jukebox_cli.engine.loader import available_cores, load_codec, load_engine, torch_threads
from jukebox_cli.engine.native import NativeEngine, NativeWindow
from jukebox_cli.engine.native_codec import NativeCodec
from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.model import loader as model_loader
from jukebox_cli.model.codec import TorchCodec
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning, arrays_to_device
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.engines import native_steps, needs_native_engine, pack, torch_steps
from support.results import refusal
from support.tiny_model import make_tiny

CPU = torch.device("cpu")
PRECISIONS = ("fp32", "fp16", "int8")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Torch has two threads."""
    with torch_threads(2):
        yield


def conditions_of(model: Model, level: int, batch: int = 2) -> Conditioning:
    width = model.config.priors[level].width
    return Conditioning(start=torch.randn(batch, width), per_token=torch.randn(batch, 64, width))


TOKENS = torch.arange(2 * 10).reshape(2, 10)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_torch_gets_the_prior_in_the_precision(
    precision: str, tiny: Model, registry: Registry
) -> None:
    loaded = load_engine(tiny, 1, registry, CPU, ComputeSettings("torch", precision))
    assert isinstance(loaded.engine, TorchEngine)
    assert loaded.engine.prior is loaded.prior
    expected = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    assert next(iter(loaded.prior.transformer.layer_list())).mlp_in.weight.dtype == expected


@needs_native_engine
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_native_engine_packs_the_stored_weights(
    level: int, precision: str, tiny: Model, registry: Registry
) -> None:
    loaded = load_engine(tiny, level, registry, CPU, ComputeSettings("native", precision))
    assert isinstance(loaded.engine, NativeEngine)
    conditions = conditions_of(tiny, level)
    expected = pack(load_prior(tiny, level, registry, CPU, "fp32"), precision)
    logits = native_steps(loaded.engine.weights, conditions, TOKENS)
    assert torch.equal(logits, native_steps(expected, conditions, TOKENS))


@needs_native_engine
def test_conditions_are_those_of_torch_and_the_transformer_is_freed(
    tiny: Model, registry: Registry
) -> None:
    native, plain = (
        load_engine(tiny, 0, registry, CPU, ComputeSettings(engine, "fp32")).prior
        for engine in ("native", "torch")
    )
    assert all(parameter.is_meta for parameter in native.transformer.parameters())
    shape, window = prior_shape(tiny.config, 0), Window(0, 256, 8000)
    conditioners = load_conditioners(tiny, 0, registry)
    arrays = encode_window(conditioners, [{"artist": "Bo Marsh"}], window, shape)
    tensors = arrays_to_device(arrays, CPU)
    upper_tokens = torch.arange(32)[None]
    found, expected = (prior.condition(tensors, upper_tokens) for prior in (native, plain))
    for field in ("start", "per_token"):
        a, b = getattr(found, field), getattr(expected, field)
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)


@needs_native_engine
def test_weights_that_are_stored_as_fp16_have_the_logits_of_fp32(
    registry: Registry, tmp_path: Path
) -> None:
    model = make_tiny(tmp_path / "tiny", registry)
    path = model.weights("prior-2")
    weights = {name: tensor.half() for name, tensor in load_tensors(path).items()}
    path.unlink()
    save_tensors(path, weights)
    conditions = conditions_of(model, 2)
    reference = load_prior(model, 2, registry, CPU, "fp32")
    logits = {}
    for precision in ("fp16", "fp32"):
        loaded = load_engine(model, 2, registry, CPU, ComputeSettings("native", precision))
        assert isinstance(loaded.engine, NativeEngine)
        logits[precision] = native_steps(loaded.engine.weights, conditions, TOKENS)
        assert loaded.prior.token_embedding.weight.dtype == torch.float32
    assert torch.equal(logits["fp16"], logits["fp32"])
    expected = torch_steps(reference, conditions, TOKENS)
    torch.testing.assert_close(logits["fp16"], expected, rtol=1e-4, atol=1e-3)


@needs_native_engine
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_small_prior_gets_one_thread_and_a_large_one_those_of_torch(
    engine: str, tiny: Model, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ComputeSettings(engine, "fp32")
    assert load_engine(tiny, 0, registry, CPU, settings).num_threads == 1
    monkeypatch.setattr(model_loader, "LARGE_PARAMETERS", 1000)
    assert load_engine(tiny, 0, registry, CPU, settings).num_threads == 2


@needs_native_engine
def test_a_window_may_outlive_what_was_loaded(tiny: Model, registry: Registry) -> None:
    def open_window() -> NativeWindow:
        loaded = load_engine(tiny, 2, registry, CPU, ComputeSettings("native", "fp16"))
        assert isinstance(loaded.engine, NativeEngine)
        return loaded.engine.open_window(conditions_of(tiny, 2), TOKENS.clone(), 2, 5, 5)

    assert open_window().logits(5).isfinite().all()


@needs_native_engine
@pytest.mark.parametrize("engine", ["native", "torch"])
def test_weights_that_are_missing_or_do_not_fit_are_an_error(
    engine: str, registry: Registry, tmp_path: Path
) -> None:
    model, settings = make_tiny(tmp_path / "tiny", registry), ComputeSettings(engine, "fp32")
    path = model.weights("prior-0")
    weights = load_tensors(path)
    path.unlink()
    message, _ = refusal(load_engine, model, 0, registry, CPU, settings)
    assert message == "model 'tiny' has no prior for level 0"
    save_tensors(path, {**weights, "other": torch.zeros(1)})
    message, hint = refusal(load_engine, model, 0, registry, CPU, settings)
    assert message.startswith("the weights of model 'tiny' do not fit: ")
    assert hint == "its config.yaml and its weights are not of one model"


@needs_native_engine
def test_the_codec_gets_the_engine_and_threads(
    tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "available_cores", lambda: 3)
    codec = load_codec(tiny, CPU, "native")
    assert isinstance(codec, NativeCodec)
    assert (codec.engine, codec.device, codec.num_threads) == ("native", CPU, 3)
    codec = load_codec(tiny, CPU, "auto", 2)
    assert isinstance(codec, NativeCodec) == library.has_fast_kernels()
    assert not isinstance(codec, NativeCodec) or codec.num_threads == 2
    codec = load_codec(tiny, CPU, "torch")
    assert isinstance(codec, TorchCodec)
    assert (codec.engine, codec.device) == ("torch", CPU)


@pytest.mark.usefixtures("no_native_engine")
def test_without_the_native_engine_torch_computes_the_codec(tiny: Model) -> None:
    assert isinstance(load_codec(tiny, CPU), TorchCodec)
    message, _ = refusal(load_codec, tiny, CPU, "native")
    assert message == "the native engine is not installed"


def test_threads_are_given_back() -> None:
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyboardInterrupt), torch_threads(1):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2


def test_available_cores_are_those_of_the_process_unless_the_environment_says_fewer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 4}, raising=False)
    assert available_cores() == 3
    for value, expected in (("2", 2), ("8", 3), ("", 3), ("all", 3)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert loader.available_cores() == expected
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, expected in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda found=count: found)
        assert available_cores() == expected
