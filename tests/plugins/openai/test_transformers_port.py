"""The port of Jukebox to transformers computes what is computed here with its weights.

A second program to compare with, on random weights of a few shapes; it comes with the `dev` extra.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.model_folder import write_imported_model
from safetensors.torch import save_file
from torch import Tensor

from jukebox_cli.interfaces.conditioner import Song, Window
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior, load_vqvae
from jukebox_cli.model.prior import Prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model

port = pytest.importorskip(
    "transformers.models.deprecated.jukebox", reason="transformers is not installed"
)

#: The texts have letters that no published alphabet has; both programs leave them out.
pytestmark = pytest.mark.filterwarnings("ignore::jukebox_cli.interfaces.errors.InputWarning")

CPU = torch.device("cpu")
CLOSE = {"atol": 2e-4, "rtol": 0.0}
LEVELS = (0, 1, 2)
BINS, LETTERS, WORDS, TOTAL = 32, 80, 16, 96_000

VQVAE = {
    "levels": 3,
    "res_downs_t": [2, 1, 1],
    "res_strides_t": [2, 2, 2],
    "multipliers": [2, 1, 1],
    "embed_dim": 8,
    "nb_discrete_codes": BINS,
    "res_conv_width": 8,
    "res_conv_depth": 4,
    "res_dilation_growth_rate": 3,
    "res_dilation_cycle": 3,
    "sample_length": 1024,
    "hop_fraction": [0.25, 0.5, 0.5],
}
PRIOR = {
    "music_vocab_size": BINS,
    "hidden_size": 32,
    "n_ctx": 64,
    "n_heads": 2,
    "blocks": 8,
    "num_layers": 4,
    "metadata_dims": [4, 6],
    "res_downs_t": [2, 1, 1],
    "res_strides_t": [2, 2, 2],
    "res_conv_width": 8,
    "res_conv_depth": 3,
    "res_dilation_growth_rate": 3,
    "res_dilation_cycle": 2,
    "nb_relevant_lyric_tokens": 0,
    "is_encoder_decoder": False,
    "attention_pattern": "raw_column_previous_row_attention",
    "mask": True,  # otherwise it looks ahead, but when it samples
}
UPSAMPLERS = [
    {**PRIOR, "merged_decoder": False, "conv_res_scale": True, "n_heads": 1},
    {**PRIOR, "merged_decoder": False, "conv_res_scale": False, "attn_res_scale": True},
]
ENCODER = {
    "hidden_size": 16,
    "n_ctx": WORDS,
    "n_heads": 2,
    "blocks": 4,
    "num_layers": 3,
    "attention_pattern": "raw_column_previous_row_attention",
    "nb_relevant_lyric_tokens": WORDS,
    "music_vocab_size": LETTERS,
    "is_encoder_decoder": False,
    "mask": True,
}
SUNG = {"nb_relevant_lyric_tokens": WORDS, "lyric_vocab_size": LETTERS}
#: What is at the top.
TOPS: dict[str, dict[str, Any]] = {
    "no lyrics": {**PRIOR, "merged_decoder": True},
    "scaled": {**PRIOR, "num_layers": 5, "attn_res_scale": True, "mlp_multiplier": 2.0},
    "encoder": {
        **PRIOR,
        **SUNG,
        "attention_pattern": "large_separated_enc_dec_w_lyrics",
        "num_layers": 30,
        "alignment_layer": 18,
        "alignment_head": 1,
        "encoder_config": ENCODER,
    },
    "one sequence": {
        **PRIOR,
        **SUNG,
        "attention_pattern": "enc_dec_with_lyrics",
        "num_layers": 48,  # the last is dense
        "alignment_layer": 31,
        "alignment_head": 0,
        "is_encoder_decoder": True,
        "merged_decoder": False,
    },
}
ARTISTS = {"unknown": 0, "ada": 1, "bo": 2, "cy": 3, "di": 4, "ed": 5}
GENRES = {"unknown": 0, "rock": 1, "jazz": 2, "folk": 3}
#: ids from 1 on, in another order than the published ones
ALPHABET = "".join(chr(n) for n in range(33, 33 + LETTERS - 1))
SONGS: tuple[Song, ...] = (
    {"artist": "Bo", "genre": ["jazz", "rock"], "lyrics": "abcdefghijk lmnop" * 4, "total": 12},
    {"artist": "di", "lyrics": "Hello", "total": 12},
)


def config(top: dict[str, Any]) -> Any:
    return port.JukeboxConfig(
        vqvae_config=VQVAE,
        prior_config_list=[top, *reversed(UPSAMPLERS)],
        sampling_rate=8000,
        timing_dims=8,
        max_duration=20.0,
    )


def with_random_weights(model: Any) -> Any:
    """Those it begins with are too small to tell rows from columns."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        scale = 1.0 if name.endswith("codebook") else 0.2
        base = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        tensor.copy_(base + scale * torch.randn(tensor.shape, generator=generator))
    return model.eval()


