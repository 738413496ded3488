"""The names of the port's tensors, as the original program's.

Source of the layout: modeling_jukebox.py of transformers 4.57.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Prefixes of the port's names, and the original's. The first that matches is taken.
_PREFIXES = {
    "prior.embed_tokens.": "prior.x_emb.",
    "prior.fc_proj_out.": "prior.x_out.",
    "encoder.embed_tokens.": "prime_prior.x_emb.",
    "encoder.proj_in.weight": "prime_state_proj.w",
    "encoder.proj_in.bias": "prime_state_proj.b",
    "encoder.final_layer_norm.": "prime_state_ln.",
    "encoder.lm_head.": "prime_x_out.",
    "encoder.": "prime_prior.",
    "metadata_embedding.artist_emb.": "y_emb.artist_emb.emb.",
    "metadata_embedding.bow_genre_emb.": "y_emb.bow_genre_emb.emb.",
    "metadata_embedding.": "y_emb.",
    "conditioner_blocks.embed_tokens.": "conditioner_blocks.0.x_emb.",
    "conditioner_blocks.layer_norm.": "conditioner_blocks.0.ln.",
}
_LINEAR = re.compile(r"(.*\.c_\w+)\.(weight|bias)")
_BLOCK = re.compile(r"(encoders|decoders)\.(\d+)\.level_blocks\.(\d+)\.(.+)")
_RESIDUAL = re.compile(r"resnet_block\.(\d+)\.conv1d_([12])\.(weight|bias)")


def original_prior_name(name: str) -> str:
    """The original's name of a prior's tensor; a name that is not known stays as it is."""
    before, _, convolution = name.partition("conditioner_blocks.upsampler.")
    if convolution and not before:
        return f"conditioner_blocks.0.cond.model.{_decoder_part(convolution)}"
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    name = _PREFIXES.get(prefix, "") + name.removeprefix(prefix)
    name = re.sub(r"\.layer_norm_([01])\.", r".ln_\1.", name)
    linear = _LINEAR.fullmatch(name)
    return f"{linear[1]}.{linear[2][0]}" if linear else name


def original_vqvae_name(name: str, downs_t: Sequence[int]) -> str:
    """The original's name of a tensor of the VQ-VAE.

    :param downs_t: how many strides each block has, level 0 first.
    """
    name = name.removeprefix("vqvae.")
    match = _BLOCK.fullmatch(name)
    if not match:
        return re.sub(r"\.codebook$", ".k", name)
    part, block = match[4], int(match[3])
    is_decoder = match[1] == "decoders"
    part = _decoder_part(part) if is_decoder else _encoder_part(part, downs_t[block])
    return f"{match[1]}.{match[2]}.level_blocks.{block}.model.{part}"


def _decoder_part(part: str) -> str:
    """Decoder blocks are a convolution, then pairs of residual blocks and an upsampling step."""
    if part.startswith("proj_in."):
        return part.replace("proj_in", "0")
    return _paired(part, "upsample_block", first=1, residual=0)


def _encoder_part(part: str, num_strides: int) -> str:
    """Encoder blocks are pairs of a downsampling step and residual blocks, then a convolution."""
    if part.startswith("proj_out."):
        return part.replace("proj_out", str(num_strides))
    return _paired(part, "downsample_block", first=0, residual=1)


def _paired(part: str, list_name: str, first: int, residual: int) -> str:
    """The port lists the modules of all pairs one after another; the original numbers the pairs.

    :param first: the number of the first pair.
    :param residual: which of a pair, 0 or 1, the residual blocks are.
    """
    match = re.fullmatch(rf"{list_name}\.(\d+)\.(.+)", part)
    if not match:
        return part
    pair, position = divmod(int(match[1]), 2)
    rest = match[2]
    if position == residual and (block := _RESIDUAL.fullmatch(rest)):
        rest = f"model.{block[1]}.model.{2 * int(block[2]) - 1}.{block[3]}"
    return f"{first + pair}.{position}.{rest}"
