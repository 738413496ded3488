"""How the original program names its settings and tensors, and what they are called here.

Facts of the layout: Dhariwal et al. 2020, appendix B, and the checkpoints themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import NoReturn

from torch import Tensor

from jukebox_cli.api import InputError
from jukebox_cli.config.schema import Options, PriorConfig, UpsamplerConditionerConfig, VQVAEConfig

from . import hyperparameters
from .labels import Labels
from .weight_files import Checkpoint

#: What to do about a model that was never published.
_ONLY = "only models made like the published ones can be imported"

_THREE = ["row", "column", "previous"]


def patterns(order: int, depth: int) -> tuple[str, ...]:
    """What each layer attends to in an attention order, as the shortest part that repeats."""
    if order not in _ORDERS:
        known = ", ".join(map(str, _ORDERS))
        raise InputError(f"attention order {order} is not known here", f"known are {known}")
    if depth < 1:
        raise InputError("there are no layers", "is it one of Jukebox's?")
    layers = [_ORDERS[order](d) for d in range(depth)]
    period = next(p for p in range(1, depth + 1) if all(a == b for a, b in _apart(layers, p)))
    return tuple(layers[:period])


def _apart(layers: list[str], period: int) -> Iterator[tuple[str, str]]:
    return zip(layers, layers[period:], strict=False)


def _every_sixteenth(third: list[str]) -> Callable[[int], str]:
    return lambda d: third[d % 3] if d % 16 == 15 else _THREE[d % 3]


def _cycle(layers: list[str]) -> Callable[[int], str]:
    return lambda d: layers[d % len(layers)]


_ORDERS: dict[int, Callable[[int], str]] = {
    0: _cycle(["dense"]),
    1: _cycle(["row", "column"]),
    2: _cycle(_THREE),
    6: _cycle([*_THREE, "cross_attention"]),
    7: _cycle([*_THREE * 5, "cross_attention"]),
    8: _cycle([*_THREE * 3, "cross_attention"]),
    9: _cycle([*_THREE, "dense"]),
    10: _cycle([*_THREE * 3, *[*_THREE * 3, "cross_attention"] * 7]),
    11: _every_sixteenth(["cross_attention", "cross_attention", "dense"]),
    12: _every_sixteenth(["prefix", "prefix", "dense"]),
}


def vqvae_config(checkpoint: Checkpoint) -> VQVAEConfig:
    """The shape of the autoencoders."""
    said = hyperparameters.of_vqvae(checkpoint)
    if not said["vqvae_reverse_decoder_dilation"] and said["dilation_growth_rate"] != 1:
        raise InputError("a decoder with dilations as in the encoder is not known here", _ONLY)
    levels = said["levels"]
    multiply = said["hvqvae_multipliers"] or (1,) * levels
    downs = zip(said["strides_t"], said["downs_t"], strict=True)
    return VQVAEConfig(
        sample_rate=int(said["sr"]),
        strides=tuple((stride,) * down for stride, down in downs),
        codebook_size=said["l_bins"],
        embedding_dim=said["emb_width"],
        widths=tuple(said["width"] * m for m in multiply),
        depths=tuple(said["depth"] * m for m in multiply),
        dilation_growth_rate=said["dilation_growth_rate"],
        dilation_cycle=said["dilation_cycle"],
        hidden_ratio=float(said["m_conv"]),
    )


def vocabulary(ids: Mapping[str, int], bins: int) -> Options:
    """A name for each id from 1 on, where it is not known the number itself; and what other names
    there are for them."""
    first = {number: name for name, number in reversed(list(ids.items()))}
    names = [first.get(number, str(number)) for number in range(1, bins)]
    others = {
        name: first[number]
        for name, number in ids.items()
        if 0 < number < bins and first[number] != name
    }
    return {"names": names, "aliases": others}


#: The letters of the published models, from id 1 on; of label set 3 without the plus.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-+'\"()[] \t\n"


def alphabet(letters: int) -> str:
    """The letters of a vocabulary of 80 or 79, id 0 counted."""
    for known in (ALPHABET, ALPHABET.replace("+", "")):
        if len(known) + 1 == letters:
            return known
    raise InputError(f"an alphabet of {letters} letters is not known here", "known are 79 and 80")


class PriorLayout:
    """One prior checkpoint, read with the original program's eyes."""

    def __init__(self, checkpoint: Checkpoint, level: int, bins: int) -> None:
        self.checkpoint, self.bins = checkpoint, bins
        self.said = hyperparameters.of_prior(checkpoint, level, self.depth)
        for unusual in ("copy_input", "pos_init", "prime_pos_init", "y_cond_as_bias"):
            if self.said.get(unusual):
                raise InputError(f"a prior with {unusual} is not known here", _ONLY)

    @property
    def width(self) -> int:
        return self._shape("prior.x_emb.weight")[1]

    @property
    def depth(self) -> int:
        return _layers(self.checkpoint, "prior")

    @property
    def single(self) -> bool:
        """Whether lyrics go before the music, in one vocabulary with it."""
        return self._shape("prior.x_emb.weight")[0] > self.bins

    @property
    def letters(self) -> int:
        """Letters of a window; 0 without lyrics."""
        if self.single:
            return int(self.said["n_tokens"])
        places = self.checkpoint.shape("prime_prior.pos_emb.pos_emb")
        return places[0] if places else 0

    @property
    def label_set(self) -> int:
        """Which lists of artists and genres its ids are of: 2 or 3."""
        return 3 if self.said["labels_v3"] else 2

    @property
    def has_upper(self) -> bool:
        return "conditioner_blocks.0.x_emb.weight" in self.checkpoint.tensors

    @property
    def tied(self) -> bool:
        return not self.said["merged_decoder"]

    def config(self) -> PriorConfig:
        said, prefix = self.said, self.letters if self.single else 0
        return PriorConfig(
            context_length=self._shape("prior.pos_emb.pos_emb")[0] - prefix,
            width=self.width,
            depth=self.depth,
            heads=said["heads"],
            rows=said["blocks"] or 1,
            prefix_length=prefix,
            attention_patterns=self.patterns,
            attention_ratio=said["m_attn"],
            mlp_ratio=said["m_mlp"],
            residual_scale=bool(said["res_scale"]),
            final_norm=False,
            tie_embeddings=self.tied,
            conditioners={name: {} for name in self.learned(Labels())},
            upsampler_conditioner=self._upper(),
        )

    def _upper(self) -> UpsamplerConditionerConfig:
        said = self.said
        if not self.has_upper:
            return UpsamplerConditionerConfig()
        return UpsamplerConditionerConfig(
            width=said["cond_width"],
            depth=said["cond_depth"],
            dilation_growth_rate=said["cond_dilation_growth_rate"],
            dilation_cycle=said["cond_dilation_cycle"],
            hidden_ratio=float(said["cond_m_conv"]),
            residual_scale=bool(said["cond_res_scale"]),
        )

    def learned(self, labels: Labels) -> dict[str, Options]:
        """The fields of the conditioners this prior has."""
        found: dict[str, Options] = {}
        artists = self.checkpoint.shape("y_emb.artist_emb.emb.weight")
        genres = self.checkpoint.shape("y_emb.bow_genre_emb.emb.weight")
        if artists and genres:
            most, bag = int(self.said["max_bow_genre_size"]), not self.said["labels_v3"]
            found["artist"] = vocabulary(labels.artists, artists[0])
            known = vocabulary(labels.genres, genres[0])
            found["genre"] = {**known, "max_genres": most, "split_words": bag}
        if timing := self.checkpoint.shape("y_emb.total_length_emb.emb.weight"):
            shortest, longest = self.said["min_duration"], self.said["max_duration"]
            found["timing"] = {
                "num_bins": timing[0], "min_seconds": float(shortest), "max_seconds": float(longest)
            }  # fmt: skip
        if self.letters:
            found["lyrics"] = self._lyrics()
        return dict(sorted(found.items()))

    def _lyrics(self) -> Options:
        said, layer = self.said, self.said["alignment_layer"]
        common: Options = {
            "max_characters": self.letters,
            "prediction_loss_weight": float(said["prime_loss_fraction"]),
            "center_window": False,
            "attention_loss_weight": 0.0,
            "alignment_encoding": False,
            "alignment_head": None if layer is None else [layer, said["alignment_head"]],
        }
        if self.single:
            spelled = self._alphabet(self._shape("prior.x_emb.weight")[0] - self.bins)
            return {"form": "prefix", "tie_embeddings": self.tied, "charset": spelled, **common}
        known, width = self._shape("prime_prior.x_emb.weight")
        depth = _layers(self.checkpoint, "prime_prior")
        return {
            "form": "cross_attention",
            "charset": self._alphabet(known),
            "width": width,
            "depth": depth,
            "heads": said["prime_heads"],
            "rows": said["prime_blocks"] or 1,
            "attention_patterns": list(patterns(said["prime_attn_order"], depth)),
            "attention_ratio": said["prime_m_attn"],
            "mlp_ratio": said["prime_m_mlp"],
            "residual_scale": bool(said["prime_res_scale"]),
            **common,
        }

    def _alphabet(self, letters: int) -> str:
        """The one that the settings say, where it is of this vocabulary."""
        said = str(self.said["alphabet"])
        return said if len(said) + 1 == letters else alphabet(letters)

    def tensors(self) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        """Every tensor of ours with how to get it."""
        for name, get in self.checkpoint.tensors.items():
            if name == "prior.x_emb.weight":
                yield from self._vocabulary(get)
            elif name == "prior.x_out.weight":
                yield from self._output(get)
            elif ours := prior_name(name, self.pattern_of):
                yield ours, _squeezed(get) if ours.endswith("start_embedding") else get
            else:
                raise InputError(f"a prior with {name} is not known here", _ONLY)
        if "prior.start_token" not in self.checkpoint.tensors:
            yield "start_embedding", lambda: self.checkpoint.tensors["prior.x_emb.weight"]()[0] * 0

    @cached_property
    def patterns(self) -> tuple[str, ...]:
        return patterns(self.said["attn_order"], self.depth)

    def pattern_of(self, layer: int) -> str:
        return self.patterns[layer % len(self.patterns)]

    def _vocabulary(self, get: Callable[[], Tensor]) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        yield "token_embedding.weight", lambda: get()[-self.bins :]
        if self.single:
            yield "conditioners.lyrics.character_embedding.weight", lambda: get()[: -self.bins]

    def _output(self, get: Callable[[], Tensor]) -> Iterator[tuple[str, Callable[[], Tensor]]]:
        if self.tied:
            return
        yield "output.weight", lambda: get()[-self.bins :].T
        yield "output.bias", lambda: get()[-self.bins :, 0] * 0
        if self.single:
            yield "conditioners.lyrics.output_weight", lambda: get()[: -self.bins]

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.checkpoint.shape(name)
        if shape is None:
            raise InputError(f"the checkpoint of a prior has no {name}", "is it one of Jukebox's?")
        return shape


