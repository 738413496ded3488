"""Networks from a model's folder: on which device, in which precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model import devices
from jukebox_cli.model.devices import pick_precision
from jukebox_cli.model.linear import BatchInvariantLinear
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.results import Result
from support.run_files import all_tokens

CPU, CUDA, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))
Jukebox = Callable[..., Result]


@pytest.mark.parametrize(
    ("device", "large", "fast", "wanted"),
    [
        (CPU, False, True, torch.float32),
        (CPU, True, True, torch.float16),
        (CUDA, False, True, torch.bfloat16),
        (CUDA, True, False, torch.float16),
        (MPS, True, False, torch.float32),
    ],
)
def test_what_a_device_draws_in_by_itself(
    device: torch.device,
    large: bool,
    fast: bool,
    wanted: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "fast_bfloat16", lambda device: fast)
    assert pick_precision("auto", device, large) == wanted


def test_a_precision_can_be_chosen() -> None:
    assert pick_precision("fp32", CPU, large=True) == torch.float32
    assert pick_precision("fp16", CPU, large=False) == torch.float16
    assert pick_precision("bf16", CUDA, large=False) == torch.bfloat16
    with pytest.raises(InputError, match="a CPU draws in fp32 or fp16, not in bf16") as caught:
        pick_precision("bf16", CPU, large=True)
    assert caught.value.hint == "use --precision fp16"


def test_on_a_cpu_only_what_is_read_at_every_position_is_in_fp16(
    tiny: Model, registry: Registry
) -> None:
    prior = load_prior(tiny, 0, registry, CPU, "fp16")
    large = {id(part.weight) for part in prior.modules() if isinstance(part, BatchInvariantLinear)}
    kinds = {(id(p) in large, p.dtype) for p in prior.parameters()}
    assert kinds == {(True, torch.float16), (False, torch.float32)}


def test_a_song_is_drawn_in_the_precision_that_was_asked_for(
    tiny: Model, tmp_path: Path, jukebox: Jukebox
) -> None:
    make = ("generate", "--model", tiny.path, "--seconds", 0.2, "--items", 2, "--until", "tokens")
    for name, words in {
        "plain": (),
        "single": ("--precision", "fp32"),
        "half": ("--precision", "fp16"),
        "alone": ("--precision", "fp16", "--batch", 1),
    }.items():
        assert jukebox(*make, *words, "--out", tmp_path / name, "-q").code == 0
    tokens = {path.name: all_tokens(path) for path in tmp_path.iterdir() if path.is_dir()}
    assert tokens["plain"] == tokens["single"] != tokens["half"] == tokens["alone"]


def test_a_precision_that_a_cpu_has_not_is_refused_before_anything_is_written(
    tiny: Model, here: Path, jukebox: Jukebox
) -> None:
    words = ("--model", tiny.path, "--precision", "bf16", "--device", "cpu", "--out", "run")
    result = jukebox("generate", *words)
    error = "error: a CPU draws in fp32 or fp16, not in bf16\n\nhint: use --precision fp16\n"
    assert result == Result(2, "", error)
    assert not Path("run").exists()
