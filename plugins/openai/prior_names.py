"""The names of a prior's tensors in the original program, as this program's."""

from __future__ import annotations

import re
from collections.abc import Callable

from .vqvae_layout import decoder_part

_LAYER = re.compile(r"(prior|prime_prior)\.transformer\._attn_mods\.(\d+)\.(.+)\.(\w+)")
_LAYER_PARTS = {
    "ln_0": "attention_norm",
    "ln_1": "mlp_norm",
    "mlp.c_fc": "mlp_in",
    "mlp.c_proj": "mlp_out",
    "attn.c_proj": "attention.out",
    "attn.c_attn": "attention.qkv",
    "attn.c_enc_kv": "attention.key_value",
}
_ENDINGS = {"w": "weight", "b": "bias", "weight": "weight", "bias": "bias"}
_NAMES = {
    "prior.pos_emb.pos_emb": "position_embedding",
    "prior.start_token": "start_embedding",
    "y_emb.artist_emb.emb.weight": "conditioners.artist.embedding.weight",
    "y_emb.bow_genre_emb.emb.weight": "conditioners.genre.embedding.weight",
    "y_emb.total_length_emb.emb.weight": "conditioners.timing.total.embedding.weight",
    "y_emb.absolute_pos_emb.emb.weight": "conditioners.timing.position.embedding.weight",
    "y_emb.relative_pos_emb.emb.weight": "conditioners.timing.elapsed.embedding.weight",
    "conditioner_blocks.0.x_emb.weight": "upsampler_conditioner.embedding.weight",
    "conditioner_blocks.0.ln.weight": "upsampler_conditioner.norm.weight",
    "conditioner_blocks.0.ln.bias": "upsampler_conditioner.norm.bias",
    "prime_prior.x_emb.weight": "conditioners.lyrics.character_embedding.weight",
    "prime_prior.pos_emb.pos_emb": "conditioners.lyrics.position_embedding",
    "prime_prior.start_token": "conditioners.lyrics.start_embedding",
    "prime_state_proj.w": "conditioners.lyrics.projection.weight",
    "prime_state_proj.b": "conditioners.lyrics.projection.bias",
    "prime_state_ln.weight": "conditioners.lyrics.norm.weight",
    "prime_state_ln.bias": "conditioners.lyrics.norm.bias",
    "prime_x_out.weight": "conditioners.lyrics.output_weight",
}


def prior_tensor_name(name: str, pattern_of_layer: Callable[[int], str]) -> str | None:
    """This program's name of a tensor; None for one that is not known.

    :param pattern_of_layer: what a layer of the prior attends to, by its number.
    """
    if name in _NAMES:
        return _NAMES[name]
    if match := _LAYER.fullmatch(name):
        is_prior, layer, ending = match[1] == "prior", int(match[2]), _ENDINGS.get(match[4])
        part = _LAYER_PARTS.get(match[3])
        if match[3] == "attn.c_attn" and is_prior and pattern_of_layer(layer) == "cross_attention":
            part = "attention.query"
        owner = "" if is_prior else "conditioners.lyrics."
        return f"{owner}transformer.layers.{layer}.{part}.{ending}" if part and ending else None
    before, _, convolution = name.partition("conditioner_blocks.0.cond.model.")
    if before or not convolution:
        return None
    return f"upsampler_conditioner.convolutions.{decoder_part(convolution)}"
