"""Numbers beyond all models are refused, with their bounds."""

from __future__ import annotations

import re
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.config.bounds import require_between, require_dilation, require_width
from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.config.yaml_files import load_config
from support.results import refusal


@pytest.mark.parametrize("number", [0, 11, -1, inf, nan])
def test_a_number_outside_its_bounds_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match=f"^x must be from 1 to 10, not {number:g}$"):
        require_between("x", number, 1, 10)
    require_between("x", 1, 1, 10)
    require_between("x", 10, 1, 10)


def test_a_ratio_without_a_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="x must give 1 to 131072 channels, not 0"):
        require_width("x", 10, 0.01)
    with pytest.raises(ValueError, match="x must be from 0 to 1024, not inf"):
        require_width("x", 10, inf)
    require_width("x", 10, 0.1)


def test_a_dilation_without_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="dilation_growth_rate 3 is too large for 100 blocks"):
        require_dilation(3, None, 100)
    require_dilation(3, 8, 100)
    require_dilation(1, None, 100)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sample_rate": 10**7}, "sample_rate must be from 1 to 1000000, not 1e+07"),
        ({"embedding_dim": 10**6}, "embedding_dim must be from 1 to 131072, not 1e+06"),
        ({"widths": (8, 8, 10**9)}, "widths must be from 1 to 131072, not 1e+09"),
        ({"depths": (8, 8, 10**9)}, "depths must be from 1 to 4096, not 1e+09"),
        (
            {"decoder_widths": (8, 8, 10**9)},
            "decoder_widths must be from 1 to 131072, not 1e+09",
        ),
        ({"decoder_depths": (8, 0, 8)}, "decoder_depths must be from 1 to 4096, not 0"),
        ({"hidden_ratio": -1.0}, "hidden_ratio must be from 0 to 1024, not -1"),
        ({"dilation_cycle": 0}, "dilation_cycle must be from 1 to 4096, not 0"),
        ({"dilation_growth_rate": 0}, "dilation_growth_rate must be from 1 to 4096, not 0"),
        ({"strides": ((2,) * 30, (2,), (2,))}, "strides must have a product of at most 16777216"),
        (
            {"strides": (), "widths": (), "depths": ()},
            "levels of strides must be from 1 to 16, not 0",
        ),
    ],
)
def test_an_impossible_codec_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        VQVAEConfig(**fields)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PriorConfig, {"width": 2**18}, "width must be from 1 to 131072, not 262144"),
        (PriorConfig, {"depth": 5000}, "depth must be from 1 to 4096, not 5000"),
        (PriorConfig, {"depth": 2**40}, "depth must be from 1 to 4096, not 1.09951e+12"),
        (PriorConfig, {"mlp_ratio": 0.0}, "mlp_ratio must give 1 to 131072 channels, not 0"),
        (PriorConfig, {"attention_ratio": nan}, "attention_ratio must be from 0 to 1024, not nan"),
        (
            PriorConfig,
            {"context_length": 2**25},
            "context_length must be from 1 to 16777216, not 3.35544e+07",
        ),
        (
            PriorConfig,
            {"residual_scale_depth": 0},
            "residual_scale_depth must be from 1 to 4096, not 0",
        ),
        (UpsamplerConditionerConfig, {"depth": 0}, "depth must be from 1 to 4096, not 0"),
        (UpsamplerConditionerConfig, {"width": 0}, "width must be from 1 to 131072, not 0"),
        (
            UpsamplerConditionerConfig,
            {"embedding_dim": 0},
            "embedding_dim must be from 1 to 131072, not 0",
        ),
    ],
)
def test_an_impossible_prior_is_refused(kind: type, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kind(**fields)


def test_a_number_that_is_not_finite_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("vqvae:\n  hidden_ratio: .nan\n")
    message = f"{path}:2: vqvae.hidden_ratio: must be a number"
    assert refusal(load_config, ModelConfig, path) == (message, "correct that value")
