"""`jukebox model import`, from checkpoints to songs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jukebox_plugins.artist import Artist
from jukebox_plugins.genre import Genre

from jukebox_cli.interfaces.conditioner import PriorShape, Window
from jukebox_cli.storage.model import find_model
from jukebox_cli.storage.run import Run
from support import originals
from support.originals import (
    SINGLE,
    TOP,
    VQVAE,
)
from support.results import Result

Jukebox = Callable[..., Result]
Refused = Callable[..., None]


def test_a_model_is_imported_by_one_command(checkpoints: Path, jukebox: Jukebox) -> None:
    result = jukebox("model", "import", "checkpoints", "--name", "mine")
    assert result.code == 0
    assert result.out == "models/mine\n"
    parts = [f"{kind}-{level}" for kind in ("vqvae", "prior") for level in range(3)]
    warning = "no lists of artists and genres: they are called by their numbers; see --labels"
    assert result.err.splitlines() == [*(f"writing {p}" for p in parts), f"warning: {warning}"]
    assert jukebox("model", "list").out.split() == ["mine", "mini"]
    shown = jukebox("model", "show", "mine").out
    assert "level 2: hop length 16, 500 tokens/s: artist, genre, lyrics, timing" in shown
    assert "level 0: hop length 4, 2000 tokens/s: artist, genre\n" in shown
    assert "artist: 1, 2, 3, 4, 5, 6\n" in shown


@pytest.mark.slow
def test_songs_are_generated_with_an_imported_model(checkpoints: Path, jukebox: Jukebox) -> None:
    assert jukebox("model", "import", "checkpoints", "--name", "mine", "-q").code == 0
    options = ("--artist", 3, "--genre", "1 2", "--lyrics", "la la la", "--total", 20)
    made = jukebox("generate", "--model", "mine", *options, "--seconds", 1, "--out", "run", "-q")
    assert made == Result(0, "run\n", "")
    assert jukebox("continue", "run", "--seconds", 0.5, "-q").code == 0


def test_a_vqvae_alone_is_a_codec(here: Path, jukebox: Jukebox, tone: Path) -> None:
    (here / "checkpoints").mkdir()
    originals.save(here / "checkpoints" / "vqvae.pth.tar", originals.state(VQVAE), VQVAE)
    assert jukebox("model", "import", "checkpoints", "--name", "codec", "-q").code == 0
    assert jukebox("tokenize", tone, "--model", "codec", "--out", "run", "-q").code == 0
    assert jukebox("decode", "run", "-q").code == 0


def test_an_interrupted_import_can_be_repeated(checkpoints: Path, jukebox: Jukebox) -> None:
    left = Path("models/.mine.part")
    left.mkdir(parents=True)
    (left / "vqvae-0.safetensors").write_bytes(b"half")
    (left / ".prior-0.safetensors.part").write_bytes(b"half")
    assert "mine" not in jukebox("model", "list").out
    assert jukebox("model", "import", "checkpoints", "--name", "mine", "-q").code == 0
    assert find_model("mine").exists
    assert [path.name for path in Path("models").iterdir()] == ["mine"]


def test_artists_and_genres_have_names_from_lists(checkpoints: Path, jukebox: Jukebox) -> None:
    originals.write_lists(Path("ids"))
    command = ("model", "import", "checkpoints", "--name", "mine", "--labels", "ids", "-q")
    assert jukebox(*command) == Result(0, "models/mine\n", "")
    shown = jukebox("model", "show", "mine").out
    assert "artist: ada lovelace, bo, cy, di, 5, 6\n" in shown  # what has no name has a number
    assert "genre: rock, hard, jazz, 4\n" in shown
    options = ("--artist", "Ada_Lovelace", "--genre", "Hard Rock", "--seconds", 0.1, "--out", "run")
    assert jukebox("generate", "--model", "mine", *options, "-q").code == 0
    wrong = jukebox("generate", "--model", "mine", "--genre", "hard folk", "--out", "b", "-q")
    assert wrong.err.startswith("error: no genre 'folk' in this model, which knows 4\n")


def test_several_names_can_mean_one_artist(checkpoints: Path, jukebox: Jukebox) -> None:
    originals.write_lists(Path("ids"))
    with Path("ids/v2_artist_ids.txt").open("a") as file:
        file.write("bobo;2\nnobody;0\nbeyond;99\n")
    command = ("model", "import", "checkpoints", "--name", "mine", "--labels", "ids", "-q")
    assert jukebox(*command).code == 0
    learned = find_model("mine").fitted_conditioners(2)["artist"]
    assert learned["names"] == ["ada lovelace", "bo", "cy", "di", "5", "6"]
    assert learned["aliases"] == {"bobo": "bo"}
    artist = Artist(names=tuple(learned["names"]), aliases=learned["aliases"])
    assert [artist.label_id(name) for name in ("bo", "BoBo", "cy")] == [2, 2, 3]


def test_upsamplers_of_another_label_set_ignore_names_they_do_not_have(
    here: Path, jukebox: Jukebox
) -> None:
    """As the smaller published model has them: set 3 at the top, set 2 below."""
    originals.write(here / "checkpoints", {**SINGLE, "max_bow_genre_size": 1, "n_vocab": 79})
    originals.write_lists(Path("ids"))
    originals.write_lists(Path("ids"), version=3)
    Path("ids/v3_artist_ids.txt").write_text("unknown;0\nnew one;1\n")
    Path("ids/v3_genre_ids.txt").write_text("unknown;0\nhard folk;1\n")
    command = ("model", "import", "checkpoints", "--name", "mine", "--labels", "ids", "-q")
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
    name: str, checkpoints: Path, here: Path, jukebox: Jukebox
) -> None:
    top = {"openai-1b-lyrics": {**SINGLE, "n_vocab": 79}, "openai-5b": NO_LYRICS}.get(name, TOP)
    originals.write(checkpoints, top)
    assert jukebox("model", "import", "checkpoints", "--name", name, "-q").code == 0
    made = jukebox("generate", "--preset", name, "--seconds", 0.3, "--out", "run", "-q")
    assert made == Result(0, "run\n", "")
    config = Run(Path("run")).config
    assert config.hop_fraction == (0.5, 0.5, 0.125)
    assert config.sampling == ({"temperature": 0.99},) * 3


NO_LYRICS = {
    name: value for name, value in TOP.items() if not name.startswith(("prime_", "alignment_"))
}
NO_LYRICS |= {"attn_order": 2, "n_tokens": 0}


@pytest.mark.parametrize("name", ["a/b", "", ".", "..", ".hidden"])
def test_a_name_must_be_a_folder_name(name: str, checkpoints: Path, jukebox: Jukebox) -> None:
    result = jukebox("model", "import", "checkpoints", "--name", name)
    hint = "choose a name without slashes that doesn't begin with a dot"
    assert result == Result(2, "", f"error: a model can't be called '{name}'\n\nhint: {hint}\n")


def test_an_existing_model_is_not_replaced(checkpoints: Path, refused: Refused) -> None:
    Path("models/mine").mkdir(parents=True)
    Path("models/mine/config.yaml").touch()
    refused(error="models/mine exists already", hint="choose another --name, or remove it")
