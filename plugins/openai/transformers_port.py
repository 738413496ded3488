"""The port to transformers: its settings and tensor names, as the original program's.

There priors are counted from the top level down, and levels of the VQ-VAE from the finest up.
Facts of the layout: configuration_jukebox.py and modeling_jukebox.py of transformers 4.57.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jukebox_cli.api import InputError
from jukebox_cli.config.schema import Options
from jukebox_cli.storage.files import corruption_errors, read_json

from .labels import alphabet
from .original import patterns
from .weight_files import Checkpoint, Parts, Tensors, folder_of_weights

#: What the port has where a config.json does not say: it leaves out what is as by default.
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
#: The port's names of attention orders.
_ORDERS = {
    "full_dense_attention": 0,
    "raw_column_previous_row_attention": 2,
    "large_separated_enc_dec_w_lyrics": 10,
    "enc_dec_with_lyrics": 12,
}
#: Genres and artists of the published label sets: whether it is set 3.
_LABEL_SETS = {(120, 4111): False, (604, 7898): True}


def read_config(folder: Path) -> Options:
    """config.json; InputError when it is of another kind of model."""
    path = folder / "config.json"
    said = read_json(path)
    if (kind := said.get("model_type")) != "jukebox":
        raise InputError(f"{path} is of a model of type '{kind}'", "its model_type must be jukebox")
    return said


def parts(folder: Path) -> Parts:
    """What `save_pretrained` wrote of a JukeboxModel."""
    path, said = folder / "config.json", read_config(folder)
    with corruption_errors(path):
        model, vqvae = _MODEL_DEFAULTS | said, _VQVAE_DEFAULTS | said.get("vqvae_config", {})
        priors = _priors(model, vqvae["levels"], path)
        _refuse_unlike(vqvae, priors, path)
        autoencoders = _vqvae_settings(vqvae, model["sampling_rate"])
        settings = [
            prior_settings(prior, model, _label_set(prior, number, folder))
            for number, prior in enumerate(priors)
        ]
        hops = tuple(map(float, reversed(vqvae["hop_fraction"][: vqvae["levels"]])))
    spelled, tensors = {"alphabet": alphabet(folder)}, folder_of_weights(folder)
    checkpoints = [_prior(tensors, number, each | spelled) for number, each in enumerate(settings)]
    return Parts(_vqvae(tensors, autoencoders), tuple(reversed(checkpoints)), hops)


def _priors(model: Options, levels: int, path: Path) -> list[Options]:
    """The settings of each prior, the top level's first."""
    count = model["nb_priors"]
    listed = model.get("prior_config_list") or [model.get(f"prior_{n}", {}) for n in range(count)]
    if len(listed[:count]) != levels:
        what = f"{path} has {len(listed[:count])} priors for {levels} levels"
        raise InputError(what, "a model needs one for each")
    return [_PRIOR_DEFAULTS | prior for prior in listed[:count]]


def _refuse_unlike(vqvae: Options, priors: Sequence[Options], path: Path) -> None:
    """InputError for what the port can do and the original could not."""
    if vqvae["conv_res_scale"]:
        what = f"{path} has a VQ-VAE with conv_res_scale, which is not known here"
        raise InputError(what, "only models made like the published ones can be imported")
    for prior in priors:
        networks = (prior, _encoder(prior)) if prior["nb_relevant_lyric_tokens"] else (prior,)
        for each in networks:
            if each["act_fn"] != "quick_gelu":
                what = f"{path}: activation '{each['act_fn']}' is not known here"
                raise InputError(what, "known is quick_gelu")
            if each["attention_pattern"] not in _ORDERS:
                what = f"{path}: attention pattern '{each['attention_pattern']}' is not known here"
                raise InputError(what, f"known are {', '.join(_ORDERS)}")


def _encoder(prior: Options) -> Options:
    return _PRIOR_DEFAULTS | (prior["encoder_config"] or {})


def _label_set(prior: Options, number: int, folder: Path) -> bool:
    """Whether a prior knows label set 3. Only the tokenizer's settings say so outright."""
    dims = tuple(prior["metadata_dims"])
    if dims in _LABEL_SETS:
        return _LABEL_SETS[dims]
    path = folder / "tokenizer_config.json"
    versions = read_json(path).get("version", []) if path.is_file() else []
    return number < len(versions) and versions[number] == "v3"


def _vqvae_settings(said: Options, sample_rate: int) -> Options:
    levels = said["levels"]
    return {
        "levels": levels,
        "downs_t": said["res_downs_t"][:levels],
        "strides_t": said["res_strides_t"][:levels],
        "hvqvae_multipliers": said["multipliers"] and said["multipliers"][:levels],
        "emb_width": said["embed_dim"],
        "l_bins": said["nb_discrete_codes"],
        "width": said["res_conv_width"],
        "depth": said["res_conv_depth"],
        "m_conv": said["res_convolution_multiplier"],
        "dilation_growth_rate": said["res_dilation_growth_rate"],
        "dilation_cycle": said["res_dilation_cycle"],
        "vqvae_reverse_decoder_dilation": True,
        "sr": sample_rate,
    }


