"""Imported models compute the same as the transformers port with the same weights.

The port is a second reference beside the golden data, here with random weights of a few shapes. It
comes with the `dev` extra.
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

#: The lyrics have characters that no published charset has; both models leave them out.
pytestmark = pytest.mark.filterwarnings("ignore::jukebox_cli.interfaces.errors.InputWarning")

CPU = torch.device("cpu")
CLOSE: Settings = {"atol": 2e-4, "rtol": 0.0}
LEVELS = (0, 1, 2)
#: Codes, characters of the charset, characters of a window, samples of a song.
CODEBOOK_SIZE, VOCAB_SIZE, NUM_CHARACTERS, TOTAL = 32, 80, 16, 96_000

Settings = dict[str, Any]

VQVAE = {
    "levels": 3,
    "res_downs_t": [2, 1, 1],
    "res_strides_t": [2, 2, 2],
    "multipliers": [2, 1, 1],
    "embed_dim": 8,
    "nb_discrete_codes": CODEBOOK_SIZE,
    "res_conv_width": 8,
    "res_conv_depth": 4,
    "res_dilation_growth_rate": 3,
    "res_dilation_cycle": 3,
    "sample_length": 1024,
    "hop_fraction": [0.25, 0.5, 0.5],
}
PRIOR = {
    "music_vocab_size": CODEBOOK_SIZE,
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
    "mask": True,  # without it attention is not causal, except when sampling
}
UPSAMPLERS = [
    {**PRIOR, "merged_decoder": False, "conv_res_scale": True, "n_heads": 1},
    {**PRIOR, "merged_decoder": False, "conv_res_scale": False, "attn_res_scale": True},
]
ENCODER = {
    "hidden_size": 16,
    "n_ctx": NUM_CHARACTERS,
    "n_heads": 2,
    "blocks": 4,
    "num_layers": 3,
    "attention_pattern": "raw_column_previous_row_attention",
    "nb_relevant_lyric_tokens": NUM_CHARACTERS,
    "music_vocab_size": VOCAB_SIZE,
    "is_encoder_decoder": False,
    "mask": True,
}
LYRICS = {"nb_relevant_lyric_tokens": NUM_CHARACTERS, "lyric_vocab_size": VOCAB_SIZE}
#: Settings of top-level priors.
TOPS: dict[str, Settings] = {
    "no lyrics": {**PRIOR, "merged_decoder": True},
    "scaled": {**PRIOR, "num_layers": 5, "attn_res_scale": True, "mlp_multiplier": 2.0},
    "encoder": {
        **PRIOR,
        **LYRICS,
        "attention_pattern": "large_separated_enc_dec_w_lyrics",
        "num_layers": 30,
        "alignment_layer": 18,
        "alignment_head": 1,
        "encoder_config": ENCODER,
    },
    "one sequence": {
        **PRIOR,
        **LYRICS,
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
#: Characters of ids 1, 2, ..., in another order than the published ones.
CHARSET = "".join(chr(n) for n in range(33, 33 + VOCAB_SIZE - 1))
SONGS: tuple[Song, ...] = (
    {"artist": "Bo", "genre": ["jazz", "rock"], "lyrics": "abcdefghijk lmnop" * 4, "total": 12},
    {"artist": "di", "lyrics": "Hello", "total": 12},
)


def make_config(top: Settings) -> Any:
    return port.JukeboxConfig(
        vqvae_config=VQVAE,
        prior_config_list=[top, *reversed(UPSAMPLERS)],
        sampling_rate=8000,
        timing_dims=8,
        max_duration=20.0,
    )


def randomize(model: Any) -> Any:
    """Replace the initial weights, which are too small to tell rows from columns."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        scale = 1.0 if name.endswith("codebook") else 0.2
        base = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        tensor.copy_(base + scale * torch.randn(tensor.shape, generator=generator))
    return model.eval()


