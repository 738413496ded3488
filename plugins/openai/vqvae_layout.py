"""The original program's VQ-VAE: its settings, and its tensors' names, as this program's.

Sources of the layout: Dhariwal et al. 2020, appendix B.1, and the checkpoints.
"""

from __future__ import annotations

import re
from typing import NoReturn

from jukebox_cli.api import InputError
from jukebox_cli.api.models import VQVAEConfig

from .hyperparameters import vqvae_hyperparameters
from .weight_files import Checkpoint

#: The hint for a model that was never published.
ONLY_PUBLISHED = "only models made like the published ones can be imported"

_RESIDUAL = r"(?:model|blocks)\.(\d+)\.model\.([13])\.(weight|bias)"
_CONVOLUTIONS = {"1": "dilated", "3": "pointwise"}
_AUTOENCODER = re.compile(r"(encoders|decoders)\.(\d+)\.level_blocks\.(\d+)\.model\.(.+)")


def vqvae_config(checkpoint: Checkpoint) -> VQVAEConfig:
    """The settings of the autoencoders."""
    hps = vqvae_hyperparameters(checkpoint)
    if not hps["vqvae_reverse_decoder_dilation"] and hps["dilation_growth_rate"] != 1:
        what = "a decoder with dilations as in the encoder is not known here"
        raise InputError(what, ONLY_PUBLISHED)
    multipliers = hps["hvqvae_multipliers"] or (1,) * hps["levels"]
    strides = zip(hps["strides_t"], hps["downs_t"], strict=True)
    return VQVAEConfig(
        sample_rate=int(hps["sr"]),
        strides=tuple((stride,) * count for stride, count in strides),
        codebook_size=hps["l_bins"],
        embedding_dim=hps["emb_width"],
        widths=tuple(hps["width"] * m for m in multipliers),
        depths=tuple(hps["depth"] * m for m in multipliers),
        dilation_growth_rate=hps["dilation_growth_rate"],
        dilation_cycle=hps["dilation_cycle"],
        hidden_ratio=float(hps["m_conv"]),
    )


def autoencoder_name(name: str, config: VQVAEConfig) -> tuple[int, str] | None:
    """The level of a tensor and its name in this program; None for those that only training uses.

    :raises InputError: for a tensor that a model with these settings does not have.
    """
    if match := _AUTOENCODER.fullmatch(name):
        level, block = int(match[2]), int(match[3])
        if not block <= level < config.num_levels:
            _raise_unknown_tensor(name)
        if match[1] == "encoders":
            part = _encoder_part(match[4], len(config.strides[block]))
            return level, f"encoder.blocks.{block}.{part}"
        return level, f"decoder.blocks.{level - block}.{decoder_part(match[4])}"
    if match := re.fullmatch(r"decoders\.(\d+)\.out\.(weight|bias)", name):
        found = int(match[1]), f"decoder.out.{match[2]}"
    elif match := re.fullmatch(r"bottleneck\.level_blocks\.(\d+)\.k", name):
        found = int(match[1]), "codebook.vectors"
    else:
        return None
    return found if found[0] < config.num_levels else _raise_unknown_tensor(name)


def decoder_part(name: str) -> str:
    """A convolution of a decoder block: `0.weight`, `2.0.blocks.3.model.1.bias`, `2.1.weight`."""
    if match := re.fullmatch(rf"(\d+)\.0\.{_RESIDUAL}", name):
        index = 2 * int(match[1]) - 1
        return f"{index}.{match[2]}.{_CONVOLUTIONS[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"(\d+)\.1\.(weight|bias)", name):
        return f"{2 * int(match[1])}.{match[2]}"
    return name


def _encoder_part(name: str, num_strides: int) -> str:
    """A convolution of an encoder block: `0.0.weight`, `0.1.model.2.model.1.bias`, `2.weight`."""
    if match := re.fullmatch(rf"(\d+)\.1\.{_RESIDUAL}", name):
        return f"{2 * int(match[1]) + 1}.{match[2]}.{_CONVOLUTIONS[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"(\d+)\.0\.(weight|bias)", name):
        return f"{2 * int(match[1])}.{match[2]}"
    return name.replace(f"{num_strides}.", f"{2 * num_strides}.", 1)


def _raise_unknown_tensor(name: str) -> NoReturn:
    what = f"it has {name}, which its settings have no place for"
    raise InputError(what, "are these files of one model, and complete?")
