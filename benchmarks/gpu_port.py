"""The original program's transformer on a GPU, as jukebox-infer has it.

Only its sampling loop is measured, with random weights and conditions that need no computing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from gpu_shapes import STD, Shape
from published_sizes import VQVAE
from torch import Tensor, nn

from jukebox_cli.engine.machine import synchronize

#: Tokens that are sampled before the clock starts, and with it.
WARMUP_TOKENS, NUM_TOKENS = 4, 24


class Port:
    """The transformer of a published prior, in fp16 as the original program samples it (on a CPU in
    fp32). ImportError if jukebox-infer or a package that it needs is missing."""

    def __init__(self, shape: Shape, device: torch.device) -> None:
        autoregressive, ops = _import_transformer()
        settings, self.device = shape.settings, device
        self.fp16 = device.type != "cpu"
        sizes = _sizes(settings)
        with torch.device("meta"):
            model = autoregressive.ConditionalAutoregressive2D(**sizes)
        self.model = model.to_empty(device=device).requires_grad_(False).eval()
        self.width, self.length = settings["prior_width"], sizes["input_shape"][0]
        self.num_lyrics = sizes["encoder_dims"]
        _draw_weights(self.model)
        if self.fp16:
            self.model.apply(ops._convert_conv_weights_to_fp16)

    @torch.inference_mode()
    def tokens_per_second(self, batch: int) -> float:
        """Tokens per second of all rows together."""
        self._sample(batch, WARMUP_TOKENS)
        start = time.perf_counter()
        self._sample(batch, NUM_TOKENS)
        return batch * NUM_TOKENS / (time.perf_counter() - start)

    def _sample(self, batch: int, count: int) -> None:
        conditions = {
            "x_cond": torch.zeros(batch, 1, self.width, device=self.device),
            "y_cond": torch.zeros(batch, 1, self.width, device=self.device),
            "encoder_kv": self._lyrics(batch),
        }
        self.model.sample(batch, **conditions, fp16=self.fp16, sample_tokens=count)
        synchronize(self.device)

    def _lyrics(self, batch: int) -> Tensor | None:
        if not self.num_lyrics:
            return None
        dtype = torch.float16 if self.fp16 else torch.float32
        return torch.randn(batch, self.num_lyrics, self.width, device=self.device, dtype=dtype)


def _import_transformer() -> tuple[ModuleType, ModuleType]:
    """Two modules of jukebox-infer, without the package itself, which imports audio libraries."""
    name = "jukebox_infer"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.submodule_search_locations is None:
            raise ImportError("jukebox-infer is not installed")
        package = ModuleType(name)
        package.__path__ = spec.submodule_search_locations
        sys.modules[name] = package
    autoregressive: Any = importlib.import_module(f"{name}.prior.autoregressive")
    autoregressive.get_range = iter  # without a progress bar
    return autoregressive, importlib.import_module(f"{name}.transformer.ops")


def _sizes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the port's model, from the original settings."""
    has_encoder = "prime_width" in settings
    is_single = bool(settings["single_enc_dec"])
    num_lyrics = settings["n_tokens"] if is_single else 0
    return {
        "input_shape": (settings["n_ctx"] + num_lyrics,),
        "width": settings["prior_width"],
        "depth": settings["prior_depth"],
        "heads": settings["heads"],
        "attn_order": settings["attn_order"],
        "blocks": settings["blocks"],
        "x_cond": True,
        "y_cond": True,
        "encoder_dims": settings["n_tokens"] if has_encoder else 0,
        "merged_decoder": settings["merged_decoder"],
        "prime_len": num_lyrics or None,
        "bins": VQVAE["l_bins"] + (settings["n_vocab"] if is_single else 0),
    }


def _draw_weights(model: nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith((".b", "bias")):
            parameter.zero_()
        elif ".ln_" in name:
            parameter.fill_(1.0)
        else:
            parameter.normal_(std=STD)
