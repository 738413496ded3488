"""The settings that a checkpoint of the original program was trained with.

A checkpoint mostly says them itself (`hps`). Where it says none, it must be a published one: the
original program knows those by name, and here they are known by the shapes of their tensors.
Facts of the settings: Dhariwal et al. 2020, appendix B, and the original program.
"""

from __future__ import annotations

from jukebox_cli.api import InputError
from jukebox_cli.config.schema import Options

from .weight_files import Checkpoint

#: What the original program takes where nothing is said.
_VQVAE: Options = {
    "hvqvae_multipliers": None,
    "m_conv": 1.0,
    "dilation_growth_rate": 1,
    "dilation_cycle": None,
    "vqvae_reverse_decoder_dilation": True,
    "sr": 44100,
}
_PRIOR: Options = {
    "heads": 1,
    "attn_order": 0,
    "blocks": None,
    "m_attn": 0.25,
    "m_mlp": 1.0,
    "res_scale": False,
    "merged_decoder": False,
    "single_enc_dec": False,
    "labels_v3": False,
    "max_bow_genre_size": None,
    "min_duration": None,
    "max_duration": None,
    "n_tokens": 0,
    "prime_loss_fraction": 0.1,
    "prime_heads": 1,
    "prime_attn_order": 0,
    "prime_blocks": None,
    "prime_m_attn": 0.25,
    "prime_m_mlp": 1.0,
    "prime_res_scale": False,
    "cond_width": 128,
    "cond_depth": 3,
    "cond_m_conv": 1.0,
    "cond_res_scale": False,
    "cond_dilation_growth_rate": 1,
    "cond_dilation_cycle": None,
    "alignment_layer": None,
    "alignment_head": None,
    "alphabet": "",  # the original's is in its program
}

#: The published VQ-VAE, by the shape of its codebooks.
_PUBLISHED_VQVAE: dict[tuple[int, ...], Options] = {
    (2048, 64): {
        "levels": 3,
        "downs_t": (3, 2, 2),
        "strides_t": (2, 2, 2),
        "hvqvae_multipliers": (2, 1, 1),
        "emb_width": 64,
        "l_bins": 2048,
        "width": 32,
        "depth": 4,
        "dilation_growth_rate": 3,
    }
}
_BAG: Options = {"max_bow_genre_size": 5}
_UPSAMPLER: Options = {
    **_BAG,
    "attn_order": 2,
    "blocks": 128,
    "cond_width": 1024,
    "cond_depth": 16,
    "cond_dilation_growth_rate": 3,
    "cond_dilation_cycle": 8,
}
#: The published priors, by positions, width and layers.
_PUBLISHED: dict[tuple[int, int, int], Options] = {
    (8192, 1920, 72): _UPSAMPLER,
    (8192, 4800, 72): {  # 5b
        **_BAG,
        "heads": 8,
        "attn_order": 2,
        "blocks": 128,
        "merged_decoder": True,
        "min_duration": 60.0,
        "max_duration": 600.0,
    },
    (8192, 4800, 79): {  # 5b_lyrics
        **_BAG,
        "heads": 8,
        "attn_order": 10,
        "blocks": 128,
        "merged_decoder": True,
        "min_duration": 23.8,
        "max_duration": 600.0,
        "n_tokens": 512,
        "prime_loss_fraction": 0.4,
        "prime_heads": 4,
        "prime_attn_order": 2,
        "prime_blocks": 32,
        "alignment_layer": 68,
        "alignment_head": 2,
    },
    (384 + 6144, 2048, 72): {  # 1b_lyrics
        "heads": 2,
        "attn_order": 12,
        "blocks": 64,
        "single_enc_dec": True,
        "labels_v3": True,
        "max_bow_genre_size": 1,
        "min_duration": 17.84,
        "max_duration": 600.0,
        "n_tokens": 384,
        "prime_loss_fraction": 0.4,
        "alignment_layer": 63,
        "alignment_head": 0,
    },
}
#: What the published upsamplers differ in, by level.
_OF_LEVEL: dict[int, Options] = {1: {"cond_res_scale": True}}


def of_vqvae(checkpoint: Checkpoint) -> Options:
    """All settings of a VQ-VAE. InputError when they can't be known."""
    shape = checkpoint.shape("bottleneck.level_blocks.0.k") or ()
    return _VQVAE | _said(checkpoint, _PUBLISHED_VQVAE.get(shape))


def of_prior(checkpoint: Checkpoint, level: int, layers: int) -> Options:
    """All settings of a prior. InputError when they can't be known."""
    positions, width = checkpoint.shape("prior.pos_emb.pos_emb") or (0, 0)
    known = _PUBLISHED.get((positions, width, layers))
    if known is _UPSAMPLER:
        known = known | _OF_LEVEL.get(level, {})
    return _PRIOR | _said(checkpoint, known)


def _said(checkpoint: Checkpoint, published: Options | None) -> Options:
    """What a checkpoint says, over what is known of a published one of its shape. A setting of
    None is one that was not chosen."""
    if not checkpoint.settings and published is None:
        what = "it does not say how it was trained (hps), and no published model has its shape"
        raise InputError(what, "get the file that training wrote")
    chosen = {name: value for name, value in checkpoint.settings.items() if value is not None}
    return {**(published or {}), **chosen}