@dataclass(frozen=True)
class ImportedPort:
    """A model of the port, and the same model imported."""

    reference: Any
    model: Model
    registry: Registry

    @cached_property
    def priors(self) -> list[Prior]:
        return [load_prior(self.model, level, self.registry, CPU) for level in LEVELS]

    def reference_prior(self, level: int) -> Any:
        return self.reference.priors[2 - level]

    def reference_logits(self, level: int, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor | float]:
        """The port's logits and its losses of music and characters.

        Computed step by step, because its `forward_tokens` fails without lyrics.
        """
        prior = self.reference_prior(level)
        per_token, start, characters = prior.get_cond(self.upper(level), self.metadata(level))
        if prior.is_encoder_decoder:
            tokens, per_token = prior.prior_preprocess(
                [characters, tokens.clone()], [None, per_token]
            )
            losses, logits = prior.prior(
                tokens, per_token, start, get_preds=True, get_sep_loss=True
            )
            return logits, losses[1], losses[0]
        memory = prior.get_encoder_states(characters)
        bits, logits = prior.prior(tokens, per_token, start, memory, get_preds=True)
        if memory is None:
            return logits, bits, 0.0
        return logits, bits, prior.get_encoder_loss(memory, characters.contiguous())

    def tokens(self, level: int, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(level)
        return torch.randint(CODEBOOK_SIZE, (2, count), generator=generator)

    def window(self, level: int) -> Window:
        return Window(24_000, 64 * self.model.config.vqvae.hop_lengths[level], TOTAL)

    def metadata(self, level: int) -> Tensor:
        """Total length, start and length in samples, artist, genres, characters."""
        window, characters = self.window(level), self.characters(level)
        start = [TOTAL, window.start, window.length]
        rows = [[*start, 2, 2, 1, -1, -1, -1], [*start, 4, 0, -1, -1, -1, -1]]
        labels = torch.tensor(rows)
        return labels if characters is None else torch.cat([labels, characters], dim=1)

    def characters(self, level: int) -> Tensor | None:
        conditioners = load_conditioners(self.model, level, self.registry)
        if "lyrics" not in conditioners:
            return None
        shape = prior_shape(self.model.config, level)
        rows = [
            conditioners["lyrics"].encode(song, self.window(level), shape)["ids"] for song in SONGS
        ]
        return torch.from_numpy(np.stack(rows))

    def conditions(self, level: int) -> Conditioning:
        conditioners = load_conditioners(self.model, level, self.registry)
        arrays = encode_window(
            conditioners,
            self.songs(level),
            self.window(level),
            prior_shape(self.model.config, level),
        )
        tensors = {
            name: {key: torch.from_numpy(a) for key, a in each.items()}
            for name, each in arrays.items()
        }
        upper_tokens = self.tokens(level + 1, 32) if level < 2 else None
        return self.priors[level].condition(tensors, upper_tokens)

    def songs(self, level: int) -> list[Song]:
        return [{k: v for k, v in song.items() if k != "lyrics" or level == 2} for song in SONGS]

    def upper(self, level: int) -> list[Tensor]:
        """The tokens of the level above, where the port looks for them; empty at the top."""
        return [self.tokens(level + 1, 32)] * (3 - level) if level < 2 else []


def save(model: Any, folder: Path, form: str) -> None:
    """Write a model as on the hub: safetensors in one piece or in shards, or a pickle."""
    model.config.save_pretrained(folder)
    weights = model.state_dict()
    if form == "bin":
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        write_shards(without_shared(weights), folder, 3 if form == "shards" else 1)
    vocabulary = {"artists": ARTISTS, "genres": GENRES, "lyrics": character_ids()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))


