"""Adding conditioners to a trained prior: logits are unchanged until it is trained further."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import Conditioning
from jukebox_cli.model.loader import load_prior
from jukebox_cli.model.prior import Prior
from jukebox_cli.model.surgery import Addition, add_conditioners, is_added_parameter, spread_layers
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model
from jukebox_cli.train.prior import prepare_prior_task
from support.paths import ROOT
from support.results import refusal
from support.tiny_model import TINY, make_tiny

EXAMPLE_PLUGIN = ROOT / "examples" / "plugin" / "src"


def without_conditioner(recipe: str, name: str) -> str:
    return re.sub(rf"{name}: {{.*?}}(, )?", "", recipe)


#: The tiny model without conditioners.
BARE = TINY
for each in ("timing", "genre", "artist"):
    BARE = without_conditioner(BARE, each)

NOTES = [[0.0, 0.1, 60, 90], [0.05, 0.2, 64, 70]]
SONG = {
    "artist": "Ada Vale",
    "genre": ["rock"],
    "total": 2.0,
    "lyrics": "la lala",
    "lyrics_times": [[0, 0.0], [3, 0.1]],
    "midi": [{"program": 0, "drum": False, "name": "", "notes": NOTES}],
    "energy": [0.2, 0.9],
}
LYRICS = {"max_characters": 16, "width": 16, "depth": 1, "heads": 2, "rows": 4}
MIDI = {"width": 16, "depth": 1}
#: Options that make each conditioner small.
OPTIONS: dict[str, dict[str, Any]] = {
    "artist": {},
    "genre": {},
    "timing": {"num_bins": 8},
    "lyrics": LYRICS,
    "midi": MIDI,
    "energy": {},
}


@pytest.fixture(scope="module")
def all_plugins() -> Iterator[Registry]:
    """The first-party plugins, and the third-party one of examples/plugin."""
    sys.path.insert(0, str(EXAMPLE_PLUGIN))
    jukebox_energy = import_module("jukebox_energy")

    plugins = dict(load_installed(pytest.fail).manager.list_name_plugin())
    yield Registry({**plugins, "energy": jukebox_energy})
    sys.path.remove(str(EXAMPLE_PLUGIN))


@pytest.fixture
def bare(tmp_path: Path, registry: Registry) -> Model:
    """A model without conditioners."""
    return make_tiny(tmp_path / "bare", registry, BARE)


def add(
    old: Model,
    path: Path,
    level: int,
    registry: Registry,
    conditioners: Mapping[str, Any],
    num_cross_attention_layers: int = 1,
) -> Model:
    new = Model(path)
    addition = Addition(conditioners, num_cross_attention_layers)
    add_conditioners(old, new, level, addition, [SONG], registry)
    return new


def compute_logits(model: Model, level: int, registry: Registry) -> torch.Tensor:
    """Logits of whole windows followed by those of the first steps: (B, T + 4, K)."""
    prior = load_prior(model, level, registry, torch.device("cpu"))
    conditions = make_conditions(prior, model, level, registry)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 64, (2, 64)))
    with torch.inference_mode():
        whole = prior(tokens, conditions)
        caches = prior.make_caches(2, conditions)
        steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(4)]
    return torch.cat([whole, torch.stack(steps, dim=1)], dim=1)


def make_conditions(prior: Prior, model: Model, level: int, registry: Registry) -> Conditioning:
    """Conditions of `SONG` and of a song without any values."""
    shape = prior_shape(model.config, level)
    length = shape.context_length * shape.hop_length
    window, songs = Window(0, length, 3 * length), [SONG, {}]
    arrays = encode_window(load_conditioners(model, level, registry), songs, window, shape)
    tensors = {n: {k: torch.from_numpy(a) for k, a in e.items()} for n, e in arrays.items()}
    upper_tokens = None if level == 2 else torch.arange(64).view(2, 32)
    return prior.condition(tensors, upper_tokens)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", sorted(OPTIONS))
@pytest.mark.parametrize("before", ["bare", "tiny"])
def test_logits_are_unchanged_to_the_bit(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    all_plugins: Registry,
    before: str,
    name: str,
    level: int,
) -> None:
    old: Model = request.getfixturevalue(before)
    if name in old.fitted_conditioners(level):
        old = make_tiny(tmp_path / "less", all_plugins, without_conditioner(TINY, name))
    new = add(old, tmp_path / "new", level, all_plugins, {name: OPTIONS[name]})
    difference = compute_logits(old, level, all_plugins) - compute_logits(new, level, all_plugins)
    assert difference.abs().max() == 0
    assert set(new.fitted_conditioners(level)) == {*old.fitted_conditioners(level), name}


def test_conditioners_can_be_added_together_or_one_by_one(
    tmp_path: Path, all_plugins: Registry, bare: Model
) -> None:
    both = add(bare, tmp_path / "both", 2, all_plugins, {"midi": MIDI, "lyrics": LYRICS})
    more = add(both, tmp_path / "more", 2, all_plugins, {"artist": {}, "energy": {}})
    config = more.config.priors[2]
    assert config.added_conditioners == ("midi", "lyrics", "artist", "energy")
    assert config.zero_projections == ("midi", "artist", "energy")
    expected = compute_logits(bare, 2, all_plugins)
    assert torch.equal(expected, compute_logits(more, 2, all_plugins))


def test_residual_branches_keep_their_scale(tmp_path: Path, all_plugins: Registry) -> None:
    recipe = BARE.replace("depth: 3,", "depth: 3, residual_scale: true,")
    old = make_tiny(tmp_path / "scaled", all_plugins, recipe)
    new = add(old, tmp_path / "new", 2, all_plugins, {"lyrics": LYRICS}, 2)
    config = new.config.priors[2]
    assert (config.depth, config.residual_scale_depth, config.added_layers) == (5, 3, (1, 3))
    expected = compute_logits(old, 2, all_plugins)
    assert torch.equal(expected, compute_logits(new, 2, all_plugins))


@pytest.mark.parametrize(
    ("depth", "count", "expected"),
    [(6, 1, [3]), (6, 2, [2, 5]), (3, 2, [1, 3]), (1, 1, [0]), (4, 3, [1, 3, 5])],
)
def test_new_layers_are_spread_between_the_old_ones(
    depth: int, count: int, expected: list[int]
) -> None:
    assert spread_layers(depth, count) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("conditioners.midi.weight", True),
        ("zero_projections.midi.weight", True),
        ("transformer.layers.3.mlp_in.weight", True),
        ("conditioners.midi_like.weight", False),
        ("transformer.layers.30.mlp_in.weight", False),
        ("token_embedding.weight", False),
    ],
)
def test_added_parameters_are_those_of_added_conditioners_and_layers(
    name: str, expected: bool
) -> None:
    assert is_added_parameter(name, ["midi"], [3]) is expected


# training


@pytest.fixture
def corpus(tmp_path: Path, bare: Model) -> Corpus:
    corpus = Corpus(tmp_path / "corpus")
    vqvae = bare.config.vqvae
    corpus.write_config(
        CorpusConfig(
            fingerprint=bare.fingerprint(),
            sample_rate=8000,
            hop_lengths=vqvae.hop_lengths,
            codebook_size=vqvae.codebook_size,
        )
    )
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


def read_files(model: Model) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.path.iterdir() if path.is_file()}


def test_the_old_model_is_not_changed(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    before = read_files(bare)
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert read_files(bare) == before


def test_an_existing_addition_is_kept(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    new = add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    before = {path: path.stat().st_mtime_ns for path in new.path.iterdir()}
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert {path: path.stat().st_mtime_ns for path in new.path.iterdir()} == before


# errors


def test_an_invalid_addition_is_an_error(
    tmp_path: Path, all_plugins: Registry, bare: Model, tiny: Model
) -> None:
    def error(old: Model, folder: str, conditioners: Mapping[str, Any]) -> tuple[str, str | None]:
        return refusal(add, old, tmp_path / folder, 2, all_plugins, conditioners)

    assert error(tiny, "x", {"artist": {}}) == (
        "level 2 of model 'tiny' already has conditioner 'artist'",
        "train it further with `jukebox train prior`, without --from",
    )
    assert error(bare, "bare", {"artist": {}}) == (
        f"{bare.path} can't be both the old model and the new one",
        "name another folder with --model; the old model is kept as it is",
    )
    assert error(bare, "x", {"lyrics": {**LYRICS, "form": "prefix"}}) == (
        "'lyrics' makes a prefix, which can't be added to a trained prior",
        "set its options so that it makes a memory instead",
    )
    add(bare, tmp_path / "new", 2, all_plugins, {"midi": MIDI})
    assert error(bare, "new", {"artist": {}}) == (
        f"{tmp_path / 'new'} already exists, and its level 2 is not that of 'bare'",
        "name a new folder with --model",
    )
    assert not (tmp_path / "x").exists()


def test_a_second_memory_is_an_error(tmp_path: Path, all_plugins: Registry, bare: Model) -> None:
    @dataclass(frozen=True)
    class NoInput:
        pass

    class Poem(all_plugins.conditioners["lyrics"]):  # type: ignore[misc,name-defined]
        name = "poem"
        Input = NoInput

    plugin = ModuleType("poem")
    plugin.jukebox_conditioners = hookimpl(lambda: [Poem])  # type: ignore[attr-defined]
    registry = Registry({**dict(all_plugins.manager.list_name_plugin()), "poem": plugin})
    error = (
        "'poem' makes a memory, but the prior already attends to one",
        "train a model with both from the beginning",
    )
    both = {"lyrics": LYRICS, "poem": LYRICS}
    assert refusal(add, bare, tmp_path / "x", 2, registry, both) == error
    with_lyrics = add(bare, tmp_path / "with_lyrics", 2, registry, {"lyrics": LYRICS})
    assert refusal(add, with_lyrics, tmp_path / "x", 2, registry, {"poem": LYRICS}) == error
    assert not (tmp_path / "x").exists()


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
        ("lyrics.max_characters=33", "(33) must be a multiple of"),
        ("lyrics.heads=3", "must be a multiple of heads (3)"),
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
    assert result.err.startswith("error: conditioner 'lyrics': ")
    assert message in result.err
    assert not (here / "new").exists()