def _squeezed(get: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: get().flatten()


def _layers(checkpoint: Checkpoint, part: str) -> int:
    found = (re.match(rf"{part}\.transformer\._attn_mods\.(\d+)\.", n) for n in checkpoint.tensors)
    return 1 + max((int(m[1]) for m in found if m), default=-1)


_LAYER_PARTS = {
    "ln_0": "attention_norm",
    "ln_1": "mlp_norm",
    "mlp.c_fc": "mlp_in",
    "mlp.c_proj": "mlp_out",
    "attn.c_proj": "attention.out",
}
_PRIOR_PARTS = {
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
_ENDS = {"w": "weight", "b": "bias", "weight": "weight", "bias": "bias"}
_LAYER = re.compile(r"(prior|prime_prior)\.transformer\._attn_mods\.(\d+)\.(.+)\.(\w+)")


def prior_name(name: str, pattern_of: Callable[[int], str]) -> str | None:
    """What a tensor of a prior is called here; None for one that is not known."""
    if name in _PRIOR_PARTS:
        return _PRIOR_PARTS[name]
    if match := _LAYER.fullmatch(name):
        where = "" if match[1] == "prior" else "conditioners.lyrics."
        memory = match[1] == "prior" and pattern_of(int(match[2])) == "cross_attention"
        attention = {
            "attn.c_attn": "attention.query" if memory else "attention.qkv",
            "attn.c_enc_kv": "attention.key_value",
        }
        part = {**_LAYER_PARTS, **attention}.get(match[3])
        end = _ENDS.get(match[4])
        return f"{where}transformer.layers.{match[2]}.{part}.{end}" if part and end else None
    head, _, rest = name.partition("conditioner_blocks.0.cond.model.")
    return (
        f"upsampler_conditioner.convolutions.{_decoder_part(rest)}" if rest and not head else None
    )


_RESIDUAL = r"(?:model|blocks)\.(\d+)\.model\.([13])\.(weight|bias)"
_CONV = {"1": "dilated", "3": "pointwise"}


def _decoder_part(name: str) -> str:
    """A convolution of a decoder block: `0.weight`, `2.0.blocks.3.model.1.bias`, `2.1.weight`."""
    if match := re.fullmatch(rf"(\d+)\.0\.{_RESIDUAL}", name):
        place = 2 * int(match[1]) - 1
        return f"{place}.{match[2]}.{_CONV[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"(\d+)\.1\.(weight|bias)", name):
        return f"{2 * int(match[1])}.{match[2]}"
    return name


def _encoder_part(name: str, downs: int) -> str:
    """A convolution of an encoder block: `0.0.weight`, `0.1.model.2.model.1.bias`, `2.weight`."""
    if match := re.fullmatch(rf"(\d+)\.1\.{_RESIDUAL}", name):
        return f"{2 * int(match[1]) + 1}.{match[2]}.{_CONV[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"(\d+)\.0\.(weight|bias)", name):
        return f"{2 * int(match[1])}.{match[2]}"
    return name.replace(f"{downs}.", f"{2 * downs}.", 1)


_AUTOENCODER = re.compile(r"(encoders|decoders)\.(\d+)\.level_blocks\.(\d+)\.model\.(.+)")


def _no_place(name: str) -> NoReturn:
    what = f"it has {name}, which its settings have no place for"
    raise InputError(what, "are these files of one model, and complete?")


def autoencoder_name(name: str, config: VQVAEConfig) -> tuple[int, str] | None:
    """The level of a tensor of the VQ-VAE and what it is called here; None for training's own."""
    if match := _AUTOENCODER.fullmatch(name):
        level, block = int(match[2]), int(match[3])
        if not block <= level < config.num_levels:
            _no_place(name)
        if match[1] == "encoders":
            part = _encoder_part(match[4], len(config.strides[block]))
            return level, f"encoder.blocks.{block}.{part}"
        return level, f"decoder.blocks.{level - block}.{_decoder_part(match[4])}"
    if match := re.fullmatch(r"decoders\.(\d+)\.out\.(weight|bias)", name):
        found = int(match[1]), f"decoder.out.{match[2]}"
    elif match := re.fullmatch(r"bottleneck\.level_blocks\.(\d+)\.k", name):
        found = int(match[1]), "codebook.vectors"
    else:
        return None
    return found if found[0] < config.num_levels else _no_place(name)
