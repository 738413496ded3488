"""A trained prior is given one more conditioner: nothing changes until it learns, then all may."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.conditioner import Window
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.model.condition_inputs import encode_window, load_conditioners, prior_shape
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

PLUGIN = ROOT / "examples" / "plugin" / "src"
BARE = TINY
for each in ("artist: {}, genre: {}, timing: {bins: 16}", "artist: {}, genre: {}", "artist: {}"):
    BARE = BARE.replace(each, "")
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
LYRICS = {"letters": 16, "width": 16, "depth": 1, "heads": 2, "blocks": 4}
KNOBS: dict[str, dict[str, Any]] = {
    "artist": {},
    "genre": {},
    "timing": {"bins": 8},
    "lyrics": LYRICS,
    "midi": {"width": 16, "depth": 1},
    "energy": {"bins": 4},
}


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """All plugins of the package, and the third party's of examples/plugin."""
    sys.path.insert(0, str(PLUGIN))
    import jukebox_energy

    own = load_installed(pytest.fail)
    plugins = dict(own.manager.list_name_plugin())
    yield Registry({**plugins, "energy": jukebox_energy})
    sys.path.remove(str(PLUGIN))


@pytest.fixture
def bare(tmp_path: Path, registry: Registry) -> Model:
    """A model that knows no conditions."""
    return make_tiny(tmp_path / "bare", registry, BARE)


def added(
    old: Model,
    path: Path,
    level: int,
    registry: Registry,
    names: Mapping[str, Any],
    layers: int = 1,
) -> Model:
    new = Model(path)
    add_conditioners(old, new, level, Addition(names, layers), [SONG], registry)
    return new


def logits(model: Model, level: int, registry: Registry) -> torch.Tensor:
    """Of whole windows and, after them, of the first steps: (B, T + 4, bins)."""
    prior = load_prior(model, level, registry, torch.device("cpu"))
    conditions = _conditions(prior, model, level, registry)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 64, (2, 64)))
    with torch.inference_mode():
        whole = prior(tokens, conditions)
        caches = prior.make_caches(2, conditions)
        steps = [prior.step(tokens[:, n - 1], n, conditions, caches) for n in range(4)]
    return torch.cat([whole, torch.stack(steps, dim=1)], dim=1)


def _conditions(prior: Prior, model: Model, level: int, registry: Registry) -> Any:
    shape = prior_shape(model.config, level)
    window = Window(
        0, shape.context_length * shape.hop_length, 3 * shape.context_length * shape.hop_length
    )
    arrays = encode_window(load_conditioners(model, level, registry), [SONG, {}], window, shape)
    tensors = {n: {k: torch.from_numpy(a) for k, a in e.items()} for n, e in arrays.items()}
    above = None if level == 2 else torch.arange(64).view(2, 32)
    return prior.condition(tensors, above)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize("name", sorted(KNOBS))
@pytest.mark.parametrize("before", ["bare", "tiny"])
def test_logits_are_those_of_before_to_the_bit(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    everyone: Registry,
    before: str,
    name: str,
    level: int,
) -> None:
    old: Model = request.getfixturevalue(before)
    if name in old.fitted_conditioners(level):
        old = make_tiny(tmp_path / "less", everyone, re.sub(rf"{name}: {{.*?}}(, )?", "", TINY))
    new = added(old, tmp_path / "new", level, everyone, {name: KNOBS[name]})
    difference = logits(old, level, everyone) - logits(new, level, everyone)
    assert difference.abs().max() == 0
    assert set(new.fitted_conditioners(level)) == {*old.fitted_conditioners(level), name}


def test_several_at_once_and_one_after_another(
    tmp_path: Path, everyone: Registry, bare: Model
) -> None:
    both = added(bare, tmp_path / "both", 2, everyone, {"midi": KNOBS["midi"], "lyrics": LYRICS})
    more = added(both, tmp_path / "more", 2, everyone, {"artist": {}, "energy": {}})
    assert more.config.priors[2].added_conditioners == ("midi", "lyrics", "artist", "energy")
    assert torch.equal(logits(bare, 2, everyone), logits(more, 2, everyone))


def test_where_branches_are_scaled_by_the_depth_they_stay_so(
    tmp_path: Path, everyone: Registry
) -> None:
    text = BARE.replace("depth: 3,", "depth: 3, scale: true,")
    old = make_tiny(tmp_path / "scaled", everyone, text)
    new = added(old, tmp_path / "new", 2, everyone, {"lyrics": LYRICS}, layers=2)
    config = new.config.priors[2]
    assert (config.depth, config.residual_scale_depth, config.added_layers) == (5, 3, (1, 3))
    assert torch.equal(logits(old, 2, everyone), logits(new, 2, everyone))


