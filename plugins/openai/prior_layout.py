"""The original program's priors: their settings, conditioners and tensors, as this program's.

Sources of the layout: Dhariwal et al. 2020, appendix B.2, and the checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from jukebox_cli.api import InputError
from jukebox_cli.api.models import Options, PriorConfig, UpsamplerConditionerConfig

from .attention_patterns import attention_patterns
from .hyperparameters import prior_hyperparameters
from .labels import Labels
from .prior_names import prior_tensor_name
from .vqvae_layout import ONLY_PUBLISHED
from .weight_files import Checkpoint, TensorLoader

#: The characters of the published models, from id 1 on; label set 3 has them without the plus.
CHARSET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?-+'\"()[] \t\n"

_LYRICS = "conditioners.lyrics"


def published_charset(vocab_size: int) -> str:
    """The characters of a vocabulary of 80 or 79 ids, id 0 counted."""
    for charset in (CHARSET, CHARSET.replace("+", "")):
        if len(charset) + 1 == vocab_size:
            return charset
    what = f"an alphabet of {vocab_size} characters is not known here"
    raise InputError(what, "known are 79 and 80")


def names_and_aliases(ids: Mapping[str, int], num_ids: int) -> Options:
    """`names`, one for each id from 1 on (the number itself if it has none), and `aliases`, the
    other names by which an id is known."""
    first = {number: name for name, number in reversed(list(ids.items()))}
    names = [first.get(number, str(number)) for number in range(1, num_ids)]
    aliases = {
        name: first[number]
        for name, number in ids.items()
        if 0 < number < num_ids and first[number] != name
    }
    return {"names": names, "aliases": aliases}


class PriorLayout:
    """What this program needs to know of one prior checkpoint.

    :raises InputError: if the checkpoint is not of a prior that this program can compute.
    """

    def __init__(self, checkpoint: Checkpoint, level: int, codebook_size: int) -> None:
        self.checkpoint, self.codebook_size = checkpoint, codebook_size
        self.hps = prior_hyperparameters(checkpoint, level, self.depth)
        for option in ("copy_input", "pos_init", "prime_pos_init", "y_cond_as_bias"):
            if self.hps.get(option):
                raise InputError(f"a prior with {option} is not known here", ONLY_PUBLISHED)

    @property
    def width(self) -> int:
        return self._shape("prior.x_emb.weight")[1]

    @property
    def depth(self) -> int:
        return _num_layers(self.checkpoint, "prior")

    @property
    def has_prefix(self) -> bool:
        """Whether lyrics go before the music in one sequence (the single encoder-decoder)."""
        return self._shape("prior.x_emb.weight")[0] > self.codebook_size

    @property
    def max_characters(self) -> int:
        """Characters of lyrics that a window sees; 0 for a prior without lyrics."""
        if self.has_prefix:
            return int(self.hps["n_tokens"])
        shape = self.checkpoint.shape("prime_prior.pos_emb.pos_emb")
        return shape[0] if shape else 0

    @property
    def label_set(self) -> int:
        """Which lists of artists and genres its ids are from: 2 or 3."""
        return 3 if self.hps["labels_v3"] else 2

    @property
    def tie_embeddings(self) -> bool:
        return not self.hps["merged_decoder"]

    @cached_property
    def attention_patterns(self) -> tuple[str, ...]:
        return attention_patterns(self.hps["attn_order"], self.depth)

    def pattern_of_layer(self, layer: int) -> str:
        """What a layer attends to."""
        return self.attention_patterns[layer % len(self.attention_patterns)]

    def config(self) -> PriorConfig:
        """The settings of the prior."""
        hps, prefix_length = self.hps, self.max_characters if self.has_prefix else 0
        return PriorConfig(
            context_length=self._shape("prior.pos_emb.pos_emb")[0] - prefix_length,
            width=self.width,
            depth=self.depth,
            heads=hps["heads"],
            rows=hps["blocks"] or 1,
            prefix_length=prefix_length,
            attention_patterns=self.attention_patterns,
            attention_ratio=hps["m_attn"],
            mlp_ratio=hps["m_mlp"],
            residual_scale=bool(hps["res_scale"]),
            final_norm=False,
            tie_embeddings=self.tie_embeddings,
            conditioners={name: {} for name in self.conditioners(Labels())},
            upsampler_conditioner=self._upsampler_conditioner(),
        )

    def conditioners(self, labels: Labels) -> dict[str, Options]:
        """The fitted fields of the prior's conditioners, by name."""
        found: dict[str, Options] = {}
        artists = self.checkpoint.shape("y_emb.artist_emb.emb.weight")
        genres = self.checkpoint.shape("y_emb.bow_genre_emb.emb.weight")
        if artists and genres:
            found["artist"] = names_and_aliases(labels.artists, artists[0])
            found["genre"] = {
                **names_and_aliases(labels.genres, genres[0]),
                "max_genres": int(self.hps["max_bow_genre_size"]),
                "split_words": not self.hps["labels_v3"],
            }
        if lengths := self.checkpoint.shape("y_emb.total_length_emb.emb.weight"):
            found["timing"] = {
                "num_bins": lengths[0],
                "min_seconds": float(self.hps["min_duration"]),
                "max_seconds": float(self.hps["max_duration"]),
            }
        if self.max_characters:
            found["lyrics"] = self._lyrics()
        return dict(sorted(found.items()))

    def tensors(self) -> Iterator[tuple[str, TensorLoader]]:
        """This program's name of every tensor, and its loader."""
        for name, load in self.checkpoint.tensors.items():
            if name == "prior.x_emb.weight":
                yield from self._token_embeddings(load)
            elif name == "prior.x_out.weight":
                yield from self._output_layer(load)
            elif new_name := prior_tensor_name(name, self.pattern_of_layer):
                yield new_name, _flattened(load) if new_name.endswith("start_embedding") else load
            else:
                raise InputError(f"a prior with {name} is not known here", ONLY_PUBLISHED)
        if "prior.start_token" not in self.checkpoint.tensors:
            embeddings = self.checkpoint.tensors["prior.x_emb.weight"]
            yield "start_embedding", lambda: embeddings()[0] * 0

    def _upsampler_conditioner(self) -> UpsamplerConditionerConfig:
        hps = self.hps
        if "conditioner_blocks.0.x_emb.weight" not in self.checkpoint.tensors:
            return UpsamplerConditionerConfig()
        return UpsamplerConditionerConfig(
            width=hps["cond_width"],
            depth=hps["cond_depth"],
            dilation_growth_rate=hps["cond_dilation_growth_rate"],
            dilation_cycle=hps["cond_dilation_cycle"],
            hidden_ratio=float(hps["cond_m_conv"]),
            residual_scale=bool(hps["cond_res_scale"]),
        )

    def _lyrics(self) -> Options:
        """The fields of the lyrics conditioner."""
        hps, layer = self.hps, self.hps["alignment_layer"]
        fields: Options = {
            "max_characters": self.max_characters,
            "prediction_loss_weight": float(hps["prime_loss_fraction"]),
            "center_window": False,
            "attention_loss_weight": 0.0,
            "alignment_encoding": False,
            "alignment_head": None if layer is None else [layer, hps["alignment_head"]],
        }
        return fields | (self._lyrics_prefix() if self.has_prefix else self._lyrics_encoder())

    def _lyrics_prefix(self) -> Options:
        vocab_size = self._shape("prior.x_emb.weight")[0] - self.codebook_size
        charset = self._charset(vocab_size)
        return {"form": "prefix", "tie_embeddings": self.tie_embeddings, "charset": charset}

    def _lyrics_encoder(self) -> Options:
        hps, depth = self.hps, _num_layers(self.checkpoint, "prime_prior")
        vocab_size, width = self._shape("prime_prior.x_emb.weight")
        return {
            "form": "cross_attention",
            "charset": self._charset(vocab_size),
            "width": width,
            "depth": depth,
            "heads": hps["prime_heads"],
            "rows": hps["prime_blocks"] or 1,
            "attention_patterns": list(attention_patterns(hps["prime_attn_order"], depth)),
            "attention_ratio": hps["prime_m_attn"],
            "mlp_ratio": hps["prime_m_mlp"],
            "residual_scale": bool(hps["prime_res_scale"]),
        }

    def _charset(self, vocab_size: int) -> str:
        """The characters in the hyperparameters if they are of this vocabulary, or the published
        ones."""
        charset = str(self.hps["alphabet"])
        return charset if len(charset) + 1 == vocab_size else published_charset(vocab_size)

    def _token_embeddings(self, load: TensorLoader) -> Iterator[tuple[str, TensorLoader]]:
        """One vocabulary holds the characters of a prefix, then the codes."""
        yield "token_embedding.weight", lambda: load()[-self.codebook_size :]
        if self.has_prefix:
            yield (
                f"{_LYRICS}.character_embedding.weight",
                lambda: load()[: -self.codebook_size],
            )

    def _output_layer(self, load: TensorLoader) -> Iterator[tuple[str, TensorLoader]]:
        if self.tie_embeddings:
            return
        yield "output.weight", lambda: load()[-self.codebook_size :].T
        yield "output.bias", lambda: load()[-self.codebook_size :, 0] * 0
        if self.has_prefix:
            yield f"{_LYRICS}.output_weight", lambda: load()[: -self.codebook_size]

    def _shape(self, name: str) -> tuple[int, ...]:
        shape = self.checkpoint.shape(name)
        if shape is None:
            raise InputError(f"the checkpoint of a prior has no {name}", "is it one of Jukebox's?")
        return shape


def _flattened(load: TensorLoader) -> TensorLoader:
    return lambda: load().flatten()


def _num_layers(checkpoint: Checkpoint, part: str) -> int:
    found = (re.match(rf"{part}\.transformer\._attn_mods\.(\d+)\.", n) for n in checkpoint.tensors)
    return 1 + max((int(m[1]) for m in found if m), default=-1)
