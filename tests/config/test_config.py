"""Presets and model configs: how YAML is read, changed, written, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.config.presets import find_preset, preset_names
from jukebox_cli.config.schema import (
    ModelConfig,
    PriorConfig,
    SamplingConfig,
    SongPreset,
    VQVAEConfig,
)
from jukebox_cli.config.suggest import did_you_mean, find_name, unknown_name
from jukebox_cli.config.yaml_files import dump_yaml, load_config, read_text, read_yaml
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.storage.corpus import CorpusConfig
from jukebox_cli.storage.run import RunConfig
from support.tiny_model import TINY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "my.yaml"


def refusal(path: Path, text: str, kind: type = SongPreset) -> tuple[str, str | None]:
    """Message and hint for a text that is refused; the path is cut to its name."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_config(kind, path)
    return caught.value.message.replace(f"{path.parent}/", ""), caught.value.hint


FULL = """\
format: 1
description: A song.
model: tiny
seconds: 2.5
items: 3
seed: 7
song: {genre: rock}
sampling:
  hop_fraction: [0.25, 0.5, 1]
  options: [{temperature: 0.9}]
"""


def test_a_preset_is_read_whole(path: Path) -> None:
    path.write_text(FULL)
    assert load_config(SongPreset, path) == SongPreset(
        format=1,
        description="A song.",
        model="tiny",
        seconds=2.5,
        items=3,
        seed=7,
        song={"genre": "rock"},
        sampling=SamplingConfig((0.25, 0.5, 1.0), ({"temperature": 0.9},)),
    )


def test_what_is_not_said_has_a_default(path: Path) -> None:
    path.write_text("seconds: 1\n")
    assert load_config(SongPreset, path) == SongPreset(seconds=1.0)


@pytest.mark.parametrize(
    ("kind", "text"), [(SongPreset, FULL), (ModelConfig, TINY), (ModelConfig, "format: 1\n")]
)
def test_dump_is_read_back_the_same(kind: type, text: str, path: Path) -> None:
    path.write_text(text)
    config = load_config(kind, path)
    path.write_text(dump_yaml(config))
    assert load_config(kind, path) == config


@pytest.mark.parametrize(
    ("kind", "text", "message", "hint"),
    [
        (
            SongPreset,
            "model: x\n\nsecnds: 1\n",
            "no key 'secnds' in my.yaml:3",
            "did you mean 'seconds'?",
        ),
        (
            SongPreset,
            "sampling:\n  hop: [1]\n  knob: []\n",
            "no key 'sampling.knob' in my.yaml:3",
            "did you mean 'sampling.knobs'?",
        ),
        (
            ModelConfig,
            "priors:\n  - {context_length: 64,\n     widht: 32}\n",
            "no key 'priors.0.widht' in my.yaml:3",
            "did you mean 'priors.0.width'?",
        ),
        (
            ModelConfig,
            "priors:\n- upper: {width: 2,\n    dephts: 1}\n",
            "no key 'priors.0.upper.dephts' in my.yaml:3",
            "did you mean 'priors.0.upper.depth'?",
        ),
        (
            SamplingConfig,
            "zzz: 1\n",
            "no key 'zzz' in my.yaml:1",
            "known are: hop, knobs",
        ),
    ],
)
def test_an_unknown_key_is_told_with_its_line_and_what_was_meant(
    kind: type, text: str, message: str, hint: str, path: Path
) -> None:
    assert refusal(path, text, kind) == (message, hint)


