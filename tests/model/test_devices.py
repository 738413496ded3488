"""Devices and the floating-point types they sample in."""

from __future__ import annotations

import pytest
import torch

from jukebox_cli.model import devices
from jukebox_cli.model.devices import autocast, pick_device, pick_dtype
from support.results import refusal

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


def set_available(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)


@pytest.mark.parametrize(
    ("available", "expected"),
    [(("cuda", "mps"), CUDA), (("cuda",), CUDA), (("mps",), MPS), ((), CPU)],
)
def test_auto_is_the_first_available_device(
    available: tuple[str, ...], expected: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_available(monkeypatch, *available)
    assert pick_device("auto") == expected
    assert pick_device("cpu") == CPU


@pytest.mark.parametrize("name", ["cuda", "mps", "tpu"])
def test_a_device_that_is_not_available_is_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_available(monkeypatch)
    error = f"no device '{name}' on this machine"
    assert refusal(pick_device, name) == (error, "use --device auto or cpu")


@pytest.mark.parametrize(
    ("device", "large", "fast_bfloat16", "expected"),
    [
        (CPU, False, True, torch.float32),
        (CPU, True, True, torch.float16),
        (CUDA, False, True, torch.bfloat16),
        (CUDA, True, False, torch.float16),
        (MPS, True, False, torch.float32),
    ],
)
def test_auto_is_the_type_that_a_device_is_fast_at(
    device: torch.device,
    large: bool,
    fast_bfloat16: bool,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: fast_bfloat16)
    assert pick_dtype("auto", device, large) == expected


def test_a_precision_can_be_chosen() -> None:
    assert pick_dtype("fp32", CPU, large=True) == torch.float32
    assert pick_dtype("fp16", CPU, large=False) == torch.float16
    assert pick_dtype("bf16", CUDA, large=False) == torch.bfloat16


def test_a_precision_that_the_device_lacks_is_an_error() -> None:
    error = "a CPU samples in fp32, fp16 or int8, not in bf16"
    assert refusal(pick_dtype, "bf16", CPU, True) == (error, "use --precision fp16")


@pytest.mark.parametrize(
    ("precision", "fast_bfloat16", "expected"),
    [
        ("bf16", False, torch.bfloat16),
        ("auto", True, torch.bfloat16),
        ("auto", False, torch.float32),
        ("fp32", True, torch.float32),
    ],
)
def test_products_are_in_bfloat16_on_request_or_where_that_is_fast(
    precision: str,
    fast_bfloat16: bool,
    expected: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "has_fast_bfloat16", lambda device: fast_bfloat16)
    with autocast(CPU, precision):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == expected
