"""Checkpoints in the original program's layout, with random weights of any size."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jukebox_cli.storage.model import Model

#: Hints of errors.
COMPLETE = "are these files of one model, and complete?"
ONLY = "only models made like the published ones can be imported"

Settings = Mapping[str, Any]
Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]

VQVAE: Settings = {
    "levels": 3,
    "downs_t": (2, 1, 1),
    "strides_t": (2, 2, 2),
    "hvqvae_multipliers": (2, 1, 1),
    "emb_width": 8,
    "l_bins": 16,
    "width": 4,
    "depth": 2,
    "m_conv": 1.0,
    "dilation_growth_rate": 3,
    "dilation_cycle": None,
    "vqvae_reverse_decoder_dilation": True,
    "sr": 8000,
}
UPSAMPLER: Settings = {
    "n_ctx": 64,
    "prior_width": 16,
    "prior_depth": 3,
    "heads": 1,
    "attn_order": 2,
    "blocks": 8,
    "m_attn": 0.25,
    "m_mlp": 1.0,
    "y_bins": (5, 7),
    "max_bow_genre_size": 5,
    "labels_v3": False,
    "n_tokens": 0,
    "merged_decoder": False,
    "single_enc_dec": False,
    "cond_width": 8,
    "cond_depth": 2,
    "cond_m_conv": 1.0,
    "cond_dilation_growth_rate": 3,
    "cond_dilation_cycle": 8,
    "cond_res_scale": True,
}
TOP: Settings = {
    **{name: value for name, value in UPSAMPLER.items() if not name.startswith("cond_")},
    "prior_depth": 11,
    "attn_order": 8,
    "heads": 2,
    "t_bins": 4,
    "min_duration": 1.0,
    "max_duration": 60.0,
    "merged_decoder": True,
    "n_tokens": 8,
    "n_vocab": 80,
    "prime_width": 8,
    "prime_depth": 3,
    "prime_heads": 2,
    "prime_blocks": 4,
    "prime_attn_order": 2,
    "alignment_layer": 9,
    "alignment_head": 1,
}
#: The lyrics in one sequence with the music, as the smaller published model has them.
SINGLE: Settings = {
    **{name: value for name, value in TOP.items() if not name.startswith("prime_")},
    "attn_order": 12,
    "prior_depth": 16,
    "single_enc_dec": True,
    "labels_v3": True,
}


def _conv(name: str, shape: tuple[int, ...], after: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (after,)


def _residual(
    name: str, width: int, depth: int, state: float
) -> Iterator[tuple[str, tuple[int, ...]]]:
    inner = int(state * width)
    for block in range(depth):
        yield from _conv(f"{name}.{block}.model.1", (inner, width, 3), inner)
        yield from _conv(f"{name}.{block}.model.3", (width, inner, 1), width)


def _decoder(
    name: str, downs: int, stride: int, sizes: tuple[int, int, int], depth: int, residual: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    before, width, after = sizes
    yield from _conv(f"{name}.0", (width, before, 3), width)
    for i in range(1, downs + 1):
        yield from _residual(f"{name}.{i}.0.{residual}", width, depth, 1.0)
        out = after if i == downs else width
        yield from _conv(f"{name}.{i}.1", (width, out, 2 * stride), out)


def vqvae_shapes(hps: Settings) -> Shapes:
    """The tensors of the three autoencoders."""
    shapes: Shapes = {}
    embed = hps["emb_width"]
    for level in range(hps["levels"]):
        width = hps["width"] * hps["hvqvae_multipliers"][level]
        depth = hps["depth"] * hps["hvqvae_multipliers"][level]
        for block in range(level + 1):
            name, downs, stride = "", hps["downs_t"][block], hps["strides_t"][block]
            name = f"encoders.{level}.level_blocks.{block}.model"
            for i in range(downs):
                before = width if i else embed if block else 1
                shapes.update(_conv(f"{name}.{i}.0", (width, before, 2 * stride), width))
                shapes.update(_residual(f"{name}.{i}.1.model", width, depth, hps["m_conv"]))
            shapes.update(_conv(f"{name}.{downs}", (embed, width, 3), embed))
            name = f"decoders.{level}.level_blocks.{block}.model"
            sizes = (embed, width, embed)
            shapes.update(_decoder(name, downs, stride, sizes, depth, "model"))
        shapes.update(_conv(f"decoders.{level}.out", (1, embed, 3), 1))
        shapes[f"bottleneck.level_blocks.{level}.k"] = (hps["l_bins"], embed)
    return shapes


def _layers(
    name: str, width: int, depth: int, memory: tuple[int, ...], attention: float = 0.25
) -> Shapes:
    """A transformer's layers; those of `memory` attend to the lyrics."""
    shapes: Shapes = {}
    inner = int(attention * width)
    for n in range(depth):
        layer = f"{name}.transformer._attn_mods.{n}"
        linear = {"attn.c_attn": (width, 3 * inner)}
        if n in memory:
            linear = {"attn.c_attn": (width, inner), "attn.c_enc_kv": (width, 2 * inner)}
        linear["attn.c_proj"] = (inner, width)
        linear["mlp.c_fc"] = linear["mlp.c_proj"] = (width, width)
        for part, shape in linear.items():
            shapes[f"{layer}.{part}.w"], shapes[f"{layer}.{part}.b"] = shape, shape[1:]
        for norm in ("ln_0", "ln_1"):
            shapes.update(_conv(f"{layer}.{norm}", (width,), width))
    return shapes


