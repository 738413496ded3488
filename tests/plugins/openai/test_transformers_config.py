"""Settings of the port that can not be imported."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from support.originals import (
    write_port,
)
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def prior(**change: Any) -> dict[str, Any]:
    return {"prior_config_list": [{"nb_relevant_lyric_tokens": 0, **change}]}


PATTERNS = (
    "full_dense_attention, raw_column_previous_row_attention, large_separated_enc_dec_w_lyrics, "
    "enc_dec_with_lyrics"
)


@pytest.mark.parametrize(
    ("change", "error", "hint"),
    [
        ({"model_type": "bert"}, " is of a model of type 'bert'", "its model_type must be jukebox"),
        ({"nb_priors": 0}, " has 0 priors for 1 levels", "a model needs one for each"),
        (
            {"vqvae_config": {"levels": 1, "conv_res_scale": True}},
            " has a VQ-VAE with conv_res_scale, which is not known here",
            "only models made like the published ones can be imported",
        ),
        (prior(act_fn="relu"), ": activation 'relu' is not known here", "known is quick_gelu"),
        (
            prior(attention_pattern="mine"),
            ": attention pattern 'mine' is not known here",
            f"known are {PATTERNS}",
        ),
    ],
)
def test_unknown_settings_of_the_port_are_errors(
    change: dict[str, Any], error: str, hint: str, refused: Refused
) -> None:
    write_port(**change)
    refused("port", error=f"port/config.json{error}", hint=hint)


def test_a_charset_with_missing_ids_is_an_error(refused: Refused) -> None:
    folder = write_port()
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps({"lyrics": {"a": 1, "b": 3}}))
    error = "port/vocab.json is damaged: ValueError: its characters do not have the ids 1 to 2"
    refused("port", error=error, hint="restore it from a copy, or make it again")
