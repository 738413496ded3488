"""The port's config.json, as the original program's hyperparameters.

Source of the settings: configuration_jukebox.py of transformers 4.57.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox_cli.api import InputError
from jukebox_cli.api.files import corruption_errors, read_json
from jukebox_cli.api.models import Options

from .attention_patterns import attention_patterns

#: The port's defaults: a config.json leaves out what is equal to them.
_MODEL_DEFAULTS: Options = {
    "nb_priors": 3,
    "sampling_rate": 44100,
    "min_duration": 0,
    "max_duration": 600.0,
    "max_nb_genres": 5,
}
_VQVAE_DEFAULTS: Options = {
    "levels": 3,
    "res_downs_t": [3, 2, 2],
    "res_strides_t": [2, 2, 2],
    "multipliers": [2, 1, 1],
    "embed_dim": 64,
    "nb_discrete_codes": 2048,
    "res_conv_width": 32,
    "res_conv_depth": 4,
    "res_convolution_multiplier": 1,
    "res_dilation_growth_rate": 3,
    "res_dilation_cycle": None,
    "conv_res_scale": False,
    "hop_fraction": [0.125, 0.5, 0.5],
}
_PRIOR_DEFAULTS: Options = {
    "act_fn": "quick_gelu",
    "n_heads": 2,
    "num_layers": 72,
    "attention_pattern": "enc_dec_with_lyrics",
    "blocks": 64,
    "attention_multiplier": 0.25,
    "mlp_multiplier": 1.0,
    "attn_res_scale": False,
    "merged_decoder": True,
    "is_encoder_decoder": True,
    "encoder_config": None,
    "nb_relevant_lyric_tokens": 384,
    "encoder_loss_fraction": 0.4,
    "metadata_dims": [604, 7898],
    "res_conv_width": 128,
    "res_conv_depth": 3,
    "res_convolution_multiplier": 1,
    "res_dilation_growth_rate": 1,
    "res_dilation_cycle": None,
    "conv_res_scale": None,
    "alignment_layer": 68,
    "alignment_head": 2,
}
#: The original's attn_order by the port's name for it.
_ATTENTION_ORDERS = {
    "full_dense_attention": 0,
    "raw_column_previous_row_attention": 2,
    "large_separated_enc_dec_w_lyrics": 10,
    "enc_dec_with_lyrics": 12,
}
#: The published label sets, by the numbers of genres and artists.
_LABEL_SETS = {(120, 4111): 2, (604, 7898): 3}


@dataclass(frozen=True)
class PortSettings:
    """A model's settings, under the original program's names.

    vqvae: hyperparameters of the VQ-VAE.
    priors: hyperparameters of each prior, in the port's order: the top level first.
    hop_fraction: how far windows move, level 0 first.
    """

    vqvae: Options
    priors: tuple[Options, ...]
    hop_fraction: tuple[float, ...]


def read_config(folder: Path) -> Options:
    """config.json as it is. InputError if it is of another kind of model."""
    path = folder / "config.json"
    config = read_json(path)
    if (model_type := config.get("model_type")) != "jukebox":
        what = f"{path} is of a model of type '{model_type}'"
        raise InputError(what, "its model_type must be jukebox")
    return config


def read_settings(folder: Path) -> PortSettings:
    """The settings of a model. InputError if the original program could not have computed it."""
    path, config = folder / "config.json", read_config(folder)
    with corruption_errors(path):
        model = _MODEL_DEFAULTS | config
        vqvae = _VQVAE_DEFAULTS | config.get("vqvae_config", {})
        priors = _prior_configs(model, vqvae["levels"], path)
        _require_supported(vqvae, priors, path)
        return PortSettings(
            _vqvae_hyperparameters(vqvae, model["sampling_rate"]),
            tuple(
                prior_hyperparameters(prior, model, _label_set(prior, number, folder))
                for number, prior in enumerate(priors)
            ),
            tuple(map(float, reversed(vqvae["hop_fraction"][: vqvae["levels"]]))),
        )


def _prior_configs(model: Options, num_levels: int, path: Path) -> list[Options]:
    """The settings of each prior, the top level's first."""
    count = model["nb_priors"]
    listed = model.get("prior_config_list") or [model.get(f"prior_{n}", {}) for n in range(count)]
    if len(listed[:count]) != num_levels:
        what = f"{path} has {len(listed[:count])} priors for {num_levels} levels"
        raise InputError(what, "a model needs one for each")
    return [_PRIOR_DEFAULTS | prior for prior in listed[:count]]


