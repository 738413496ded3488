"""YAML and JSON files of the program: read, and errors of damaged, changed and hostile ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from jukebox_cli.config.schema import SongPreset
from jukebox_cli.storage.documents import (
    EDITED_HINT,
    RESTORE_HINT,
    config_text,
    json_text,
    last_jsonl_line,
    load_own_config,
    read_json,
    read_jsonl,
    read_own_json,
    require_format,
)
from support.results import refusal


def test_a_last_line_that_was_cut_off_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    assert read_jsonl(path) == [{"a": 1}]


def test_a_bad_line_before_the_last_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "songs.jsonl"
    path.write_text('{"a": 1}\n{"b"\n{"c": 3}\n')
    message = f"{path}:2: bad JSON: Expecting ':' delimiter"
    assert refusal(read_jsonl, path) == (message, "correct that line")


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    assert read_jsonl(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            '{"a": 1',
            ":1: damaged: Expecting ',' delimiter",
            "restore it from a copy, or make it again",
        ),
        ("[1]", ": damaged: not a mapping", "restore it from a copy"),
    ],
)
def test_damaged_json_is_an_error(text: str, message: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    assert refusal(read_json, path) == (f"{path}{message}", hint)


# formats


@pytest.mark.parametrize(
    ("found", "problem", "hint"),
    [
        (
            1,
            ": format 1 cannot be read, only format 2",
            "an earlier version of jukebox wrote it: make it anew, or see CHANGELOG.md for new "
            "keys",
        ),
        (
            "3",
            ": format 3 cannot be read, only format 2",
            "a later version of jukebox may have written it: install that",
        ),
        (None, " names no format", "restore it from a copy, or make it again"),
    ],
)
def test_another_format_is_refused(found: object, problem: str, hint: str) -> None:
    assert refusal(require_format, found, Path("x.json")) == (f"x.json{problem}", hint)
    require_format(2, Path("x.json"))
    require_format("2", Path("x.safetensors"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is damaged: it is empty"),
        ("\n \n", "is damaged: it is empty"),
        ("format: 2\nseed: 1\n", "is damaged: it has no 'model'"),
    ],
)
def test_a_yaml_file_of_the_program_that_is_not_complete_is_damaged(
    text: str, error: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    hint = "restore it from a copy, or make it again"
    assert refusal(load_own_config, SongPreset, path, ["seed", "model"]) == (
        f"{path} {error}",
        hint,
    )


def test_a_yaml_file_of_something_else_is_to_be_restored(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("- 1\n")
    assert refusal(load_own_config, SongPreset, path, []) == (
        f"{path}: expected 'key: value' lines",
        "restore it from a copy, or make it again",
    )


# checksums


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(config_text(SongPreset(seed=3)))
    assert load_own_config(SongPreset, path, ["seed"]) == SongPreset(seed=3)
    assert config_text(SongPreset(seed=3)) != config_text(SongPreset(seed=4))


def test_a_config_that_was_changed_is_refused_unless_its_checksum_is_null(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run.yaml"
    text = config_text(SongPreset(seed=3)).replace("seed: 3", "seed: 4")
    path.write_text(text)
    message = f"{path} was changed or is damaged: its checksum does not match"
    assert refusal(load_own_config, SongPreset, path, []) == (message, EDITED_HINT)
    path.write_text(text.partition("\n")[2])
    message = f"{path} is damaged: it has no 'checksum'"
    assert refusal(load_own_config, SongPreset, path, []) == (message, EDITED_HINT)
    path.write_text(f"checksum: null\n{text.partition(chr(10))[2]}")
    assert load_own_config(SongPreset, path, []) == SongPreset(seed=4)


def test_json_that_was_changed_is_refused_unless_its_checksum_is_null(tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    text = json_text({"format": 2, "a": 1, "b": "0" * 64}, indent=1)
    path.write_text(text)
    assert read_own_json(path) == {"a": 1, "b": "0" * 64}
    path.write_text(text.replace('"a": 1', '"a": 2'))
    message = f"{path} was changed or is damaged: its checksum does not match"
    assert refusal(read_own_json, path) == (message, EDITED_HINT)
    path.write_text('{"format": 2, "a": 2}')
    message = f"{path} is damaged: it has no 'checksum'"
    assert refusal(read_own_json, path) == (message, EDITED_HINT)
    path.write_text('{"format": 2, "a": 2, "checksum": null}')
    assert read_own_json(path) == {"a": 2}


@pytest.mark.parametrize("checksum", ["3", '"abc"', "false", "[]"])
def test_a_checksum_that_is_none_is_refused(checksum: str, tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    path.write_text(f'{{"format": 2, "checksum": {checksum}}}')
    message = f"{path} was changed or is damaged: its checksum does not match"
    assert refusal(read_own_json, path) == (message, EDITED_HINT)


# hostile files

DEEP = "more than 64 lists within each other"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": ' + "[" * 70 + "]" * 70 + "}", DEEP),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", DEEP),
        ('{"a": 1, "a": 2}', "'a' occurs twice"),
        ('{"a": NaN}', "NaN is no finite number"),
        ('{"a": [-Infinity]}', "-Infinity is no finite number"),
        ('{"a": 1e999}', "1e999 is no finite number"),
        ('{"a": ' + "9" * 5000 + "}", "Exceeds the limit (4300 digits) for integer string"),
    ],
)
def test_json_that_could_do_harm_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    message, hint = refusal(read_json, path)
    assert message.startswith(f"{path} is damaged: {problem}")
    assert hint == RESTORE_HINT


def test_lines_that_are_no_mappings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n[2]\n')
    hint = "correct that line"
    assert refusal(read_jsonl, path) == (f"{path}:2: bad JSON: not a mapping", hint)


def test_a_whole_last_line_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"\n')
    message = f"{path}:2: bad JSON: Expecting ':' delimiter"
    assert refusal(read_jsonl, path) == (message, "correct that line")


def test_the_last_line_is_found_without_the_others(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert last_jsonl_line(path) is None
    path.write_text('no json\n{"b": 2}\n')
    assert last_jsonl_line(path) == '{"b": 2}\n'