def _memory(hps: Settings) -> tuple[int, ...]:
    """The layers that attend to the lyrics, by attention order: the first, and every so many."""
    first, step = {6: (3, 4), 7: (15, 16), 8: (9, 10), 10: (18, 10), 11: (15, 16)}.get(
        hps["attn_order"], (hps["prior_depth"], 1)
    )
    layers = range(first, hps["prior_depth"], step)
    return tuple(n for n in layers if hps["attn_order"] != 11 or n % 3 < 2)


def _lyrics(hps: Settings) -> Shapes:
    """The encoder."""
    inner, width = hps["prime_width"], hps["prior_width"]
    return {
        "prime_prior.start_token": (1, inner),
        "prime_prior.x_emb.weight": (hps["n_vocab"], inner),
        "prime_prior.pos_emb.pos_emb": (hps["n_tokens"], inner),
        **_layers("prime_prior", inner, hps["prime_depth"], ()),
        "prime_state_proj.w": (inner, width),
        "prime_state_proj.b": (width,),
        "prime_state_ln.weight": (width,),
        "prime_state_ln.bias": (width,),
        "prime_x_out.weight": (hps["n_vocab"], width),
    }


def prior_shapes(hps: Settings, vqvae: Settings, level: int) -> Shapes:
    """The tensors of a prior: an upsampler where its settings speak of one."""
    width, bins = hps["prior_width"], vqvae["l_bins"]
    shapes: Shapes = {}
    if "cond_width" in hps:
        name = "conditioner_blocks.0"
        shapes[f"{name}.x_emb.weight"] = (bins, width)
        sizes, above = (width, hps["cond_width"], width), level + 1
        downs, stride = vqvae["downs_t"][above], vqvae["strides_t"][above]
        model = f"{name}.cond.model"
        shapes.update(_decoder(model, downs, stride, sizes, hps["cond_depth"], "blocks"))
        shapes.update(_conv(f"{name}.ln", (width,), width))
    shapes["y_emb.bow_genre_emb.emb.weight"] = (hps["y_bins"][0], width)
    shapes["y_emb.artist_emb.emb.weight"] = (hps["y_bins"][1], width)
    if "t_bins" in hps:
        for part in ("total_length", "absolute_pos", "relative_pos"):
            shapes[f"y_emb.{part}_emb.emb.weight"] = (hps["t_bins"], width)
    if "prime_width" in hps:
        shapes.update(_lyrics(hps))
    single = hps["single_enc_dec"]
    words = bins + hps["n_vocab"] if single else bins
    shapes["prior.x_emb.weight"] = shapes["prior.x_out.weight"] = (words, width)
    places = hps["n_ctx"] + (hps["n_tokens"] if single else 0)
    shapes["prior.pos_emb.pos_emb"] = (places, width)
    return {**shapes, **_layers("prior", width, hps["prior_depth"], _memory(hps))}


def random(shapes: Shapes, dtype: torch.dtype = torch.float16) -> State:
    generator = torch.Generator().manual_seed(0)
    return {n: torch.randn(s, generator=generator).to(dtype) for n, s in shapes.items()}


def state(settings: Settings, level: int | None = None) -> State:
    """The weights of a prior of tiny settings, or of their autoencoders."""
    if level is None:
        return random(vqvae_shapes(settings))
    return random(prior_shapes(settings, VQVAE, level))


def save(path: Path, model: State, settings: Settings | None, *, zipped: bool = True) -> None:
    """One file, with what the original program's has beside the weights."""
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.full((4096,), 7.0)}}}
    data = {"hps": settings, "model": model, "opt": optimizer, "step": 3}
    if settings is None:
        del data["hps"]
    torch.save(data, path, _use_new_zipfile_serialization=zipped)


def write(folder: Path, top: Settings = TOP, *, zipped: bool = True) -> Path:
    """A whole tiny model."""
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "vqvae.pth.tar", state(VQVAE), VQVAE, zipped=zipped)
    for level, hps in enumerate((UPSAMPLER, UPSAMPLER, top)):
        path = folder / f"prior_level_{level}.pth.tar"
        save(path, state(hps, level), hps, zipped=zipped)
    return folder


def write_lists(folder: Path, version: int = 2) -> None:
    """Names of artists and genres, as the original program keeps them beside its code."""
    folder.mkdir(exist_ok=True)
    artists = ["unknown;0", "ada lovelace;1", "bo;2", "cy;3", "", "di;4"]
    (folder / f"v{version}_artist_ids.txt").write_text("\n".join(artists) + "\n")
    (folder / f"v{version}_genre_ids.txt").write_text("unknown;0\nrock;1\nhard;2\njazz;3\n")


def weights(model: Model) -> dict[str, bytes]:
    """The weight files of a model, by name."""
    return {path.name: path.read_bytes() for path in model.path.glob("*.safetensors")}


def change_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    data = torch.load(path, weights_only=True)
    change(data["model"])
    torch.save(data, path)


def write_port(**change: Any) -> Path:
    """A folder of the transformers port with the settings of a small model, and no weights."""
    folder = Path("port")
    folder.mkdir(exist_ok=True)
    settings = {"model_type": "jukebox", "vqvae_config": {"levels": 1}, "nb_priors": 1}
    prior = {"nb_relevant_lyric_tokens": 0, "attention_pattern": "full_dense_attention"}
    text = json.dumps({**settings, "prior_config_list": [prior], **change})
    (folder / "config.json").write_text(text)
    return folder
