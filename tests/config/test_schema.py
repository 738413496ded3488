"""Defaults and derived values of configs; their errors are tested with `yaml_files`."""

from __future__ import annotations

from typing import Any

import pytest

from jukebox_cli.config.schema import (
    DecoderSize,
    FormatError,
    ModelConfig,
    PriorConfig,
    SongPreset,
    VQVAEConfig,
    validate_format,
)


def test_hop_lengths_are_products_of_the_strides() -> None:
    assert VQVAEConfig().hop_lengths == (8, 32, 128)
    assert VQVAEConfig(strides=((4, 2), (2,)), widths=(8, 8), depths=(1, 1)).hop_lengths == (8, 16)


def test_decoders_are_as_large_as_encoders_unless_the_config_says_otherwise() -> None:
    config = VQVAEConfig(widths=(8, 6, 4), depths=(3, 2, 1))
    assert config.decoder_sizes == ((8, 3), (6, 2), (4, 1))
    other = config.with_decoder(1, DecoderSize(96, 5))
    assert other.decoder_sizes == ((8, 3), (96, 5), (4, 1))
    assert (other.widths, other.depths) == (config.widths, config.depths)
    assert other != config == other.without_decoders()


def test_default_configs_are_those_of_the_paper() -> None:
    assert (VQVAEConfig().sample_rate, VQVAEConfig().codebook_size) == (44100, 2048)
    assert (PriorConfig().context_length, PriorConfig().rows) == (8192, 128)


@pytest.mark.parametrize("number", [1, 3])
def test_only_one_format_is_read(number: int) -> None:
    with pytest.raises(FormatError, match=f"^format {number} cannot be read, only format 2$"):
        validate_format(number)
    for kind in (ModelConfig, SongPreset):
        with pytest.raises(FormatError):
            kind(format=number)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prefix_length": -1}, "prefix_length must be 0 or more, not -1"),
        (
            {"prefix_length": 3},
            r"prefix_length \+ context_length \(8195\) must be a multiple of rows \(128\)",
        ),
        ({"attention_patterns": ()}, "attention_patterns are .*, prefix, not none"),
        (
            {"added_conditioners": ("artist",)},
            "added_conditioners: 'artist' is not among the conditioners",
        ),
        (
            {"zero_projections": ("artist",)},
            "zero_projections: 'artist' is not among the conditioners",
        ),
        ({"depth": 2, "added_layers": (2,)}, "added_layers must be from 0 to 1"),
    ],
)
def test_an_invalid_prior_config_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        PriorConfig(**fields)


def test_a_window_is_a_whole_number_of_tokens_of_the_level_above() -> None:
    prior = PriorConfig(context_length=130, rows=1)
    message = "context_length of level 0 must be a multiple of 4, its tokens per token of level 1"
    with pytest.raises(ValueError, match=f"^{message}$"):
        ModelConfig(priors=(prior, PriorConfig()))
    ModelConfig(priors=(PriorConfig(), PriorConfig(), prior))
