"""Manifests and folders of audio become songs; all invalid rows are reported at once."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import soundfile

from jukebox_cli.audio.manifest import (
    Recording,
    load_recordings,
    read_conditions,
    unique_recordings,
    validate_audio,
)
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.registry import Registry
from support.run_files import write_chord


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.flac", "deep/c.ogg"):
        write_chord(tmp_path / name, 0.05)
    return tmp_path


def manifest(path: Path, *rows: object) -> Path:
    """Write a .jsonl manifest. A row that is a string is written as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def refusal(registry: Registry, *sources: Path) -> tuple[list[str], str | None]:
    with pytest.raises(InputError) as caught:
        load_recordings(registry, list(sources))
    return caught.value.message.splitlines(), caught.value.hint


def test_a_jsonl_manifest_has_a_row_per_song(folder: Path, registry: Registry) -> None:
    path = manifest(
        folder / "songs.jsonl",
        {"audio": "a.wav", "artist": "Ada Vale", "genre": "rock, jazz", "held_out": True},
        "",
        {
            "audio": "deep/c.ogg",
            "genre": ["rock"],
            "seconds": 3,
        },
    )
    assert load_recordings(registry, [path]) == [
        Recording(folder / "a.wav", {"artist": "Ada Vale", "genre": ["rock", "jazz"]}, True),
        Recording(folder / "deep/c.ogg", {"genre": ["rock"]}, False),
    ]


@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_csv_manifest_has_a_row_per_song(
    before: str, end: str, folder: Path, registry: Registry
) -> None:
    rows = ["audio,genre,artist,held_out", 'a.wav,"rock, jazz",Ada Vale,yes', "", "b.flac,,,"]
    (folder / "songs.csv").write_text(before + end.join(rows) + end, encoding="utf-8", newline="")
    assert load_recordings(registry, [folder / "songs.csv"]) == [
        Recording(folder / "a.wav", {"artist": "Ada Vale", "genre": ["rock", "jazz"]}, True),
        Recording(folder / "b.flac", {}, False),
    ]


@pytest.mark.parametrize(
    ("value", "held_out"),
    [
        *((value, True) for value in (True, 1, "true", "Yes ", "1")),
        *((value, False) for value in (False, None, 0, "0", "", "no", "FALSE")),
    ],
)
def test_held_out_is_parsed_from_text(
    value: object, held_out: bool, folder: Path, registry: Registry
) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "a.wav", "held_out": value})
    assert [r.held_out for r in load_recordings(registry, [path])] == [held_out]


@pytest.mark.parametrize("value", ["maybe", "x", 2, []])
def test_another_held_out_is_refused(value: object, folder: Path, registry: Registry) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "a.wav", "held_out": value})
    expected = [f"{path}:1: can't read held_out '{value}'"], "write true or false"
    assert refusal(registry, path) == expected


def test_a_misspelt_column_is_refused_once(folder: Path, registry: Registry) -> None:
    path = folder / "songs.csv"
    path.write_text("audio,artst,Genre,heldout\na.wav,,,\nb.flac,Ada,rock,\na.wav,Ada,jazz,x\n")
    lines, hint = refusal(registry, path)
    assert lines == [
        f"{path}:3: no column 'artst'",
        f"{path}:3: no column 'Genre'",
        f"{path}:4: no column 'heldout'",
    ]
    assert hint is not None
    assert hint.split("; ") == [
        f"did you mean '{name}'?" for name in ("artist", "genre", "held_out")
    ]


def test_other_columns_are_named_in_a_warning(folder: Path, registry: Registry) -> None:
    row = {"audio": "a.wav", "title": "One", "licence": None}
    path = manifest(folder / "songs.jsonl", row, {**row, "licence": "CC0"})
    message = f"{path} has columns that no plugin reads: title, licence"
    with pytest.warns(InputWarning, match=f"^{message}$"):
        assert len(load_recordings(registry, [path])) == 2


def test_cells_without_a_column_are_refused(folder: Path, registry: Registry) -> None:
    path = folder / "songs.csv"
    path.write_text("audio,genre,artist\na.wav,rock,Ada,,\na.wav,rock, jazz,Ada\n")
    lines, hint = refusal(registry, path)
    assert lines == [f"{path}:3: more cells than columns"]
    assert hint == "put quotes around cells with commas"