NUMBER = "Input should be a valid number, unable to parse string as a number"
INTEGER = "Input should be a valid integer, unable to parse string as an integer"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (SongPreset, "model: x\nseconds: many\n", f"my.yaml:2: seconds: {NUMBER}"),
        (SongPreset, "sampling:\n  hop:\n  - 1\n  - x\n", f"my.yaml:4: sampling.hop.1: {NUMBER}"),
        (SongPreset, "song: rock\n", "my.yaml:1: song: Input should be a valid dictionary"),
        (SongPreset, "about: x\n5: x\n", "my.yaml:2: 5: Keys should be strings"),
        (ModelConfig, "vqvae:\n  bins: x\n", f"my.yaml:2: vqvae.bins: {INTEGER}"),
        (
            ModelConfig,
            "vqvae:\n  strides: [[2]]\n",
            "my.yaml:1: vqvae: strides, widths and depths must name equally many levels",
        ),
        (
            ModelConfig,
            "vqvae: {strides: [[3]], widths: [8], depths: [1]}\n",
            "my.yaml:1: vqvae: strides must be even numbers from 2 on",
        ),
        (
            ModelConfig,
            "\nvqvae: {bins: 70000}",
            "my.yaml:2: vqvae: bins must be from 1 to 65536, not 70000",
        ),
        (
            ModelConfig,
            "vqvae: {sample_rate: 0}",
            "my.yaml:1: vqvae: sample_rate, embed, widths and depths must be 1 or more",
        ),
        (
            ModelConfig,
            "priors:\n- {heads: 0}\n",
            "my.yaml:2: priors.0: frames, width, depth, heads and blocks must be 1 or more",
        ),
        (
            ModelConfig,
            "priors:\n- {patterns: [row, rwo]}\n",
            "my.yaml:2: priors.0: patterns are row, column, previous, dense, memory, prefix, "
            "not rwo",
        ),
        (
            ModelConfig,
            "priors:\n- {context_length: 64, blocks: 7}\n",
            "my.yaml:2: priors.0: frames (64) must be a multiple of blocks (7)",
        ),
        (
            ModelConfig,
            "priors:\n- {width: 64, heads: 3}\n",
            "my.yaml:2: priors.0: attention * width must be a multiple of heads (3)",
        ),
        (
            ModelConfig,
            "priors: [{}, {}, {}, {}]\n",
            "my.yaml: there are 4 priors for 3 levels of strides",
        ),
    ],
)
def test_a_bad_value_is_told_with_its_line_and_key(
    kind: type, text: str, message: str, path: Path
) -> None:
    assert refusal(path, text, kind) == (message, "correct that value")


@pytest.mark.parametrize("kind", [SongPreset, ModelConfig, RunConfig, CorpusConfig])
def test_a_format_that_is_not_known_is_refused(kind: type, path: Path) -> None:
    assert refusal(path, "format: 2\n", kind) == (
        "my.yaml: format 2 is not known here, only format 1",
        "correct that value",
    )


YAML_HINT = "check the indentation and the quotes around that line"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "song:\n  genre: [rock\nseconds: 1\n",
            "my.yaml:3: bad YAML: expected ',' or ']', but got ':'",
            YAML_HINT,
        ),
        (
            "seed: 1\nsong:\n  genre: rock\n  genre: jazz\n",
            "my.yaml:4: bad YAML: 'genre' is said twice; keep one",
            YAML_HINT,
        ),
        ("a: b: c\n", "my.yaml:1: bad YAML: mapping values are not allowed here", YAML_HINT),
        (
            "model: a\n\tseconds: 1\n",
            "my.yaml:2: bad YAML: found character '\\t' that cannot start any token",
            YAML_HINT,
        ),
        (
            "model: \x01\n",
            "my.yaml: bad YAML: unacceptable character #x0001: special characters are not allowed",
            YAML_HINT,
        ),
        ("model: 2020-99-99\n", "my.yaml: bad YAML: month must be in 1..12", YAML_HINT),
        ("- a\n- b\n", "my.yaml: expected 'key: value' lines", "see `jukebox preset show rock`"),
        ("", "my.yaml: expected 'key: value' lines", "see `jukebox preset show rock`"),
    ],
)
def test_bad_yaml_is_told_with_its_line(text: str, message: str, hint: str, path: Path) -> None:
    assert refusal(path, text) == (message, hint)


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("about: ü\n".encode("latin-1"))
    for name, message, hint in (
        ("none.yaml", f"no file {tmp_path}/none.yaml", "check the path"),
        ("", f"can't read {tmp_path}: Is a directory", "check the path"),
        ("latin.yaml", f"{tmp_path}/latin.yaml is not a text file", "save it as UTF-8"),
    ):
        with pytest.raises(InputError) as caught:
            read_text(tmp_path / name)
        assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("override", "place", "value"),
    [
        ("seconds=4", ("seconds",), 4),
        ("song.genre=jazz", ("song", "genre"), "jazz"),
        ("sampling.hop=[1, 1, 1]", ("sampling", "hop"), [1, 1, 1]),
        ("sampling.hop.1=0.75", ("sampling", "hop", 1), 0.75),
        ("sampling.knobs.0.top_k=5", ("sampling", "knobs", 0, "top_k"), 5),
        ("about=a=b", ("about",), "a=b"),
    ],
)
def test_an_override_reaches_any_key(
    override: str, place: tuple[Any, ...], value: Any, path: Path
) -> None:
    path.write_text(FULL)
    wanted = read_yaml(path)
    here: Any = wanted
    for step in place[:-1]:
        here = here[step]
    here[place[-1]] = value
    text = path.with_name("changed.yaml")
    text.write_text(repr(wanted))  # a Python literal of such values is YAML too
    assert load_config(SongPreset, path, [override]) == load_config(SongPreset, text)


