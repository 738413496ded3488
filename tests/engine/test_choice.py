"""Which engine and precision are chosen, and what is not possible."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from jukebox_cli.engine import library
from jukebox_cli.engine.choice import choose_settings
from jukebox_cli.model import loader
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.segments import ComputeSettings
from support.command_line import Jukebox
from support.results import Result, refusal

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))
NOT_INSTALLED = (
    "the native engine is not installed",
    "install jukebox-cli again where there is a C++ compiler, or use --engine torch",
)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes a machine that has such kernels."""

    def install(*names: str) -> None:
        monkeypatch.setattr(library, "kernel_names", lambda: names)

    return install


@pytest.fixture(autouse=True)
def fast_kernels(kernels: Callable[..., None]) -> None:
    kernels("avx2", "plain")


@pytest.fixture(params=[torch.float32, torch.float16], ids=["fp32", "fp16"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """What the weights are stored as."""
    found: torch.dtype = request.param
    return found


@pytest.fixture
def weights(tmp_path: Path, dtype: torch.dtype) -> Path:
    """A weight file."""
    return write_weights(tmp_path, dtype, dtype)


def write_weights(folder: Path, *dtypes: torch.dtype) -> Path:
    path = folder / "weights.safetensors"
    tensors = {str(i): torch.zeros(3, 4, dtype=dtype) for i, dtype in enumerate(dtypes)}
    save_file(tensors, path)
    return path


def test_a_cpu_with_fast_kernels_gets_the_native_engine_with_the_stored_precision(
    weights: Path, dtype: torch.dtype
) -> None:
    expected = "fp16" if dtype == torch.float16 else "fp32"
    assert choose_settings(weights, CPU) == ComputeSettings("native", expected)


def test_weights_of_which_a_part_is_fp32_lose_nothing(tmp_path: Path) -> None:
    path = write_weights(tmp_path, torch.float16, torch.float32)
    assert choose_settings(path, CPU) == ComputeSettings("native", "fp32")


@pytest.mark.parametrize("engine", ["native", "torch"])
def test_a_large_prior_is_fp16_as_in_the_original_program(
    engine: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "LARGE_PARAMETERS", 24)
    assert choose_settings(weights, CPU, engine) == ComputeSettings(engine, "fp16")


@pytest.mark.parametrize("names", [("plain",), ()])
def test_a_cpu_without_fast_kernels_gets_torch(
    names: tuple[str, ...], weights: Path, kernels: Callable[..., None]
) -> None:
    kernels(*names)
    assert choose_settings(weights, CPU) == ComputeSettings("torch", "fp32")


def test_plain_kernels_can_be_asked_for(weights: Path, kernels: Callable[..., None]) -> None:
    kernels("plain")
    assert choose_settings(weights, CPU, "native", "int8") == ComputeSettings("native", "int8")


@pytest.mark.parametrize("engine", ["auto", "native"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_precision_of_the_native_engine_can_be_asked_for(
    engine: str, precision: str, weights: Path
) -> None:
    assert choose_settings(weights, CPU, engine, precision) == ComputeSettings("native", precision)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_torch_can_be_asked_for(precision: str, weights: Path) -> None:
    chosen = choose_settings(weights, CPU, "torch", precision)
    assert chosen == ComputeSettings("torch", precision)
    assert choose_settings(weights, CPU, "torch") == ComputeSettings("torch", "fp32")


@pytest.mark.parametrize("engine", ["auto", "torch"])
def test_a_gpu_gets_torch(engine: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for has_bfloat16, expected in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda found=has_bfloat16: found)
        assert choose_settings(weights, CUDA, engine) == ComputeSettings("torch", expected)
    assert choose_settings(weights, MPS, engine) == ComputeSettings("torch", "fp32")
    assert choose_settings(weights, CUDA, engine, "bf16") == ComputeSettings("torch", "bf16")


# what is not possible


@pytest.mark.parametrize("device", [CUDA, MPS])
def test_the_native_engine_computes_on_a_cpu_only(device: torch.device, weights: Path) -> None:
    assert refusal(choose_settings, weights, device, "native") == (
        f"the native engine computes on a CPU, not on {device}",
        "use --engine torch, or --device cpu",
    )


def test_the_native_engine_must_be_installed(weights: Path, kernels: Callable[..., None]) -> None:
    kernels()
    assert refusal(choose_settings, weights, CPU, "native") == NOT_INSTALLED


@pytest.mark.parametrize("engine", ["auto", "native", "torch"])
def test_a_cpu_has_no_bf16(engine: str, weights: Path) -> None:
    assert refusal(choose_settings, weights, CPU, engine, "bf16") == (
        "a CPU samples in fp32, fp16 or int8, not in bf16",
        "use --precision fp16",
    )


@pytest.mark.parametrize(
    ("device", "engine"), [(CPU, "torch"), (CUDA, "auto"), (CUDA, "torch"), (MPS, "auto")], ids=str
)
def test_only_the_native_engine_has_int8(device: torch.device, engine: str, weights: Path) -> None:
    error = ("only the native engine has int8", "use --precision fp16")
    assert refusal(choose_settings, weights, device, engine, "int8") == error


@pytest.mark.parametrize(
    ("words", "names", "error"),
    [
        (("--engine", "native"), (), "error: {}\n\nhint: {}\n".format(*NOT_INSTALLED)),
        (
            ("--engine", "torch", "--precision", "int8"),
            ("avx2", "plain"),
            "error: only the native engine has int8\n\nhint: use --precision fp16\n",
        ),
        (
            ("--precision", "int8"),
            (),
            "error: only the native engine has int8\n\nhint: use --precision fp16\n",
        ),
        (
            ("--engine", "native", "--precision", "bf16"),
            ("avx2", "plain"),
            "error: a CPU samples in fp32, fp16 or int8, not in bf16\n\n"
            "hint: use --precision fp16\n",
        ),
    ],
)
def test_the_command_line_says_so_before_anything_is_written(
    words: tuple[str, ...],
    names: tuple[str, ...],
    error: str,
    kernels: Callable[..., None],
    here: Path,
    tiny: Model,
    jukebox: Jukebox,
) -> None:
    kernels(*names)
    options = ("--model", tiny.path, "--seconds", 0.1, "--device", "cpu", "--out", "run")
    assert jukebox("generate", *options, *words) == Result(2, "", error)
    assert not Path("run").exists()