@pytest.mark.parametrize(
    ("depth", "count", "wanted"),
    [(6, 1, [3]), (6, 2, [2, 5]), (3, 2, [1, 3]), (1, 1, [0]), (4, 3, [1, 3, 5])],
)
def test_new_layers_are_spread_between_the_old_ones(
    depth: int, count: int, wanted: list[int]
) -> None:
    assert spread_layers(depth, count) == wanted


# learning


@pytest.fixture
def corpus(tmp_path: Path, bare: Model) -> Corpus:
    made = Corpus(tmp_path / "corpus")
    codec = bare.config.vqvae
    made.write_config(
        CorpusConfig(1, bare.fingerprint(), 8000, codec.hop_lengths, codec.codebook_size)
    )
    tokens = np.random.default_rng(0).integers(0, 64, 800)
    made.append("a", 3200, SONG, False, [tokens, tokens[::2], tokens[::4]])
    return made


@pytest.mark.parametrize("freeze", [False, True])
@pytest.mark.parametrize("name", sorted(KNOBS))
def test_what_is_new_learns_and_what_is_old_unless_it_is_frozen(
    tmp_path: Path, everyone: Registry, bare: Model, corpus: Corpus, name: str, freeze: bool
) -> None:
    new = added(bare, tmp_path / "new", 2, everyone, {name: KNOBS[name]})
    task = prepare_prior_task(new, 2, corpus, everyone, batch_size=24, freeze=freeze)
    rate = torch.optim.SGD([p for p in task.module.parameters() if p.requires_grad], 0.5)
    before = {n: p.detach().clone() for n, p in task.module.named_parameters()}
    for step in range(3):  # what stands before a matrix of zeros learns once that one has
        rate.zero_grad()
        task.loss(step, task.source(step))[0].backward()
        rate.step()
    config = task.module.config
    told = {
        n: p
        for n, p in task.module.named_parameters()
        if is_added_parameter(n, config.added_conditioners, config.added_layers)
    }
    assert told
    unmoved = [n for n, p in told.items() if torch.equal(p, before[n])]
    assert unmoved == []
    old = {n: p for n, p in task.module.named_parameters() if n not in told}
    assert any(not torch.equal(p, before[n]) for n, p in old.items()) is not freeze


def test_training_from_the_command_line(
    tmp_path: Path, jukebox: Callable[..., Any], bare: Model, corpus: Corpus, here: Path
) -> None:
    words = [
        *("train", "prior", corpus.path, "--level", 2, "--steps", 2, "--batch", 2, "-q"),
        *("--from", bare.path, "--add", "midi", "--set", "midi.width=16", "--add", "lyrics"),
        *("--set", "lyrics.letters=32", "--set", "lyrics.depth=1", "--freeze"),
    ]
    for steps in (2, 2, 4):  # the same command again goes on
        done = jukebox(*words, "--model", "new", "--steps", steps)
        assert done.code == 0, done.err
    new = Model(here / "new")
    assert new.config.priors[2].conditioners["midi"] == {"width": 16}
    assert new.fitted_conditioners(2)["lyrics"]["alphabet"] == " al"
    assert new.config.priors[1] == bare.config.priors[1]
    assert not (new.path / "train" / "prior-1.safetensors").exists()
    once = jukebox(*words, "--model", "straight", "--steps", 4)
    assert once.code == 0
    assert _bytes(new) == _bytes(Model(here / "straight"))
    below = jukebox(
        *("train", "prior", corpus.path, "--level", 0, "--steps", 1, "--batch", 2, "-q"),
        *("--from", bare.path, "--model", "new", "--add", "midi"),
    )
    assert below.code == 0, below.err
    assert Model(here / "new").config.priors[0].added_conditioners == ("midi",)
    assert Model(here / "new").config.priors[2].added_conditioners == ("midi", "lyrics")


def _bytes(model: Model) -> bytes:
    return model.weights("prior-2").read_bytes()


def test_the_old_model_is_not_touched(
    tmp_path: Path, everyone: Registry, bare: Model, corpus: Corpus
) -> None:
    before = {p.name: p.read_bytes() for p in bare.path.iterdir() if p.is_file()}
    added(bare, tmp_path / "new", 2, everyone, {"midi": KNOBS["midi"]})
    assert {p.name: p.read_bytes() for p in bare.path.iterdir() if p.is_file()} == before


# what can't be