def test_overrides_make_the_mappings_they_need_and_the_last_one_wins(path: Path) -> None:
    path.write_text("seconds: 1\n")
    preset = load_config(SongPreset, path, ["song.artist=A", "song.artist=B"])
    assert preset.song == {"artist": "B"}


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("seconds", "can't read --set 'seconds'", "write it as key=value"),
        ("seconds.x=1", "--set 'seconds.x=1' leads nowhere", "see `jukebox preset show`"),
        ("sampling.hop.9=1", "--set 'sampling.hop.9=1' leads nowhere", "see `jukebox preset show`"),
        ("sampling.hop.x=1", "--set 'sampling.hop.x=1' leads nowhere", "see `jukebox preset show`"),
        ("seconds=[", "--set 'seconds=[': bad YAML after '='", YAML_HINT),
    ],
)
def test_a_bad_override_is_told(override: str, message: str, hint: str, path: Path) -> None:
    path.write_text(FULL)
    with pytest.raises(InputError) as caught:
        load_config(SongPreset, path, [override])
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_override_with_an_unknown_key_names_it(path: Path) -> None:
    path.write_text(FULL)
    with pytest.raises(InputError, match=r"^no key 'secnds' in --set 'secnds=1'$"):
        load_config(SongPreset, path, ["secnds=1"])


def test_hops_multiply_up_the_levels() -> None:
    assert VQVAEConfig().hop_lengths == (8, 32, 128)
    assert VQVAEConfig(strides=((4, 2), (2,)), widths=(8, 8), depths=(1, 1)).hop_lengths == (8, 16)


def test_configs_with_nothing_said_are_the_papers() -> None:
    assert (VQVAEConfig().sample_rate, VQVAEConfig().codebook_size) == (44100, 2048)
    assert (PriorConfig().context_length, PriorConfig().rows) == (8192, 128)


@pytest.mark.parametrize(
    ("word", "known", "answer"),
    [
        ("Ela", ["Ella", "Bo"], "did you mean 'Ella'?"),
        ("ELLA", ["ella"], "did you mean 'ella'?"),
        ("xyz", ["Ella", "Bo"], None),
        ("x", [], None),
    ],
)
def test_did_you_mean(word: str, known: list[str], answer: str | None) -> None:
    assert did_you_mean(word, known) == answer


def test_unknown_lists_what_is_known_when_nothing_is_close() -> None:
    assert unknown_name("level", "xyz", ["a", "b"], " here").message == "no level 'xyz' here"
    assert unknown_name("level", "xyz", ["a", "b"]).hint == "known are: a, b"
    assert unknown_name("level", "xyz", []).hint == "known are: none"


def test_a_preset_is_found_by_path_and_by_name(path: Path) -> None:
    path.write_text(FULL)
    assert find_preset(str(path)) == path
    assert "mini-recipe" in preset_names()
    assert find_preset("mini-recipe") == find_preset("mini-recipe.yaml")
    assert read_text(find_preset("mini-recipe"))


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("mini-recpie", "no preset 'mini-recpie'", "did you mean 'mini-recipe'?"),
        ("mini-recpie.yaml", "no preset 'mini-recpie'", "did you mean 'mini-recipe'?"),
        (
            "no/such.yaml",
            "no preset file no/such.yaml",
            "check the path, or see `jukebox preset list`",
        ),
    ],
)
def test_a_preset_that_is_not_there_is_told(name: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        find_preset(name)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("Abba", "ABBA"),
        ("ac dc", "AC/DC"),
        ("AC_DC", "AC/DC"),
        ("beyonce", "Beyonc\u00e9"),
        ("abba!", "ABBA"),
        ("bab", None),
        ("", None),
    ],
)
def test_a_name_is_found_whatever_its_case_spaces_and_marks(word: str, found: str | None) -> None:
    assert find_name(word, ["ABBA", "AC/DC", "Beyonc\u00e9"]) == found


def test_a_name_as_it_stands_goes_before_one_that_is_like_it() -> None:
    assert find_name("a-b", ["A B", "A-B"]) == "A-B"
    assert find_name("a_b", ["A B", "A-B"]) == "A B"


def test_of_thousands_of_known_words_only_the_first_are_listed() -> None:
    known = [f"artist {n}" for n in range(7000)]
    hint = str(unknown_name("artist", "zzz", known).hint)
    assert hint.startswith("known are: artist 0, artist 1, ")
    assert hint.endswith(", artist 39 and 6,960 more")
