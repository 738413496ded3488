"""`jukebox train prior`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model, builtin_models, find_model
from support.command_line import SECONDS, Jukebox, Refused, stdout_of
from support.run_files import write_chord
from support.tiny_model import TINY


def test_a_model_is_trained_and_generates_a_song(jukebox: Jukebox, tmp_path: Path) -> None:
    """train vqvae -> tokenize -> train prior -> generate, all by the command line."""
    (tmp_path / "shape.yaml").write_text(TINY)
    sounds = [write_chord(tmp_path / "sounds" / f"{n}.wav", 0.3) for n in range(3)]
    rows = [{"audio": s.name, "genre": "rock", "held_out": s is sounds[2]} for s in sounds]
    manifest = tmp_path / "sounds" / "songs.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    model, corpus = tmp_path / "model", tmp_path / "corpus"
    few = ("--steps", 2, "--batch", 1)

    shape = ("--preset", tmp_path / "shape.yaml", "--crop", 0.1)
    out = stdout_of(jukebox("train", "vqvae", manifest, "--model", model, *shape, *few))
    assert out.splitlines() == [str(Model(model).weights(f"vqvae-{n}")) for n in range(3)]
    stdout_of(jukebox("tokenize", manifest, "--model", model, "--out", corpus))
    for level in (2, 1, 0):
        result = jukebox("train", "prior", corpus, "--model", model, "--level", level, *few)
        assert stdout_of(result) == f"{Model(model).weights(f'prior-{level}')}\n"
        assert result.err.startswith(f"prior-{level}: 2 steps\n")
        assert re.search(rf"^prior-{level}: held out: bits_per_token \d", result.err, re.MULTILINE)
    assert Model(model).fitted_conditioners(2)["genre"]["names"] == ["rock"]
    words = ("--model", model, "--seconds", SECONDS, "--genre", "rock", "--out", tmp_path / "song")
    stdout_of(jukebox("generate", *words))
    assert soundfile.info(tmp_path / "song/audio/item-00.wav").frames == 400


def corpus(place: Path, model: str) -> Corpus:
    made = Corpus(place / "corpus")
    made.write_config(CorpusConfig.of_model(Model(place / "models" / model)))
    return made


def test_an_invalid_corpus_is_an_error(place: Path, refused: Refused) -> None:
    prior = ("train", "prior", "corpus", "--model", "models/tiny", "--level")
    (place / "corpus").mkdir()
    error = "corpus is not a corpus"
    refused(*prior, 2, error=error, hint="make one with `jukebox tokenize`")
    made = corpus(place, "other")
    refused(
        *(*prior, 2),
        error="corpus was tokenized with another model than 'tiny'",
        hint="tokenize the songs again with this model, into a new corpus",
    )
    refused(
        *("tokenize", "tone.wav", "--as", "corpus", "--model", "tiny", "--out", "corpus", "-q"),
        error="corpus was made with another model than 'tiny'",
        hint="choose another folder with --out",
    )
    corpus(place, "tiny")
    empty = "corpus holds no songs to train on"
    refused(*prior, 2, error=empty, hint="add some with `jukebox tokenize`")
    refused(*prior, 3, error="model 'tiny' has no level 3", hint="its levels are 0, 1, 2")
    made.append("a", 160, {}, True, [np.zeros(40), np.zeros(20), np.zeros(10)])
    refused(*prior, 2, error=empty, hint="add some with `jukebox tokenize`")
    made.append("b", 160, {}, False, [np.zeros(40), np.zeros(20), np.zeros(10)])
    os.truncate(place / "corpus/level-1.bin", 78)
    refused(
        *(*prior, 2),
        error="corpus/level-1.bin is damaged: 39 tokens, not 40",
        hint="tokenize the songs into a new corpus",
    )


def test_a_built_in_model_is_not_trained(place: Path, refused: Refused) -> None:
    made = Corpus(place / "corpus")
    made.write_config(CorpusConfig.of_model(find_model("mini")))
    words = ("train", "prior", "corpus", "--model", "mini", "--level", 2)
    folder = builtin_models() / "mini"
    refused(
        *words,
        error="'mini' is a built-in model, which can't be trained",
        hint=f"copy {folder} and train the copy: --model models/my-mini",
    )
    refused(
        *(*words, "--from", "tiny", "--add", "lyrics"),
        error="mini would hide the built-in model 'mini'",
        hint="choose another folder: --model models/my-mini",
    )


LYRICS = "conditioner 'lyrics': "


@pytest.mark.parametrize(
    ("settings", "error", "hint"),
    [
        (
            ["lyrics.max_characters=-1"],
            LYRICS + "max_characters must be 1 or more, not -1",
            "correct --set lyrics.max_characters=-1",
        ),
        (
            ["lyrics.rows=0", "lyrics.heads=2"],
            LYRICS + "rows must be 1 or more, not 0",
            "correct --set lyrics.rows=0 --set lyrics.heads=2",
        ),
        (
            ["lyrics.max_characters=33"],
            LYRICS + "max_characters must be a multiple of rows (32), not 33",
            "correct --set lyrics.max_characters=33",
        ),
        (
            ["lyrics.attention_loss_weight=-0.5"],
            LYRICS + "attention_loss_weight must be 0 or more, not -0.5",
            "correct --set lyrics.attention_loss_weight=-0.5",
        ),
        (
            ["lyrics.max_charcters=64"],
            "no setting 'max_charcters' of conditioner 'lyrics'",
            "did you mean 'max_characters'?",
        ),
    ],
)
def test_an_invalid_setting_of_an_added_conditioner_is_named(
    settings: list[str], error: str, hint: str, refused: Refused
) -> None:
    words = ("train", "prior", "corpus", "--model", "new", "--level", 2, "--from", "tiny")
    chosen = [word for setting in settings for word in ("--set", setting)]
    refused(*words, "--add", "lyrics", *chosen, error=error, hint=hint)