def test_a_row_wins_over_a_file_of_a_folder(folder: Path, registry: Registry) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "deep/../a.wav", "held_out": True})
    for sources in ([path, folder], [folder, path]):
        found = unique_recordings(load_recordings(registry, sources))
        assert sorted((each.audio.name, each.held_out) for each in found) == [
            ("a.wav", True),
            ("b.flac", False),
            ("c.ogg", False),
        ]


def test_rows_that_contradict_each_other_are_refused(folder: Path, registry: Registry) -> None:
    row = {"audio": "a.wav", "genre": "rock"}
    path = manifest(
        *(folder / "songs.jsonl", row, row, {**row, "genre": "jazz"}, {**row, "held_out": True})
    )
    recordings = load_recordings(registry, [path])
    with pytest.raises(InputError) as caught:
        unique_recordings(recordings)
    assert caught.value.message.splitlines() == [
        f"{path}:3: {folder}/a.wav has other values in {path}:1",
        f"{path}:4: {folder}/a.wav has other values in {path}:1",
    ]
    assert caught.value.hint == "leave out one of the rows"
    assert len(unique_recordings(recordings[:2])) == 1


def test_folders_files_and_manifests_are_loaded_in_order(folder: Path, registry: Registry) -> None:
    (folder / "notes.txt").write_text("no audio")
    path = manifest(folder / "songs.jsonl", {"audio": "b.flac", "genre": "rock"})
    found = load_recordings(registry, [path, folder, folder / "a.wav"])
    names = ["b.flac", "a.wav", "b.flac", "c.ogg", "a.wav"]
    assert [r.audio.name for r in found] == names
    assert [dict(r.song) for r in found] == [{"genre": ["rock"]}, {}, {}, {}, {}]


def test_all_invalid_rows_are_reported_with_their_lines(folder: Path, registry: Registry) -> None:
    path = manifest(
        folder / "songs.jsonl",
        {"audio": "a.wav"},
        {"genre": "rock"},
        "",
        {"audio": "nosuch.wav"},
        '{"audio": "a.wav"',
        "[1]",
        {"audio": "a.wav", "genre": 7},
        {"audio": "a.wav", "artist": ["x"]},
    )
    lines, hint = refusal(registry, path)
    assert lines == [
        f"{path}:2: no 'audio' in this row",
        f"{path}:4: no file {folder}/nosuch.wav",
        f"{path}:5: bad JSON: Expecting ',' delimiter",
        f"{path}:6: not a JSON object",
        f"{path}:7: can't read genre 7",
        f"{path}:8: can't read artist ['x']",
    ]
    assert hint == (
        "every row needs the path of an audio file; paths are relative to the manifest; "
        'correct that line; write {"audio": "song.wav"}; write genres separated by commas, '
        "in quotes; write a name, in quotes"
    )


def test_a_truncated_last_row_is_reported(folder: Path, registry: Registry) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "a.wav"}, '{"audio": "b.fl')
    assert refusal(registry, path)[0] == [f"{path}:2: bad JSON: Unterminated string starting at"]


def test_invalid_csv_rows_are_reported_with_their_lines(folder: Path, registry: Registry) -> None:
    path = folder / "songs.csv"
    path.write_text(
        'audio,genre\na.wav,rock\n\n,jazz\n"nosuch.wav","x\ny"\nb.flac,' + "z" * 200_000 + "\n"
    )
    lines, _ = refusal(registry, path)
    assert lines == [
        f"{path}:4: no 'audio' in this row",
        f"{path}:6: no file {folder}/nosuch.wav",
        f"{path}:7: bad CSV: field larger than field limit (131072)",
    ]


def test_a_name_that_the_system_refuses_is_reported_with_its_line(
    folder: Path, registry: Registry
) -> None:
    path = folder / "m.jsonl"
    path.write_text(json.dumps({"audio": "a" * 300}))
    what = f"{path}:1: can't read {folder / ('a' * 300)}: File name too long"
    assert refusal(registry, path) == ([what], "choose a shorter name")


def test_errors_of_several_sources_are_reported_together(folder: Path, registry: Registry) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "nosuch.wav"})
    (folder / "empty").mkdir()
    lines, hint = refusal(registry, path, folder / "a.wav", folder / "none.wav", folder / "empty")
    assert lines == [
        f"{path}:1: no file {folder}/nosuch.wav",
        f"no file {folder}/none.wav",
        f"no audio in {folder}/empty",
    ]
    assert hint is not None
    assert hint.startswith("paths are relative to the manifest; check the path; looked for .aif, ")