@dataclass(frozen=True)
class Both:
    """One model in two programs."""

    theirs: Any
    model: Model
    registry: Registry

    @cached_property
    def priors(self) -> list[Prior]:
        return [load_prior(self.model, level, self.registry, CPU) for level in LEVELS]

    def their_prior(self, level: int) -> Any:
        return self.theirs.priors[2 - level]

    def their_logits(self, level: int, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """With the losses of music and letters. By hand: `forward_tokens` fails without lyrics."""
        prior = self.their_prior(level)
        frames, start, letters = prior.get_cond(self.above(level), self.metadata(level))
        if prior.is_encoder_decoder:
            tokens, frames = prior.prior_preprocess([letters, tokens.clone()], [None, frames])
            losses, logits = prior.prior(tokens, frames, start, get_preds=True, get_sep_loss=True)
            return logits, losses[1], losses[0]
        memory = prior.get_encoder_states(letters)
        bits, logits = prior.prior(tokens, frames, start, memory, get_preds=True)
        spelling = 0.0 if memory is None else prior.get_encoder_loss(memory, letters.contiguous())
        return logits, bits, spelling

    def tokens(self, level: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(level)
        return torch.randint(BINS, (2, count), generator=generator)

    def window(self, level: int) -> Window:
        return Window(24_000, 64 * self.model.config.vqvae.hop_lengths[level], TOTAL)

    def metadata(self, level: int) -> Tensor:
        """Total length, start and length in samples, artist, genres, letters."""
        window, letters = self.window(level), self.letters(level)
        start = [TOTAL, window.start, window.length]
        rows = [[*start, 2, 2, 1, -1, -1, -1], [*start, 4, 0, -1, -1, -1, -1]]
        labels = torch.tensor(rows)
        return labels if letters is None else torch.cat([labels, letters], dim=1)

    def letters(self, level: int) -> Tensor | None:
        parts = load_conditioners(self.model, level, self.registry)
        if "lyrics" not in parts:
            return None
        shape = prior_shape(self.model.config, level)
        rows = [parts["lyrics"].encode(song, self.window(level), shape)["ids"] for song in SONGS]
        return torch.from_numpy(np.stack(rows))

    def conditions(self, level: int) -> Conditioning:
        parts = load_conditioners(self.model, level, self.registry)
        arrays = encode_window(
            parts, self.songs(level), self.window(level), prior_shape(self.model.config, level)
        )
        tensors = {
            name: {key: torch.from_numpy(a) for key, a in each.items()}
            for name, each in arrays.items()
        }
        above = self.tokens(level + 1, 32) if level < 2 else None
        return self.priors[level].condition(tensors, above)

    def songs(self, level: int) -> list[Song]:
        return [{k: v for k, v in song.items() if k != "lyrics" or level == 2} for song in SONGS]

    def above(self, level: int) -> list[Tensor]:
        """What a lower level is told, at the place where the port looks for it."""
        return [self.tokens(level + 1, 32)] * (3 - level) if level < 2 else []


def save(model: Any, folder: Path, form: str) -> None:
    """As there are models on the hub: safetensors in one piece or in shards, an old pickle."""
    model.config.save_pretrained(folder)
    weights = model.state_dict()
    if form == "bin":
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        write_shards(without_copies(weights), folder, 3 if form == "shards" else 1)
    vocabulary = {"artists": ARTISTS, "genres": GENRES, "lyrics": letter_ids()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))


def without_copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An output layer may be the embedding of the tokens, and safetensors keep one of them."""
    places: set[int] = set()
    kept = {}
    for name, tensor in weights.items():
        if tensor.data_ptr() not in places:
            kept[name] = tensor
        places.add(tensor.data_ptr())
    return kept


def write_shards(weights: Mapping[str, Tensor], folder: Path, count: int) -> None:
    names = sorted(weights)
    if count == 1:
        save_file(dict(weights), folder / "model.safetensors")
        return
    files = {}
    for n in range(count):
        file = f"model-{n + 1:05}-of-{count:05}.safetensors"
        save_file({name: weights[name] for name in names[n::count]}, folder / file)
        files.update(dict.fromkeys(names[n::count], file))
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def letter_ids() -> dict[str, int]:
    return {letter: number for number, letter in enumerate(ALPHABET, 1)} | {"<unk>": 0}


def import_(folder: Path, target: Path, registry: Registry) -> Model:
    return write_imported_model(
        read_checkpoints([folder]), target, registry, [folder], lambda part: None
    )


@pytest.fixture(scope="module", params=TOPS)
def both(request, tmp_path_factory, registry) -> Both:
    folder = tmp_path_factory.mktemp("port")
    theirs = with_random_weights(port.JukeboxModel(config(TOPS[request.param])))
    save(theirs, folder / "theirs", "one file")
    return Both(theirs, import_(folder / "theirs", folder / "ours", registry), registry)


@torch.inference_mode()
def test_codes_are_equal_and_audio_is_close(both):
    audio = torch.randn(2, 1024, 1, generator=torch.Generator().manual_seed(0))
    ours, codes = load_vqvae(both.model, CPU), both.theirs.encode(audio)
    for level in LEVELS:
        assert torch.equal(ours.level(level).encode(audio.transpose(1, 2)), codes[level])
        decoded = both.theirs.decode(codes[level:], start_level=level)
        mine = ours.level(level).decode(codes[level])
        torch.testing.assert_close(mine.transpose(1, 2), decoded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_and_losses_are_close(both, level):
    prior, tokens = both.priors[level], both.tokens(level, 64)
    theirs, bits, spelling = both.their_logits(level, tokens)
    conditions = both.conditions(level)
    logits = prior(tokens, conditions)
    if prior.config.prefix_length:  # its letters come first
        logits = torch.cat([logits[..., BINS:], logits[..., :BINS]], dim=2)
    assert theirs.std() > 0.3
    torch.testing.assert_close(logits, theirs, **CLOSE)
    mine = prior.loss(tokens, conditions)
    torch.testing.assert_close(mine.bits, bits, **CLOSE)
    share = 0.4 * WORDS / 64  # of the letters, where there are any
    torch.testing.assert_close(mine.total, bits + share * spelling, **CLOSE)


@pytest.mark.parametrize("given", [0, 21])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_greedy_tokens_are_equal(both, level, given):
    prior, conditions = both.priors[level], both.conditions(level)
    tokens = both.tokens(level, 64)
    theirs = both.their_prior(level).sample(
        2, tokens[:, :given].clone(), both.above(level), both.metadata(level), top_k=1
    )
    caches = prior.make_caches(2, conditions)
    prior.prefill(tokens[:, :given], conditions, caches)
    for n in range(given, 64):
        tokens[:, n] = prior.step(tokens[:, n - 1], n, conditions, caches).argmax(1)
    assert torch.equal(torch.where(tokens < BINS, tokens, 0), theirs)


@pytest.mark.parametrize("form", ["shards", "bin"])
def test_weights_are_the_same_in_shards_and_old_files(form, tmp_path, registry):
    theirs = with_random_weights(port.JukeboxModel(config(TOPS["encoder"])))
    save(theirs, tmp_path / "one", "one file")
    save(theirs, tmp_path / form, form)
    one = import_(tmp_path / "one", tmp_path / "a", registry)
    other = import_(tmp_path / form, tmp_path / "b", registry)
    for path in one.path.iterdir():
        if path.name != "card.md":  # it tells its name
            assert (other.path / path.name).read_bytes() == path.read_bytes()
    if form == "shards":
        assert len(list((tmp_path / form).glob("*.safetensors"))) == 3


def test_names_and_letters_are_those_of_its_vocabulary(both):
    learned = both.model.fitted_conditioners(2)
    assert learned["artist"]["names"] == ["ada", "bo", "cy", "di", "ed"]
    assert learned["genre"]["names"] == ["rock", "jazz", "folk"]
    if "lyrics" in learned:
        assert learned["lyrics"]["charset"] == ALPHABET
    assert both.model.config.sampling.hop_fraction == (0.5, 0.5, 0.25)


def test_words_get_the_ids_that_its_tokenizer_gives_them(tmp_path, registry):
    model = port.JukeboxModel(config(TOPS["encoder"]))
    save(with_random_weights(model), tmp_path / "theirs", "one file")
    (tmp_path / "theirs" / "vocab.json").unlink()
    names = {"artists": ["bo.v2", "ada_lovelace.v2"], "genres": ["rock.v2", "hard.v2", "jazz.v2"]}
    files = {}
    for kind, known in names.items():
        ids = {name: number for number, name in enumerate(["unknown", *known])}
        files[f"{kind}_file"] = str(tmp_path / f"{kind}.json")
        Path(files[f"{kind}_file"]).write_text(json.dumps(ids))
    (tmp_path / "lyrics.json").write_text("{}")  # of label set 2 they are in its program
    files["lyrics_file"] = str(tmp_path / "lyrics.json")
    tokenizer = port.JukeboxTokenizer(**files, version=["v2"] * 3, max_n_lyric_tokens=WORDS)
    tokenizer.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs" / "lyrics.json").unlink()

    words = "Tú, né(e) 5?\n~"
    (theirs, *_) = tokenizer("Ada Lovelace", "hard_rock", words)["input_ids"]
    artist, *rest = theirs[0, 3:].tolist()  # after three lengths
    made = import_(tmp_path / "theirs", tmp_path / "ours", registry)
    parts = load_conditioners(made, 2, registry)
    song = {"artist": "ada lovelace", "genre": ["Hard Rock"], "lyrics": words}
    shape = prior_shape(made.config, 2)
    arrays = encode_window(parts, [song], Window(0, 1024, 1024), shape)
    assert arrays["artist"]["ids"].tolist() == [[artist]]
    assert arrays["genre"]["ids"].tolist() == [rest[:5]]
    spelled = rest[5:]
    assert arrays["lyrics"]["ids"][0, -len(spelled) :].tolist() == spelled
