"""YAML files as configs: reading, overriding, writing, and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.config.schema import (
    ModelConfig,
    SamplingConfig,
    SongPreset,
)
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
format: 2
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


def test_every_key_of_a_preset_is_read(path: Path) -> None:
    path.write_text(FULL)
    assert load_config(SongPreset, path) == SongPreset(
        format=2,
        description="A song.",
        model="tiny",
        seconds=2.5,
        items=3,
        seed=7,
        song={"genre": "rock"},
        sampling=SamplingConfig((0.25, 0.5, 1.0), ({"temperature": 0.9},)),
    )


def test_missing_keys_have_defaults(path: Path) -> None:
    path.write_text("seconds: 1\n")
    assert load_config(SongPreset, path) == SongPreset(seconds=1.0)


@pytest.mark.parametrize(
    ("kind", "text"), [(SongPreset, FULL), (ModelConfig, TINY), (ModelConfig, "format: 2\n")]
)
def test_a_dumped_config_is_read_back_unchanged(kind: type, text: str, path: Path) -> None:
    path.write_text(text)
    config: object = load_config(kind, path)
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
            "sampling:\n  hop_fraction: [1]\n  option: []\n",
            "no key 'sampling.option' in my.yaml:3",
            "did you mean 'sampling.options'?",
        ),
        (
            ModelConfig,
            "priors:\n  - {context_length: 64,\n     widht: 32}\n",
            "no key 'priors.0.widht' in my.yaml:3",
            "did you mean 'priors.0.width'?",
        ),
        (
            ModelConfig,
            "priors:\n- upsampler_conditioner: {width: 2,\n    dephts: 1}\n",
            "no key 'priors.0.upsampler_conditioner.dephts' in my.yaml:3",
            "did you mean 'priors.0.upsampler_conditioner.depth'?",
        ),
        (
            SamplingConfig,
            "zzz: 1\n",
            "no key 'zzz' in my.yaml:1",
            "known are: hop_fraction, options",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_line_and_a_suggestion(
    kind: type, text: str, message: str, hint: str, path: Path
) -> None:
    assert refusal(path, text, kind) == (message, hint)


NUMBER, INTEGER = "must be a number", "must be a whole number"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (SongPreset, "model: x\nseconds: many\n", f"my.yaml:2: seconds: {NUMBER}"),
        (
            SongPreset,
            "sampling:\n  hop_fraction:\n  - 1\n  - x\n",
            f"my.yaml:4: sampling.hop_fraction.1: {NUMBER}",
        ),
        (SongPreset, "description: x\n5: x\n", "my.yaml:2: 5: Keys should be strings"),
        (ModelConfig, "vqvae:\n  codebook_size: x\n", f"my.yaml:2: vqvae.codebook_size: {INTEGER}"),
        (
            ModelConfig,
            "vqvae:\n  strides: [[2]]\n",
            "my.yaml:1: vqvae: strides, widths and depths must have an entry for each level",
        ),
        (
            ModelConfig,
            "vqvae: {decoder_depths: [1]}\n",
            "my.yaml:1: vqvae: decoder_widths and decoder_depths need an entry for each level",
        ),
        (
            ModelConfig,
            "vqvae: {strides: [[3]], widths: [8], depths: [1]}\n",
            "my.yaml:1: vqvae: strides must be even numbers, 2 or more",
        ),
        (
            ModelConfig,
            "\nvqvae: {codebook_size: 70000}",
            "my.yaml:2: vqvae: codebook_size must be from 1 to 65536, not 70000",
        ),
        (
            ModelConfig,
            "vqvae: {sample_rate: 0}",
            "my.yaml:1: vqvae: sample_rate, embedding_dim, widths and depths must be 1 or more",
        ),
        (
            ModelConfig,
            "priors:\n- {heads: 0}\n",
            "my.yaml:2: priors.0: context_length, width, depth, heads and rows must be 1 or more",
        ),
        (
            ModelConfig,
            "priors:\n- {attention_patterns: [row, rwo]}\n",
            "my.yaml:2: priors.0: attention_patterns are row, column, previous, dense, "
            "cross_attention, prefix, not rwo",
        ),
        (
            ModelConfig,
            "priors:\n- {context_length: 64, rows: 7}\n",
            "my.yaml:2: priors.0: context_length (64) must be a multiple of rows (7)",
        ),
        (
            ModelConfig,
            "priors:\n- {width: 64, heads: 3}\n",
            "my.yaml:2: priors.0: attention_ratio * width must be a multiple of heads (3)",
        ),
        (
            ModelConfig,
            "priors: [{}, {}, {}, {}]\n",
            "my.yaml: there are 4 priors for 3 levels of strides",
        ),
    ],
)
def test_an_invalid_value_is_refused_with_its_line_and_key(
    kind: type, text: str, message: str, path: Path
) -> None:
    assert refusal(path, text, kind) == (message, "correct that value")


@pytest.mark.parametrize("kind", [SongPreset, ModelConfig, RunConfig, CorpusConfig])
def test_a_file_of_an_earlier_format_is_refused_before_its_keys_are_read(
    kind: type, path: Path
) -> None:
    assert refusal(path, "bins: 3\nformat: 1\n", kind) == (
        "my.yaml:2: format 1 cannot be read, only format 2",
        "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new keys",
    )


@pytest.mark.parametrize("kind", [SongPreset, ModelConfig, RunConfig, CorpusConfig])
def test_a_file_of_a_later_format_is_refused(kind: type, path: Path) -> None:
    assert refusal(path, "format: 3\n", kind) == (
        "my.yaml:1: format 3 cannot be read, only format 2",
        "a later version of jukebox may have written it: install that",
    )


def test_a_format_that_is_no_number_is_refused(path: Path) -> None:
    assert refusal(path, "format: new\n")[0] == f"my.yaml:1: format: {INTEGER}"


YAML_HINT = "check the indentation and the quotes around that line"


NO_PLACE, SEE = "no such place in the preset", "see `jukebox preset show`"


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
            "my.yaml:4: bad YAML: 'genre' occurs twice; keep one",
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
def test_invalid_yaml_is_refused_with_its_line(
    text: str, message: str, hint: str, path: Path
) -> None:
    assert refusal(path, text) == (message, hint)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("about: ü\n".encode("latin-1"))
    for name, message, hint in (
        ("none.yaml", f"no file {tmp_path}/none.yaml", "check the path"),
        ("", f"can't read {tmp_path}: Is a directory", "name a file, not a folder"),
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
        ("sampling.hop_fraction=[1, 1, 1]", ("sampling", "hop_fraction"), [1, 1, 1]),
        ("sampling.hop_fraction.1=0.75", ("sampling", "hop_fraction", 1), 0.75),
        ("sampling.options.0.top_k=5", ("sampling", "options", 0, "top_k"), 5),
        ("description=a=b", ("description",), "a=b"),
    ],
)
def test_an_override_can_set_any_key(
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


def test_overrides_create_mappings_and_the_last_one_wins(path: Path) -> None:
    path.write_text("seconds: 1\n")
    preset = load_config(SongPreset, path, ["song.artist=A", "song.artist=B"])
    assert preset.song == {"artist": "B"}


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("seconds", "can't read --set 'seconds'", "write it as key=value"),
        ("seconds.x=1", f"--set 'seconds.x=1': {NO_PLACE}", SEE),
        ("sampling.options.9=1", f"--set 'sampling.options.9=1': {NO_PLACE}", SEE),
        ("sampling.options.x=1", f"--set 'sampling.options.x=1': {NO_PLACE}", SEE),
        ("seconds=[", "--set 'seconds=[': bad YAML after '='", YAML_HINT),
    ],
)
def test_an_invalid_override_is_refused(override: str, message: str, hint: str, path: Path) -> None:
    path.write_text(FULL)
    with pytest.raises(InputError) as caught:
        load_config(SongPreset, path, [override])
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_unknown_key_in_an_override_is_refused_by_name(path: Path) -> None:
    path.write_text(FULL)
    with pytest.raises(InputError, match=r"^no key 'secnds' in --set 'secnds=1'$"):
        load_config(SongPreset, path, ["secnds=1"])


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "sampling: {hop_fraction: 0.5}",
            "my.yaml:1: sampling.hop_fraction: must be a list",
            "write a list, such as [0.5, 0.5, 0.5]",
        ),
        ("song: rock", "my.yaml:1: song: must be keys with values", "write {key: value}"),
        ("items: 0-1", "my.yaml:1: items: must be a number, not '0-1'", "correct that value"),
        ("seconds: 1:30:x", "my.yaml:1: seconds: must be a number", "correct that value"),
    ],
)
def test_a_value_of_another_kind_is_explained(
    text: str, message: str, hint: str, path: Path
) -> None:
    assert refusal(path, text, SongPreset) == (message, hint)


def test_an_empty_key_counts_as_none(path: Path) -> None:
    path.write_text("song:\nseconds:\nsampling:\n")
    assert load_config(SongPreset, path) == SongPreset()
    assert refusal(path, "sogn:\n", SongPreset)[1] == "did you mean 'song'?"
