"""The hyperparameters that a checkpoint of the original program was trained with.

Most checkpoints contain them (`hps`). One that does not must be a published one: the original
program finds those by name, this one by the shapes of their tensors. The values are those of
Dhariwal et al. 2020, appendix B, and of the original program, under its names.
"""

from __future__ import annotations

from jukebox_cli.api import InputError
from jukebox_cli.api.models import Options

from .weight_files import Checkpoint

#: The original program's defaults.
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
    "alphabet": "",  # the characters of the lyrics; the original program has them in its code
}

#: The published VQ-VAE, by the shape (codes, channels) of its codebooks.
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
_SEVERAL_GENRES: Options = {"max_bow_genre_size": 5}
_UPSAMPLER: Options = {
    **_SEVERAL_GENRES,
    "attn_order": 2,
    "blocks": 128,
    "cond_width": 1024,
    "cond_depth": 16,
    "cond_dilation_growth_rate": 3,
    "cond_dilation_cycle": 8,
}
#: The published priors, by the numbers of positions, channels and layers.
_PUBLISHED_PRIORS: dict[tuple[int, int, int], Options] = {
    (8192, 1920, 72): _UPSAMPLER,
    (8192, 4800, 72): {  # 5b
        **_SEVERAL_GENRES,
        "heads": 8,
        "attn_order": 2,
        "blocks": 128,
        "merged_decoder": True,
        "min_duration": 60.0,
        "max_duration": 600.0,
    },
    (8192, 4800, 79): {  # 5b_lyrics
        **_SEVERAL_GENRES,
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
#: In what the published upsamplers differ, by level.
_UPSAMPLER_LEVELS: dict[int, Options] = {1: {"cond_res_scale": True}}


def vqvae_hyperparameters(checkpoint: Checkpoint) -> Options:
    """All hyperparameters of a VQ-VAE. InputError if they are not known."""
    shape = checkpoint.shape("bottleneck.level_blocks.0.k") or ()
    return _VQVAE | _known(checkpoint, _PUBLISHED_VQVAE.get(shape))


def prior_hyperparameters(checkpoint: Checkpoint, level: int, num_layers: int) -> Options:
    """All hyperparameters of a prior. InputError if they are not known."""
    positions, width = checkpoint.shape("prior.pos_emb.pos_emb") or (0, 0)
    published = _PUBLISHED_PRIORS.get((positions, width, num_layers))
    if published is _UPSAMPLER:
        published = published | _UPSAMPLER_LEVELS.get(level, {})
    return _PRIOR | _known(checkpoint, published)


def _known(checkpoint: Checkpoint, published: Options | None) -> Options:
    """The hyperparameters in a checkpoint, over those of the published one of its shape. None
    stands for one that was not set."""
    if not checkpoint.hyperparameters and published is None:
        what = "it does not contain its hyperparameters (hps), and no published model has its shape"
        raise InputError(what, "use the file that training wrote")
    in_file = {k: value for k, value in checkpoint.hyperparameters.items() if value is not None}
    return {**(published or {}), **in_file}