@pytest.mark.parametrize("name", ["songs.csv", "songs.jsonl"])
def test_a_manifest_without_rows_is_refused(name: str, folder: Path, registry: Registry) -> None:
    (folder / name).write_text("audio,genre\n" if name.endswith("csv") else "\n")
    expected = [f"{folder / name} has no rows"], "write one for each recording"
    assert refusal(registry, folder / name) == expected


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl"])
def test_a_missing_manifest_is_refused(name: str, folder: Path, registry: Registry) -> None:
    assert refusal(registry, folder / name) == ([f"no file {folder / name}"], "check the path")


def test_an_unknown_condition_is_refused(registry: Registry) -> None:
    columns = sorted(f.name for c in registry.conditioners.values() for f in fields(c.Input))
    known = f"known are: {', '.join(columns)}"
    for word, hint in (("gerne", "did you mean 'genre'?"), ("zzzzz", known)):
        with pytest.raises(InputError) as caught:
            read_conditions(registry, {word: "rock"}, Path())
        assert (caught.value.message, caught.value.hint) == (f"no condition '{word}'", hint)


def test_a_song_has_only_the_conditions_that_were_set(registry: Registry) -> None:
    assert read_conditions(registry, {}, Path()) == {}
    assert read_conditions(registry, {"genre": None, "artist": " Bo "}, Path()) == {"artist": "Bo"}


def test_durations_are_summed_and_unreadable_files_are_reported_together(folder: Path) -> None:
    good = [Recording(folder / "a.wav", {}), Recording(folder / "b.flac", {})]
    assert validate_audio(good) == pytest.approx(0.1)
    (folder / "text.wav").write_text("hello")
    (folder / "empty.wav").write_bytes(b"")
    soundfile.write(folder / "none.wav", [], 8000)
    bad = [Recording(folder / f"{name}.wav", {}) for name in ("text", "empty", "none", "nosuch")]
    with pytest.raises(InputError) as caught:
        validate_audio([*good, *bad])
    assert caught.value.message.splitlines() == [
        f"{folder}/text.wav is not audio that can be read",
        f"{folder}/empty.wav is empty",
        f"{folder}/none.wav has no audio",
        f"no file {folder}/nosuch.wav",
    ]


@pytest.mark.parametrize(
    ("header", "hint"),
    [
        ("audio;artist", "separate columns with commas"),
        ("audio\tartist", "separate columns with commas"),
        ("Audio,artist", "rename 'Audio' to 'audio'"),
        ("file,artist", "call the column of the paths 'audio'"),
    ],
)
def test_a_table_without_the_column_audio_is_refused(
    header: str, hint: str, folder: Path, registry: Registry
) -> None:
    path = folder / "songs.csv"
    path.write_text(f"{header}\na.wav,Bo\nb.flac,Cy\n")
    columns = header.replace(",", ", ")
    assert refusal(registry, path) == ([f"{path} has no column 'audio', only {columns}"], hint)


@pytest.mark.parametrize(
    ("rows", "line", "problem"),
    [
        ('a.wav,rock\na.wav,"jazz\nb.flac,rock\n', 3, "a quote begins in this row and never ends"),
        ('a.wav,"jazz\nb.flac,rock', 2, "a quote begins in this row and never ends"),
        ('a.wav,rock\nb.flac,"ja"zz\n', 3, "bad CSV: ',' expected after '\"'"),
    ],
)
def test_quotes_that_are_wrong_are_refused(
    rows: str, line: int, problem: str, folder: Path, registry: Registry
) -> None:
    path = folder / "songs.csv"
    path.write_text(f"audio,genre\n{rows}")
    hint = 'end every quote, and write a quote within a cell twice: ""'
    assert refusal(registry, path) == ([f"{path}:{line}: {problem}"], hint)


@pytest.mark.parametrize(("value", "held_out"), [(1.0, True), ("y", True), ("True ", True)])
def test_held_out_is_understood_in_many_words(
    value: object, held_out: bool, folder: Path, registry: Registry
) -> None:
    path = manifest(folder / "songs.jsonl", {"audio": "a.wav", "held_out": value})
    (recording,) = load_recordings(registry, [path])
    assert recording.held_out == held_out
