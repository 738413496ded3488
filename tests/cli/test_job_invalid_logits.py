"""Logits that are not finite stop a command before their token is written, and lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nan

from jukebox_cli.model import loader
from jukebox_cli.model.prior import Prior
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.command_line import Jukebox
from support.run_files import all_tokens

HINT = "its weights are damaged, or its training diverged: restore them, or train the prior again"

WAYS = {
    "native": ("--engine", "native"),
    "torch": ("--engine", "torch"),
    "slices": ("--parallel", 2),
    "stream": ("--stream", "pcm", "--items", 1),
}


def diverge(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Makes the logits of the last position of a window NaN, at levels of as many conditioners."""
    load_weights = loader.load_weights

    def load(module: Any, *words: Any) -> None:
        load_weights(module, *words)
        if isinstance(module, Prior) and len(module.conditioners) == width:
            with torch.no_grad():
                module.position_embedding.data = module.position_embedding.data.clone()
                module.position_embedding.data[63] = nan

    monkeypatch.setattr(loader, "load_weights", load)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [0, 2])
def test_no_token_of_invalid_logits_is_written(
    level: int,
    way: str,
    tmp_path: Path,
    tiny: Model,
    jukebox: Jukebox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def generate(out: str) -> Any:
        words = ("--model", tiny.path, "--seconds", 0.3, "--items", 2, *WAYS[way], "--quiet")
        return jukebox("generate", *words, "--out", tmp_path / out)

    with monkeypatch.context() as patch:
        diverge(patch, {0: 1, 2: 3}[level])
        result = generate("run")
    assert result.code == 2
    message, _, hint = result.err.partition("\n\n")
    expected = "error: the prior returned logits with NaN for token "
    assert message.splitlines()[-1].startswith(expected)
    assert message.endswith(f"of item 0 at level {level}")
    assert hint == f"hint: {HINT}\n"
    run = Run(tmp_path / "run")
    assert all(run.num_tokens(level, item) < 64 for item in run.items())
    assert generate("run").code == 0
    assert generate("whole").code == 0
    assert all_tokens(tmp_path / "run") == all_tokens(tmp_path / "whole")
