"""Training a prior with added conditioners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.model.surgery import is_added_parameter
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model
from jukebox_cli.train.prior import prepare_prior_task
from support.surgery import (
    OPTIONS,
    SONG,
    add,
)


@pytest.fixture
def corpus(tmp_path: Path, bare: Model) -> Corpus:
    corpus = Corpus(tmp_path / "corpus")
    corpus.write_config(CorpusConfig.of_model(bare))
    tokens = np.random.default_rng(0).integers(0, 64, 800)
    corpus.append("a", 3200, SONG, False, [tokens, tokens[::2], tokens[::4]])
    return corpus


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_new_parameters_learn_and_old_ones_unless_they_are_frozen(
    tmp_path: Path, all_plugins: Registry, bare: Model, corpus: Corpus, name: str, freeze: bool
) -> None:
    new = add(bare, tmp_path / "new", 2, all_plugins, {name: OPTIONS[name]})
    task = prepare_prior_task(new, 2, corpus, all_plugins, batch_size=24, freeze=freeze)
    parameters = dict(task.module.named_parameters())
    optimizer = torch.optim.SGD([p for p in parameters.values() if p.requires_grad], 0.5)
    before = {name: p.detach().clone() for name, p in parameters.items()}
    for step in range(3):  # what precedes a zero projection learns once the projection has
        optimizer.zero_grad()
        task.loss(step, task.batch_source(step))[0].backward()
        optimizer.step()
    config = task.module.config
    changed = {name for name, p in parameters.items() if not torch.equal(p, before[name])}
    added = {
        name
        for name in parameters
        if is_added_parameter(name, config.added_conditioners, config.added_layers)
    }
    assert added
    assert added <= changed
    assert (changed == added) is freeze


def test_a_prior_with_additions_is_trained_from_the_command_line(
    jukebox: Callable[..., Any], bare: Model, corpus: Corpus, here: Path
) -> None:
    words = [
        *("train", "prior", corpus.path, "--level", 2, "--batch", 2, "-q"),
        *("--from", bare.path, "--add", "midi", "--set", "midi.width=16", "--add", "lyrics"),
        *("--set", "lyrics.max_characters=32", "--set", "lyrics.depth=1", "--freeze"),
    ]
    for steps in (2, 2, 4):  # the same command again continues
        result = jukebox(*words, "--model", "new", "--steps", steps)
        assert result.code == 0, result.err
    new = Model(here / "new")
    assert new.config.priors[2].conditioners["midi"] == {"width": 16}
    assert new.fitted_conditioners(2)["lyrics"]["charset"] == " al"
    assert new.config.priors[1] == bare.config.priors[1]
    assert not (new.path / "train" / "prior-1.safetensors").exists()
    result = jukebox(*words, "--model", "uninterrupted", "--steps", 4)
    assert result.code == 0, result.err
    expected = Model(here / "uninterrupted").weights("prior-2").read_bytes()
    assert new.weights("prior-2").read_bytes() == expected
    result = jukebox(
        *("train", "prior", corpus.path, "--level", 0, "--steps", 1, "--batch", 2, "-q"),
        *("--from", bare.path, "--model", "new", "--add", "midi"),
    )
    assert result.code == 0, result.err
    assert Model(here / "new").config.priors[0].added_conditioners == ("midi",)
    assert Model(here / "new").config.priors[2].added_conditioners == ("midi", "lyrics")


def test_invalid_additions_on_the_command_line_are_errors(
    jukebox: Callable[..., Any], bare: Model, corpus: Corpus, here: Path
) -> None:
    def error(*options: object) -> tuple[str, str]:
        words = ("train", "prior", corpus.path, "--model", "new", "--level", 2, "--steps", 1)
        result = jukebox(*words, *options)
        assert result.code == 2
        message, _, hint = result.err.partition("\n\n")
        return message.removeprefix("error: "), hint.removeprefix("hint: ").strip()

    for alone in (("--from", bare.path), ("--add", "midi"), ("--set", "midi.width=8")):
        assert error(*alone) == ("--from, --add and --set go together", "see --help")
    midi = ("--from", bare.path, "--add", "midi")
    assert error("--from", bare.path, "--add", "mid") == (
        "no conditioner 'mid'",
        "did you mean 'midi'?",
    )
    assert error(*midi, "--set", "lyrics.max_characters=8") == (
        "no conditioner 'lyrics' with --add",
        "known are: midi",
    )
    assert error(*midi, "--set", "midi.widht=8") == (
        "no setting 'widht' of conditioner 'midi'",
        "did you mean 'width'?",
    )
    assert error(*midi, "--set", "midi=8") == (
        "--set midi=8 is not a setting of a conditioner",
        "write it as midi.NAME=VALUE",
    )
    assert error("--from", bare.path, "--add", "midi", "--level", 3) == (
        "model 'bare' has no level 3",
        "its levels are 0, 1, 2",
    )
    assert not (here / "new").exists()
    result = jukebox(
        *("train", "prior", corpus.path, "--model", bare.path, "--level", 2, "--freeze")
    )
    assert result.code == 2
    assert result.err.splitlines() == [
        "error: --freeze leaves nothing to train: level 2 of 'bare' has no additions",
        "",
        "hint: leave out --freeze, or add a conditioner with --from and --add",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lyrics.max_characters=33", "max_characters must be a multiple of rows (32), not 33"),
        ("lyrics.max_characters=-1", "max_characters must be 1 or more, not -1"),
        ("lyrics.heads=3", "attention_ratio * width must be a multiple of heads (3)"),
    ],
)
def test_options_that_a_conditioner_refuses_are_errors(
    jukebox: Callable[..., Any],
    bare: Model,
    corpus: Corpus,
    here: Path,
    setting: str,
    message: str,
) -> None:
    words = ("train", "prior", corpus.path, "--model", "new", "--level", 2, "--steps", 1)
    result = jukebox(*words, "--from", bare.path, "--add", "lyrics", "--set", setting)
    assert result.code == 2
    assert (
        result.err == f"error: conditioner 'lyrics': {message}\n\nhint: correct --set {setting}\n"
    )
    assert not (here / "new").exists()
