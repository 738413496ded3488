"""Checkpoints of elsewhere, tiny and random: layouts, file formats, lists of names."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jukebox_plugins.artist import Artist
from jukebox_plugins.genre import Genre
from jukebox_plugins.openai import labels
from jukebox_plugins.openai.attention_patterns import attention_patterns
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.hyperparameters import prior_hyperparameters
from jukebox_plugins.openai.model_folder import write_imported_model
from jukebox_plugins.openai.weight_files import Checkpoint
from safetensors.torch import load_file

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.run import Run
from support import originals
from support.originals import SINGLE, TOP, VQVAE
from support.results import Result

Jukebox = Callable[..., Result]


def imported(folder: Path, registry: Registry, target: str = "ours") -> Model:
    parts = read_checkpoints([folder])
    return write_imported_model(
        parts, folder.parent / target, registry, [folder], lambda part: None
    )


def weights(model: Model) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.path.glob("*.safetensors")}


# what is imported


def test_a_model_is_brought_in_by_one_command(theirs: Path, jukebox: Jukebox) -> None:
    result = jukebox("model", "import", "theirs", "--name", "mine")
    assert result.code == 0
    assert result.out == "models/mine\n"
    parts = [f"{kind}-{level}" for kind in ("vqvae", "prior") for level in range(3)]
    warning = "no lists of artists and genres: they are called by their numbers; see --labels"
    assert result.err.splitlines() == [*(f"writing {p}" for p in parts), f"warning: {warning}"]
    assert jukebox("model", "list").out.split() == ["mine", "mini"]
    shown = jukebox("model", "show", "mine").out
    assert "level 2: hop 16, 500 tokens/s: artist, genre, lyrics, timing" in shown
    assert "level 0: hop 4, 2000 tokens/s: artist, genre\n" in shown
    assert "artist: 1, 2, 3, 4, 5, 6\n" in shown


def test_it_sings(theirs: Path, jukebox: Jukebox) -> None:
    assert jukebox("model", "import", "theirs", "--name", "mine", "-q").code == 0
    said = ("--artist", 3, "--genre", "1 2", "--lyrics", "la la la", "--total", 20)
    made = jukebox("generate", "--model", "mine", *said, "--seconds", 1, "--out", "run", "-q")
    assert made == Result(0, "run\n", "")
    assert jukebox("continue", "run", "--seconds", 0.5, "-q").code == 0


def test_weights_keep_their_precision_and_their_numbers(theirs: Path, registry: Registry) -> None:
    model = imported(theirs, registry)
    for path in model.path.glob("*.safetensors"):
        assert {tensor.dtype for tensor in load(path)} == {torch.float16}
    there = load_file(model.weights("prior-2"))
    given = originals.state(TOP, 2)
    name = "transformer._attn_mods.9.attn.c_enc_kv.w"
    project = there["transformer.layers.9.attention.key_value.weight"]
    assert torch.equal(project, given[f"prior.{name}"])
    assert torch.equal(there["token_embedding.weight"], given["prior.x_emb.weight"])
    assert torch.equal(there["output.weight"], given["prior.x_out.weight"].T)


def test_no_state_of_training_comes_along(theirs: Path, registry: Registry) -> None:
    model = imported(theirs, registry)
    there = sorted(path.name for path in model.path.iterdir())
    parts = [f"{kind}-{n}.safetensors" for kind in ("prior", "vqvae") for n in range(3)]
    lists = [f"prior-{n}.json" for n in range(3)]
    assert there == sorted(["card.md", "config.yaml", *lists, *parts])


def test_files_of_before_pytorch_1_6_are_read_alike(here: Path, registry: Registry) -> None:
    new = imported(originals.write(here / "new"), registry, "a")
    old = imported(originals.write(here / "old", zipped=False), registry, "b")
    assert weights(new) == weights(old)


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_in_memory_one_after_another(
    zipped: bool, here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """benchmarks/published_sizes.py shows it with files of a published size."""
    alive: dict[int, int] = {}
    most: list[int] = []

    class Watched(np.memmap):
        def __new__(cls, *words: Any) -> Any:
            mapped = super().__new__(cls, *words)
            alive[id(mapped)] = mapped.size
            most.append(sum(alive.values()))
            weakref.finalize(mapped, alive.pop, id(mapped))
            return mapped

    folder = originals.write(here / "theirs", zipped=zipped)
    monkeypatch.setattr("jukebox_cli.storage.tensors.np.memmap", Watched)
    model = imported(folder, registry)
    sizes = [2 * t.numel() for file in model.path.glob("*.safetensors") for t in load(file)]
    assert len(most) > len(sizes)
    assert max(most) <= 2 * max(sizes) < sum(sizes) / 10


def load(path: Path) -> list[torch.Tensor]:
    return list(load_file(path).values())


def test_models_trained_on_several_gpus_have_longer_names(theirs: Path, registry: Registry) -> None:
    plain = imported(theirs, registry, "a")
    path = theirs / "prior_level_1.pth.tar"
    data = torch.load(path, weights_only=True)
    data["model"] = {f"module.{name}": tensor for name, tensor in data["model"].items()}
    torch.save(data, path)
    assert weights(imported(theirs, registry, "b")) == weights(plain)


def test_a_vqvae_alone_is_a_codec(here: Path, jukebox: Jukebox, tone: Path) -> None:
    (here / "theirs").mkdir()
    originals.save(here / "theirs" / "vqvae.pth.tar", originals.state(VQVAE), VQVAE)
    assert jukebox("model", "import", "theirs", "--name", "codec", "-q").code == 0
    assert jukebox("tokenize", tone, "--model", "codec", "--out", "run", "-q").code == 0
    assert jukebox("decode", "run", "-q").code == 0


def test_what_models_share_may_be_in_another_folder(theirs: Path, registry: Registry) -> None:
    whole = imported(theirs, registry, "a")
    Path("top").mkdir()
    shutil.move(theirs / "prior_level_2.pth.tar", "top")
    parts = read_checkpoints([Path("top"), theirs])
    apart = write_imported_model(parts, Path("b"), registry, [], lambda part: None)
    assert weights(apart) == weights(whole)


def test_an_import_that_was_stopped_is_done_again(theirs: Path, jukebox: Jukebox) -> None:
    left = Path("models/mine")
    left.mkdir(parents=True)
    (left / "vqvae-0.safetensors").write_bytes(b"half")
    (left / ".prior-0.safetensors.1234.part").write_bytes(b"half")
    assert "mine" not in jukebox("model", "list").out
    assert jukebox("model", "import", "theirs", "--name", "mine", "-q").code == 0
    assert find_model("mine").exists


# layouts


@pytest.mark.parametrize(
    ("order", "wanted"),
    [
        (0, "d" * 12),
        (1, "rcrcrcrc"),
        (2, "rcprcp"),
        (6, "rcpmrcpm"),
        (7, "rcprcprcprcprcpmrcp"),
        (8, "rcprcprcpmrcprcprcpmrcp"),
        (9, "rcpdrcpd"),
        (10, "rcprcprcp" + "rcprcprcpm" * 7 + "rcp"),
        (11, "rcprcprcprcprcpm" + "cprcprcprcprcprm" + "prcprcprcprcprcd" + "rcp"),
        (12, "rcprcprcprcprcpx" + "cprcprcprcprcprx" + "prcprcprcprcprcd" + "rcp"),
    ],
)
def test_attention_orders(order: int, wanted: str) -> None:
    """r row, c column, p previous row, d dense, m memory, x prefix."""
    names = {"x": "prefix", "r": "row", "c": "column", "p": "previous", "d": "dense"}
    names["m"] = "cross_attention"
    found = attention_patterns(order, len(wanted))
    layers = [found[n % len(found)] for n in range(len(wanted))]
    assert layers == [names[letter] for letter in wanted]


@pytest.mark.parametrize("order", [0, 1, 2, 6, 7, 8, 9, 10, 11, 12])
def test_every_order_is_a_network(order: int, here: Path, registry: Registry) -> None:
    """Those whose layers attend to lyrics with an encoder, the last in one sequence with them."""
    top = {**(SINGLE if order == 12 else TOP), "attn_order": order, "prior_depth": 33}
    model = imported(originals.write(here / "theirs", top), registry)
    prior = load_prior(model, 2, registry, torch.device("cpu"))
    kinds, repeated = [b.attention.pattern for b in prior.transformer.layer_list()], set_of(order)
    assert kinds == [repeated[n % len(repeated)] for n in range(33)]


def set_of(order: int) -> tuple[str, ...]:
    return attention_patterns(order, 33)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("merged", [True, False])
@pytest.mark.parametrize("top", [TOP, SINGLE], ids=["encoder", "one sequence"])
def test_settings_become_ours(
    top: dict[str, Any], merged: bool, scale: bool, here: Path, registry: Registry
) -> None:
    said = {**top, "merged_decoder": merged, "res_scale": scale}
    config = imported(originals.write(here / "theirs", said), registry).config.priors[2]
    assert isinstance(config, PriorConfig)
    assert (config.tie_embeddings, config.residual_scale, config.final_norm) == (
        not merged,
        scale,
        False,
    )
    assert config.context_length == 64
    assert config.prefix_length == (8 if top is SINGLE else 0)


def test_every_label_set_has_its_genres_and_letters(here: Path, registry: Registry) -> None:
    second = imported(originals.write(here / "second", TOP), registry, "a").fitted_conditioners(2)
    small = {**SINGLE, "max_bow_genre_size": 1, "n_vocab": 79}
    third = imported(originals.write(here / "third", small), registry, "b").fitted_conditioners(2)
    assert (second["genre"]["max_genres"], second["genre"]["split_words"]) == (5, True)
    assert (third["genre"]["max_genres"], third["genre"]["split_words"]) == (1, False)
    assert len(second["lyrics"]["charset"]) == 79
    assert len(third["lyrics"]["charset"]) == 78
    assert set(second["lyrics"]["charset"]) - set(third["lyrics"]["charset"]) == {"+"}
    assert (second["lyrics"]["form"], third["lyrics"]["form"]) == ("cross_attention", "prefix")


def test_the_head_that_follows_the_words_is_kept(here: Path, registry: Registry) -> None:
    known = imported(originals.write(here / "a", TOP), registry, "ours-a")
    assert known.fitted_conditioners(2)["lyrics"]["alignment_head"] == [9, 1]
    unknown = {**TOP, "alignment_layer": None, "alignment_head": None}
    model = imported(originals.write(here / "b", unknown), registry, "ours-b")
    assert model.fitted_conditioners(2)["lyrics"]["alignment_head"] is None


# checkpoints that do not say how they were trained


@pytest.mark.parametrize(
    ("level", "top", "wanted"),
    [
        (0, None, {"heads": 1, "attn_order": 2, "blocks": 128, "cond_res_scale": False}),
        (1, None, {"heads": 1, "attn_order": 2, "cond_depth": 16, "cond_res_scale": True}),
        (2, (8192, 4800, 72), {"heads": 8, "merged_decoder": True, "min_duration": 60.0}),
        (2, (8192, 4800, 79), {"attn_order": 10, "n_tokens": 512, "alignment_layer": 68}),
        (2, (6528, 2048, 72), {"attn_order": 12, "labels_v3": True, "min_duration": 17.84}),
    ],
)
def test_published_models_are_known_by_their_shapes(
    level: int, top: tuple[int, int, int] | None, wanted: dict[str, Any]
) -> None:
    positions, width, layers = top or (8192, 1920, 72)
    place = torch.empty(positions, width, device="meta")
    checkpoint = Checkpoint({"prior.pos_emb.pos_emb": lambda: place})
    found = prior_hyperparameters(checkpoint, level, layers)
    assert {name: found[name] for name in wanted} == wanted
    told = Checkpoint(checkpoint.tensors, {"heads": 3, "min_duration": None})
    assert prior_hyperparameters(told, level, layers)["heads"] == 3
    assert prior_hyperparameters(told, level, layers)["min_duration"] == found["min_duration"]


# lists of names


def test_artists_and_genres_get_their_names(theirs: Path, jukebox: Jukebox) -> None:
    originals.write_lists(Path("ids"))
    command = ("model", "import", "theirs", "--name", "mine", "--labels", "ids", "-q")
    assert jukebox(*command) == Result(0, "models/mine\n", "")
    shown = jukebox("model", "show", "mine").out
    assert "artist: ada lovelace, bo, cy, di, 5, 6\n" in shown  # what has no name has a number
    assert "genre: rock, hard, jazz, 4\n" in shown
    said = ("--artist", "Ada_Lovelace", "--genre", "Hard Rock", "--seconds", 0.1, "--out", "run")
    assert jukebox("generate", "--model", "mine", *said, "-q").code == 0
    wrong = jukebox("generate", "--model", "mine", "--genre", "hard folk", "--out", "b", "-q")
    assert wrong.err.startswith("error: no genre 'folk' in this model, which knows 4\n")


def test_lists_of_another_set_are_not_taken(theirs: Path) -> None:
    originals.write_lists(Path("ids"), version=3)
    assert labels.find_labels([Path("ids")], 2) == labels.Labels()
    assert labels.find_labels([Path("ids")], 3).artists["bo"] == 2


def test_the_ports_names_are_those_of_one_set(here: Path) -> None:
    artists = {"unknown": 0, "ada.v2": 1, "bo.v2": 2, "bo": 1, "cy": 2}
    text = json.dumps({"artists": artists, "genres": {"unknown": 0, "rock.v2": 1, "folk": 1}})
    (here / "vocab.json").write_text(text)
    assert labels.find_labels([here], 2).artists == {"ada": 1, "bo": 2}
    assert labels.find_labels([here], 3).artists == {"unknown": 0, "bo": 1, "cy": 2}


def test_several_names_can_mean_one_artist(theirs: Path, jukebox: Jukebox) -> None:
    originals.write_lists(Path("ids"))
    with Path("ids/v2_artist_ids.txt").open("a") as file:
        file.write("bobo;2\nnobody;0\nbeyond;99\n")
    command = ("model", "import", "theirs", "--name", "mine", "--labels", "ids", "-q")
    assert jukebox(*command).code == 0
    learned = find_model("mine").fitted_conditioners(2)["artist"]
    assert learned["names"] == ["ada lovelace", "bo", "cy", "di", "5", "6"]
    assert learned["aliases"] == {"bobo": "bo"}
    artist = Artist(names=tuple(learned["names"]), aliases=learned["aliases"])
    assert [artist.artist_id(name) for name in ("bo", "BoBo", "cy")] == [2, 2, 3]


def test_upsamplers_of_another_label_set_take_what_the_top_knows(
    here: Path, jukebox: Jukebox
) -> None:
    """As the smaller published model has them: set 3 at the top, set 2 below."""
    originals.write(here / "theirs", {**SINGLE, "max_bow_genre_size": 1, "n_vocab": 79})
    originals.write_lists(Path("ids"))
    originals.write_lists(Path("ids"), version=3)
    Path("ids/v3_artist_ids.txt").write_text("unknown;0\nnew one;1\n")
    Path("ids/v3_genre_ids.txt").write_text("unknown;0\nhard folk;1\n")
    command = ("model", "import", "theirs", "--name", "mine", "--labels", "ids", "-q")
    assert jukebox(*command).code == 0
    make = ("generate", "--model", "mine", "--seconds", 0.1, "-q", "--out")
    assert jukebox(*make, "a", "--artist", "New One", "--genre", "Hard Folk").code == 0
    lower = find_model("mine").fitted_conditioners(0)
    parts = {"artist": Artist(**lower["artist"]), "genre": Genre(**lower["genre"])}
    song, shape = {"artist": "new one", "genre": ["hard folk"]}, PriorShape(16, 64, 4, 8000)
    ids = {n: p.encode(song, Window(0, 256, 800), shape)["ids"].tolist() for n, p in parts.items()}
    assert ids == {"artist": [0], "genre": [2, -1, -1, -1, -1]}
    wrong = jukebox(*make, "b", "--artist", "nobody")
    assert wrong.err.startswith("error: no artist 'nobody' in this model, which knows 6\n")


@pytest.mark.parametrize("name", ["openai-1b-lyrics", "openai-5b", "openai-5b-lyrics"])
def test_the_published_settings_are_a_preset(
    name: str, theirs: Path, here: Path, jukebox: Jukebox
) -> None:
    top = {"openai-1b-lyrics": {**SINGLE, "n_vocab": 79}, "openai-5b": NO_LYRICS}.get(name, TOP)
    originals.write(theirs, top)
    assert jukebox("model", "import", "theirs", "--name", name, "-q").code == 0
    made = jukebox("generate", "--preset", name, "--seconds", 0.3, "--out", "run", "-q")
    assert made == Result(0, "run\n", "")
    config = Run(Path("run")).config
    assert config.hop_fraction == (0.5, 0.5, 0.125)
    assert config.sampling == ({"temperature": 0.99},) * 3


NO_LYRICS = {
    name: value for name, value in TOP.items() if not name.startswith(("prime_", "alignment_"))
}
NO_LYRICS |= {"attn_order": 2, "n_tokens": 0}