def prior_settings(said: Options, model: Options, third: bool) -> Options:
    """The original's settings of a prior; `third`: with label set 3.

    The port has one number of genres for all its priors, but those of label set 3 learned one. Its
    `mask` is left aside: the original's attention looks at no later position, and such weights
    are only of use like that.
    """
    encoder = _encoder(said)
    return {
        "heads": said["n_heads"],
        "attn_order": _ORDERS[said["attention_pattern"]],
        "blocks": said["blocks"],
        "m_attn": said["attention_multiplier"],
        "m_mlp": said["mlp_multiplier"],
        "res_scale": said["attn_res_scale"],
        "merged_decoder": said["merged_decoder"],
        "single_enc_dec": said["is_encoder_decoder"],
        "labels_v3": third,
        "max_bow_genre_size": 1 if third else model["max_nb_genres"],
        "min_duration": model["min_duration"],
        "max_duration": model["max_duration"],
        "n_tokens": said["nb_relevant_lyric_tokens"],
        "prime_loss_fraction": said["encoder_loss_fraction"],
        "prime_heads": encoder["n_heads"],
        "prime_attn_order": _ORDERS.get(encoder["attention_pattern"]),
        "prime_blocks": encoder["blocks"],
        "prime_m_attn": encoder["attention_multiplier"],
        "prime_m_mlp": encoder["mlp_multiplier"],
        "prime_res_scale": encoder["attn_res_scale"],
        "cond_width": said["res_conv_width"],
        "cond_depth": said["res_conv_depth"],
        "cond_m_conv": said["res_convolution_multiplier"],
        "cond_dilation_growth_rate": said["res_dilation_growth_rate"],
        "cond_dilation_cycle": said["res_dilation_cycle"],
        "cond_res_scale": bool(said["conv_res_scale"]),
        **_alignment(said),
    }


def _alignment(said: Options) -> Options:
    """The layer and head that follow the lyrics. A config.json has one even when nobody chose it:
    then it may well be a layer that looks at no lyrics, or none at all."""
    layer, head = said["alignment_layer"], said["alignment_head"]
    kinds = patterns(_ORDERS[said["attention_pattern"]], said["num_layers"])
    there = layer is not None and 0 <= layer < said["num_layers"] and head < said["n_heads"]
    if not there or kinds[layer % len(kinds)] not in ("cross_attention", "prefix"):
        return {"alignment_layer": None, "alignment_head": None}
    return {"alignment_layer": layer, "alignment_head": head}


def _vqvae(tensors: Tensors, settings: Options) -> Checkpoint:
    downs = settings["downs_t"]
    mine = _under("vqvae.", tensors)
    return Checkpoint({_vqvae_name(name, downs): tensors[name] for name in mine}, settings)


def _prior(tensors: Tensors, number: int, settings: Options) -> Checkpoint:
    start = f"priors.{number}."
    found = {name.removeprefix(start): tensors[name] for name in _under(start, tensors)}
    if not settings["merged_decoder"]:  # one tensor under two names, of which a file may lack one
        shared = found.pop("prior.fc_proj_out.weight", None)
        if shared:
            found.setdefault("prior.embed_tokens.weight", shared)
    return Checkpoint({prior_name(name): get for name, get in found.items()}, settings)


def _under(start: str, tensors: Tensors) -> Iterator[str]:
    return (name for name in tensors if name.startswith(start))


#: How names of the port begin, and how the original's do. The first that fits is taken.
_BEGINNINGS = {
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


def prior_name(name: str) -> str:
    """What a tensor of a prior was called; a name that is not known stays as it is."""
    head, _, convolution = name.partition("conditioner_blocks.upsampler.")
    if convolution and not head:
        return f"conditioner_blocks.0.cond.model.{_decoder_part(convolution)}"
    start = next((start for start in _BEGINNINGS if name.startswith(start)), "")
    name = _BEGINNINGS.get(start, "") + name.removeprefix(start)
    name = re.sub(r"\.layer_norm_([01])\.", r".ln_\1.", name)
    linear = _LINEAR.fullmatch(name)
    return f"{linear[1]}.{linear[2][0]}" if linear else name


_BLOCK = re.compile(r"(encoders|decoders)\.(\d+)\.level_blocks\.(\d+)\.(.+)")
_RESIDUAL = re.compile(r"resnet_block\.(\d+)\.conv1d_([12])\.(weight|bias)")


def _vqvae_name(name: str, downs: Sequence[int]) -> str:
    """The same for one of the VQ-VAE."""
    name = name.removeprefix("vqvae.")
    match = _BLOCK.fullmatch(name)
    if not match:
        return re.sub(r"\.codebook$", ".k", name)
    part, block = match[4], int(match[3])
    part = _decoder_part(part) if match[1] == "decoders" else _encoder_part(part, downs[block])
    return f"{match[1]}.{match[2]}.level_blocks.{block}.model.{part}"


def _decoder_part(part: str) -> str:
    """Of a block that begins with a convolution, and then has pairs of residuals and a step up."""
    if part.startswith("proj_in."):
        return part.replace("proj_in", "0")
    return _of_pair(part, "upsample_block", first=1, residual=0)


def _encoder_part(part: str, downs: int) -> str:
    """Of a block that has pairs of a step down and residuals, and ends with a convolution."""
    if part.startswith("proj_out."):
        return part.replace("proj_out", str(downs))
    return _of_pair(part, "downsample_block", first=0, residual=1)


def _of_pair(part: str, block: str, first: int, residual: int) -> str:
    """The port lays pairs end to end, the original counts them from `first`; `residual` is where
    in a pair the residuals stand."""
    match = re.fullmatch(rf"{block}\.(\d+)\.(.+)", part)
    if not match:
        return part
    pair, place = divmod(int(match[1]), 2)
    rest = match[2]
    if place == residual and (inner := _RESIDUAL.fullmatch(rest)):
        rest = f"model.{inner[1]}.model.{2 * int(inner[2]) - 1}.{inner[3]}"
    return f"{first + pair}.{place}.{rest}"
