"""Training priors: fitted conditioners, held-out songs, refused corpora, and learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from jukebox_plugins.artist import Artist

from jukebox_cli.interfaces.conditioner import Song
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from jukebox_cli.train.prior import prepare_prior_task
from jukebox_cli.train.trainer import TrainingConfig, train
from support.training import CODEC, PRIOR, add, new_corpus, new_model


@pytest.mark.slow
def test_a_prior_learns_the_next_token_of_each_artist(
    corpus: Corpus, tmp_path: Path, registry: Registry
) -> None:
    prior = replace(PRIOR, attention_patterns=("dense",), depth=3)
    task = prepare_prior_task(
        new_model(tmp_path / "dense", prior=prior), 1, corpus, registry, batch_size=8
    )
    config = TrainingConfig(steps=600, learning_rate=5e-3, warmup_steps=10, precision="fp32")
    unigram_entropy = 2.0  # bits: four equally frequent tokens
    metrics = train(task, Model(tmp_path / "dense"), config)
    assert metrics["bits_per_token"] < unigram_entropy / 4
    artists = task.windows.conditioners["artist"]
    assert isinstance(artists, Artist)
    for artist, following in (("Up", 6), ("Down", 2)):
        ids = torch.tensor([[artists.label_id(artist)]])
        conditioning = task.module.condition({"artist": {"ids": ids}})
        probabilities = task.module(torch.tensor([[4, 0]]), conditioning)[0, 1].softmax(0)
        assert probabilities[following] > 0.9


def refusal(model: Model, level: int, corpus: Corpus, registry: Registry) -> tuple[str, str | None]:
    with pytest.raises(InputError) as caught:
        prepare_prior_task(model, level, corpus, registry)
    return caught.value.message, caught.value.hint


def test_a_corpus_of_another_codec_is_refused(
    corpus: Corpus, registry: Registry, tmp_path: Path
) -> None:
    other = new_model(tmp_path / "other", replace(CODEC, codebook_size=32))
    assert refusal(other, 0, corpus, registry) == (
        f"{corpus.path} was tokenized with another model than 'other'",
        "tokenize the songs again with this model, into a new corpus",
    )


def test_a_corpus_of_held_out_songs_alone_is_refused(
    model: Model, registry: Registry, tmp_path: Path
) -> None:
    corpus = new_corpus(tmp_path / "empty", model)
    add(corpus, "Up", np.arange(200) % 8, held_out=True)
    assert refusal(model, 0, corpus, registry) == (
        f"{corpus.path} holds no songs to train on",
        "add some with `jukebox tokenize`",
    )


def test_a_level_that_the_model_does_not_have_is_refused(
    model: Model, corpus: Corpus, registry: Registry
) -> None:
    assert refusal(model, 2, corpus, registry) == (
        "model 'model' has no level 2",
        "its levels are 0, 1",
    )


def test_conditioners_are_fitted_once(model: Model, corpus: Corpus, registry: Registry) -> None:
    prepare_prior_task(model, 0, corpus, registry)
    fitted = model.fitted_conditioners(0)
    assert fitted["artist"]["names"] == ["Down", "Up"]
    add(corpus, "Newcomer", np.arange(200) % 8)
    task = prepare_prior_task(model, 0, corpus, registry)
    assert model.fitted_conditioners(0) == fitted
    assert len(task.windows.songs) == 5


def test_the_packages_of_fitted_conditioners_are_kept(
    model: Model, corpus: Corpus, registry: Registry
) -> None:
    prepare_prior_task(model, 0, corpus, registry)
    package = f"jukebox-cli {registry.versions['jukebox-cli']}"
    assert model.conditioner_packages(0) == dict.fromkeys(model.fitted_conditioners(0), package)


def test_an_error_in_fitting_names_the_plugin_and_writes_nothing(
    model: Model, corpus: Corpus, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(self: Artist, songs: Sequence[Song]) -> Artist:
        raise KeyError("artist")

    monkeypatch.setattr(Artist, "fit", fit)
    message, _ = refusal(model, 0, corpus, registry)
    assert message == "plugin 'artist' (package jukebox-cli): fit() raised KeyError: 'artist'"
    assert model.fitted_conditioners(0) == {}


def test_held_out_songs_are_not_trained_on(
    model: Model, corpus: Corpus, registry: Registry
) -> None:
    task = prepare_prior_task(model, 0, corpus, registry)
    assert task.held_out_windows is not None
    assert [song.held_out for song in task.windows.songs] == [False] * 4
    assert [song.held_out for song in task.held_out_windows.songs] == [True] * 2
    assert (task.windows.augment, task.held_out_windows.augment) == (True, False)
    assert task.windows.seed != task.held_out_windows.seed