def test_what_can_not_be_added_is_told(
    tmp_path: Path, everyone: Registry, bare: Model, tiny: Model
) -> None:
    def add(
        old: Model, to: str, names: Mapping[str, Any], level: int = 2
    ) -> tuple[str, str | None]:
        return refusal(added, old, tmp_path / to, level, everyone, names)

    assert add(tiny, "x", {"artist": {}}) == (
        "level 2 of model 'tiny' has 'artist' already",
        "train it further with `jukebox train prior`, without --from",
    )
    assert add(bare, "bare", {"artist": {}}) == (
        f"{bare.path} can't be both the old model and the new one",
        "name another folder with --model; the old one stays as it is",
    )
    assert add(bare, "x", {"lyrics": {**LYRICS, "form": "prefix"}}) == (
        "'lyrics' goes before the music, which moves all of it",
        "add it in another form, such as memory",
    )
    added(bare, tmp_path / "new", 2, everyone, {"midi": KNOBS["midi"]})
    assert add(bare, "new", {"artist": {}}) == (
        f"{tmp_path / 'new'} is there already, and its level 2 is not that of 'bare'",
        "name a new folder with --model",
    )
    assert not (tmp_path / "x").exists()


def test_mistakes_on_the_command_line_are_told(
    tmp_path: Path, jukebox: Callable[..., Any], bare: Model, corpus: Corpus, here: Path
) -> None:
    def told(*more: object) -> tuple[str, str]:
        words = ("train", "prior", corpus.path, "--model", "new", "--level", 2, "--steps", 1)
        done = jukebox(*words, *more)
        assert done.code == 2
        error, _, hint = done.err.partition("\n\n")
        return error.removeprefix("error: "), hint.removeprefix("hint: ").strip()

    for some in (("--from", bare.path), ("--add", "midi"), ("--set", "midi.width=8")):
        assert told(*some) == ("--from, --add and --set go together", "see --help")
    both = ("--from", bare.path, "--add", "midi")
    assert told("--from", bare.path, "--add", "mid") == (
        "no conditioner 'mid'",
        "did you mean 'midi'?",
    )
    assert told(*both, "--set", "lyrics.letters=8") == (
        "no conditioner 'lyrics' with --add",
        "known are: midi",
    )
    assert told(*both, "--set", "midi.widht=8") == (
        "no setting 'widht' of conditioner 'midi'",
        "did you mean 'width'?",
    )
    assert told(*both, "--set", "midi=8") == (
        "--set midi=8 sets no setting of a conditioner",
        "write it as midi.NAME=VALUE",
    )
    lyrics = ("--from", bare.path, "--add", "lyrics")
    assert told(*lyrics, "--set", "lyrics.letters=33") == (
        "conditioner 'lyrics': letters (33) must be a multiple of blocks (32)",
        "see `jukebox plugin list`",
    )
    assert told(*lyrics, "--set", "lyrics.heads=3") == (
        "conditioner 'lyrics': attention * width must be a multiple of heads (3)",
        "see `jukebox plugin list`",
    )
    assert told("--from", bare.path, "--add", "midi", "--level", 3) == (
        "model 'bare' has no level 3",
        "its levels are 0, 1, 2",
    )
    assert not (here / "new").exists()
    frozen = ("train", "prior", corpus.path, "--model", bare.path, "--level", 2, "--freeze")
    done = jukebox(*frozen)
    assert done.code == 2
    assert done.err.splitlines() == [
        "error: --freeze leaves nothing to train: level 2 of 'bare' has no additions",
        "",
        "hint: leave out --freeze, or add a conditioner with --from and --add",
    ]


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"added": ("midi",)}, "added are conditioners, and 'midi' is not among them"),
        ({"added_joints": ("midi",)}, "added are conditioners, and 'midi' is not among them"),
        ({"added_layers": (3,), "depth": 3}, "added_layers must be from 0 to 2"),
    ],
)
def test_a_config_that_adds_what_is_not_there_is_refused(knobs: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PriorConfig(**knobs)


def test_two_memories_are_refused(tmp_path: Path, everyone: Registry, bare: Model) -> None:
    class Poem(everyone.conditioners["lyrics"]):  # type: ignore[misc,name-defined]
        name = "poem"

        class Input:
            pass

    Poem.Input = dataclass(frozen=True)(Poem.Input)
    more = ModuleType("more")
    more.jukebox_conditioners = hookimpl(lambda: [Poem])  # type: ignore[attr-defined]
    registry = Registry({**dict(everyone.manager.list_name_plugin()), "more": more})
    sung = added(bare, tmp_path / "sung", 2, registry, {"lyrics": LYRICS})
    told = refusal(added, sung, tmp_path / "x", 2, registry, {"poem": LYRICS})
    assert told == (
        "'poem' makes a memory, and the prior has one already",
        "train a model with both from the beginning",
    )