def _require_supported(vqvae: Options, priors: Sequence[Options], path: Path) -> None:
    """InputError for settings that the port has and the original program has not."""
    if vqvae["conv_res_scale"]:
        what = f"{path} has a VQ-VAE with conv_res_scale, which is not known here"
        raise InputError(what, "only models made like the published ones can be imported")
    for prior in priors:
        networks = (prior, _encoder(prior)) if prior["nb_relevant_lyric_tokens"] else (prior,)
        for network in networks:
            if network["act_fn"] != "quick_gelu":
                what = f"{path}: activation '{network['act_fn']}' is not known here"
                raise InputError(what, "known is quick_gelu")
            if (pattern := network["attention_pattern"]) not in _ATTENTION_ORDERS:
                what = f"{path}: attention pattern '{pattern}' is not known here"
                raise InputError(what, f"known are {', '.join(_ATTENTION_ORDERS)}")


def _encoder(prior: Options) -> Options:
    """The settings of the lyrics encoder of a prior."""
    return _PRIOR_DEFAULTS | (prior["encoder_config"] or {})


def _label_set(prior: Options, number: int, folder: Path) -> int:
    """The label set of a prior. Only the tokenizer's settings name it."""
    sizes = tuple(prior["metadata_dims"])
    if sizes in _LABEL_SETS:
        return _LABEL_SETS[sizes]
    path = folder / "tokenizer_config.json"
    versions = read_json(path).get("version", []) if path.is_file() else []
    return 3 if number < len(versions) and versions[number] == "v3" else 2


def _vqvae_hyperparameters(vqvae: Options, sample_rate: int) -> Options:
    levels = vqvae["levels"]
    return {
        "levels": levels,
        "downs_t": vqvae["res_downs_t"][:levels],
        "strides_t": vqvae["res_strides_t"][:levels],
        "hvqvae_multipliers": vqvae["multipliers"] and vqvae["multipliers"][:levels],
        "emb_width": vqvae["embed_dim"],
        "l_bins": vqvae["nb_discrete_codes"],
        "width": vqvae["res_conv_width"],
        "depth": vqvae["res_conv_depth"],
        "m_conv": vqvae["res_convolution_multiplier"],
        "dilation_growth_rate": vqvae["res_dilation_growth_rate"],
        "dilation_cycle": vqvae["res_dilation_cycle"],
        "vqvae_reverse_decoder_dilation": True,
        "sr": sample_rate,
    }


def prior_hyperparameters(prior: Options, model: Options, label_set: int) -> Options:
    """The original's hyperparameters of a prior.

    The port has one number of genres for all its priors, but those of label set 3 learned a single
    one. Its `mask` is not used: the original's attention is always causal, and such weights are of
    use only with it.
    """
    return {
        "heads": prior["n_heads"],
        "attn_order": _ATTENTION_ORDERS[prior["attention_pattern"]],
        "blocks": prior["blocks"],
        "m_attn": prior["attention_multiplier"],
        "m_mlp": prior["mlp_multiplier"],
        "res_scale": prior["attn_res_scale"],
        "merged_decoder": prior["merged_decoder"],
        "single_enc_dec": prior["is_encoder_decoder"],
        "labels_v3": label_set == 3,
        "max_bow_genre_size": 1 if label_set == 3 else model["max_nb_genres"],
        "min_duration": model["min_duration"],
        "max_duration": model["max_duration"],
        "n_tokens": prior["nb_relevant_lyric_tokens"],
        "prime_loss_fraction": prior["encoder_loss_fraction"],
        **_encoder_hyperparameters(_encoder(prior)),
        **_upsampler_hyperparameters(prior),
        **_alignment_head(prior),
    }


def _encoder_hyperparameters(encoder: Options) -> Options:
    return {
        "prime_heads": encoder["n_heads"],
        "prime_attn_order": _ATTENTION_ORDERS.get(encoder["attention_pattern"]),
        "prime_blocks": encoder["blocks"],
        "prime_m_attn": encoder["attention_multiplier"],
        "prime_m_mlp": encoder["mlp_multiplier"],
        "prime_res_scale": encoder["attn_res_scale"],
    }


def _upsampler_hyperparameters(prior: Options) -> Options:
    return {
        "cond_width": prior["res_conv_width"],
        "cond_depth": prior["res_conv_depth"],
        "cond_m_conv": prior["res_convolution_multiplier"],
        "cond_dilation_growth_rate": prior["res_dilation_growth_rate"],
        "cond_dilation_cycle": prior["res_dilation_cycle"],
        "cond_res_scale": bool(prior["conv_res_scale"]),
    }


def _alignment_head(prior: Options) -> Options:
    """The layer and head whose attention follows the lyrics.

    A config.json has them even if nobody chose them; then the layer may not attend to lyrics, or
    not exist.
    """
    layer, head = prior["alignment_layer"], prior["alignment_head"]
    order = _ATTENTION_ORDERS[prior["attention_pattern"]]
    patterns = attention_patterns(order, prior["num_layers"])
    exists = layer is not None and 0 <= layer < prior["num_layers"] and head < prior["n_heads"]
    if not exists or patterns[layer % len(patterns)] not in ("cross_attention", "prefix"):
        return {"alignment_layer": None, "alignment_head": None}
    return {"alignment_layer": layer, "alignment_head": head}