def without_shared(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without a tied output layer, since safetensors stores no tensor twice."""
    addresses: set[int] = set()
    kept = {}
    for name, tensor in weights.items():
        if tensor.data_ptr() not in addresses:
            kept[name] = tensor
        addresses.add(tensor.data_ptr())
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


def character_ids() -> dict[str, int]:
    return {character: i for i, character in enumerate(CHARSET, 1)} | {"<unk>": 0}


def import_model(folder: Path, target: Path, registry: Registry) -> Model:
    checkpoints = read_checkpoints([folder])
    return write_imported_model(checkpoints, target, registry, [folder], lambda part: None)


@pytest.fixture(scope="module", params=TOPS)
def imported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, registry: Registry
) -> ImportedPort:
    folder = tmp_path_factory.mktemp("port")
    reference = randomize(port.JukeboxModel(make_config(TOPS[request.param])))
    save(reference, folder / "port", "one file")
    return ImportedPort(
        reference, import_model(folder / "port", folder / "imported", registry), registry
    )


@torch.inference_mode()
def test_codes_are_equal_and_audio_is_close(imported: ImportedPort) -> None:
    recording = torch.randn(2, 1024, 1, generator=torch.Generator().manual_seed(0))
    vqvae, codes = load_vqvae(imported.model, CPU), imported.reference.encode(recording)
    for level in LEVELS:
        assert torch.equal(vqvae.level(level).encode(recording.transpose(1, 2)), codes[level])
        decoded = imported.reference.decode(codes[level:], start_level=level)
        audio = vqvae.level(level).decode(codes[level]).transpose(1, 2)
        torch.testing.assert_close(audio, decoded, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_logits_and_losses_are_close(imported: ImportedPort, level: int) -> None:
    prior, tokens = imported.priors[level], imported.tokens(level, 64)
    expected, bits, character_loss = imported.reference_logits(level, tokens)
    conditions = imported.conditions(level)
    logits = prior(tokens, conditions)
    if prior.config.prefix_length:  # the port has characters before codes
        logits = torch.cat([logits[..., CODEBOOK_SIZE:], logits[..., :CODEBOOK_SIZE]], dim=2)
    assert expected.std() > 0.3
    torch.testing.assert_close(logits, expected, **CLOSE)
    loss = prior.loss(tokens, conditions)
    torch.testing.assert_close(loss.bits, bits, **CLOSE)
    weight = 0.4 * NUM_CHARACTERS / 64
    torch.testing.assert_close(loss.total, bits + weight * character_loss, **CLOSE)


@pytest.mark.parametrize("prompt", [0, 21])
@pytest.mark.parametrize("level", LEVELS)
@torch.inference_mode()
def test_greedy_tokens_are_equal(imported: ImportedPort, level: int, prompt: int) -> None:
    prior, conditions = imported.priors[level], imported.conditions(level)
    tokens = imported.tokens(level, 64)
    expected = imported.reference_prior(level).sample(
        2, tokens[:, :prompt].clone(), imported.upper(level), imported.metadata(level), top_k=1
    )
    caches = prior.make_caches(2, conditions)
    prior.prefill(tokens[:, :prompt], conditions, caches)
    for n in range(prompt, 64):
        tokens[:, n] = prior.step(tokens[:, n - 1], n, conditions, caches).argmax(1)
    assert torch.equal(torch.where(tokens < CODEBOOK_SIZE, tokens, 0), expected)


@pytest.mark.parametrize("form", ["shards", "bin"])
def test_weights_are_the_same_in_shards_and_pickles(
    form: str, tmp_path: Path, registry: Registry
) -> None:
    reference = randomize(port.JukeboxModel(make_config(TOPS["encoder"])))
    save(reference, tmp_path / "one", "one file")
    save(reference, tmp_path / form, form)
    one = import_model(tmp_path / "one", tmp_path / "a", registry)
    other = import_model(tmp_path / form, tmp_path / "b", registry)
    for path in one.path.iterdir():
        if path.name != "card.md":  # it has the name of the file
            assert (other.path / path.name).read_bytes() == path.read_bytes()
    if form == "shards":
        assert len(list((tmp_path / form).glob("*.safetensors"))) == 3


def test_names_and_characters_are_those_of_the_ports_vocabulary(imported: ImportedPort) -> None:
    fitted = imported.model.fitted_conditioners(2)
    assert fitted["artist"]["names"] == ["ada", "bo", "cy", "di", "ed"]
    assert fitted["genre"]["names"] == ["rock", "jazz", "folk"]
    if "lyrics" in fitted:
        assert fitted["lyrics"]["charset"] == CHARSET
    assert imported.model.config.sampling.hop_fraction == (0.5, 0.5, 0.25)


def test_ids_are_those_of_the_ports_tokenizer(tmp_path: Path, registry: Registry) -> None:
    reference = port.JukeboxModel(make_config(TOPS["encoder"]))
    save(randomize(reference), tmp_path / "port", "one file")
    (tmp_path / "port" / "vocab.json").unlink()
    names = {"artists": ["bo.v2", "ada_lovelace.v2"], "genres": ["rock.v2", "hard.v2", "jazz.v2"]}
    files = {}
    for kind, known in names.items():
        ids = {name: number for number, name in enumerate(["unknown", *known])}
        files[f"{kind}_file"] = str(tmp_path / f"{kind}.json")
        Path(files[f"{kind}_file"]).write_text(json.dumps(ids))
    (tmp_path / "lyrics.json").write_text("{}")  # the port has those of version 2
    files["lyrics_file"] = str(tmp_path / "lyrics.json")
    tokenizer = port.JukeboxTokenizer(
        **files, version=["v2"] * 3, max_n_lyric_tokens=NUM_CHARACTERS
    )
    tokenizer.save_pretrained(tmp_path / "port")
    (tmp_path / "port" / "lyrics.json").unlink()

    lyrics = "Tú, né(e) 5?\n~"
    (label, *_) = tokenizer("Ada Lovelace", "hard_rock", lyrics)["input_ids"]
    artist, *rest = label[0, 3:].tolist()  # after three lengths
    model = import_model(tmp_path / "port", tmp_path / "imported", registry)
    conditioners = load_conditioners(model, 2, registry)
    song = {"artist": "ada lovelace", "genre": ["Hard Rock"], "lyrics": lyrics}
    shape = prior_shape(model.config, 2)
    arrays = encode_window(conditioners, [song], Window(0, 1024, 1024), shape)
    assert arrays["artist"]["ids"].tolist() == [[artist]]
    assert arrays["genre"]["ids"].tolist() == [rest[:5]]
    characters = rest[5:]
    assert arrays["lyrics"]["ids"][0, -len(characters) :].tolist() == characters
