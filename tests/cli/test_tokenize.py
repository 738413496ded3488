"""`jukebox tokenize`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jukebox_cli.engine import library
from jukebox_cli.sampling import tokenize as tokenizing
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.command_line import Jukebox, Refused, stdout_of, stop_at
from support.results import Result
from support.run_files import all_tokens, contents, tokens, write_chord


@pytest.mark.parametrize("samples", [1, 15, 16, 4001])
def test_tokenize_then_decode_has_the_length_of_the_recording(
    samples: int, tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(samples, 0.1), 8000)
    out = tmp_path / "run"
    assert (
        stdout_of(jukebox("tokenize", tmp_path / "a.wav", "--model", tiny.path, "--out", out))
        == f"{out}\n"
    )
    assert len(tokens(out, 2)) == -(-samples // 16)
    [path] = stdout_of(jukebox("decode", out, "--format", "flac")).splitlines()
    assert soundfile.info(path).frames == samples


def test_the_engine_can_be_chosen(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    engines = ["torch", *(["native"] if library.kernel_names() else [])]
    for engine in engines:
        out = tmp_path / engine
        words = ("--model", tiny.path, "--out", out, "--engine", engine)
        stdout_of(jukebox("tokenize", tone, *words))
        stdout_of(jukebox("decode", out, "--engine", engine))
        assert json.loads((out / "log.jsonl").read_text())["engine"] == engine
    first, *others = (all_tokens(tmp_path / engine) for engine in engines)
    assert all(other == first for other in others)


def test_tokenize_of_several_recordings_makes_an_item_of_each(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    sounds = [write_chord(tmp_path / f"{n}.wav", 0.1 * n) for n in (1, 2)]
    stdout_of(jukebox("tokenize", *sounds, "--model", tiny.path, "--out", tmp_path / "run"))
    assert [len(tokens(tmp_path / "run", 2, item)) for item in (0, 1)] == [50, 100]


def test_tokenize_to_a_run_again_adds_nothing_and_another_recording_is_refused(
    tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path
) -> None:
    out, other = tmp_path / "run", write_chord(tmp_path / "other.wav", 0.1)
    words = ("--model", tiny.path, "--out", out, "--json")
    assert json.loads(stdout_of(jukebox("tokenize", tone, *words)))["added"] == 1
    before = contents(out)
    assert json.loads(stdout_of(jukebox("tokenize", tone, *words)))["added"] == 0
    result = jukebox("tokenize", other, *words)
    assert result.code == 2
    assert result.err.startswith(f"error: {out} is a run with another audio\n")
    assert contents(out) == before


def test_an_interrupted_tokenize_can_be_repeated(
    tiny: Model, jukebox: Jukebox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [write_chord(tmp_path / f"{n}.wav", 0.1 * n) for n in (1, 2)]
    stop_at(monkeypatch, tokenizing, "encode_file", 1)
    words = ("--model", tiny.path, "--out", tmp_path / "run")
    assert jukebox("tokenize", *sounds, *words).code == 130
    assert not Run(tmp_path / "run").exists
    stdout_of(jukebox("tokenize", sounds[1], *words))
    assert [*all_tokens(tmp_path / "run")] == [(0, 0), (1, 0), (2, 0)]
    assert len(tokens(tmp_path / "run", 2)) == 100


def test_tokenize_of_manifests_and_folders_adds_each_song_once(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    for name in ("x/a.wav", "x/deep/b.flac", "c.ogg"):
        write_chord(tmp_path / name, 0.1)
    (tmp_path / "songs.csv").write_text(
        'audio,genre,held_out\nx/a.wav,rock,\nc.ogg,"jazz, rock",true\n'
    )
    out = tmp_path / "corpus"
    words = ("--model", tiny.path, "--out", out, "--json")
    sources = (tmp_path / "songs.csv", tmp_path / "x")
    assert json.loads(stdout_of(jukebox("tokenize", *sources, *words))) == {
        "corpus": str(out),
        "added": 3,
        "updated": 0,
    }
    found = [(Path(e.name).name, dict(e.song), e.held_out) for e in Corpus(out).songs()]
    assert found == [
        ("a.wav", {"genre": ["rock"]}, False),
        ("c.ogg", {"genre": ["jazz", "rock"]}, True),
        ("b.flac", {}, False),
    ]
    before = contents(out)
    assert json.loads(stdout_of(jukebox("tokenize", *sources, *words)))["added"] == 0
    assert contents(out) == before
    write_chord(tmp_path / "x" / "new.wav", 0.1)
    assert json.loads(stdout_of(jukebox("tokenize", *sources, *words)))["added"] == 1
    assert [len(Corpus(out).tokens(n)) for n in range(3)] == [800, 400, 200]


def test_tokenize_of_a_corrected_manifest_updates_the_songs_of_the_corpus(
    tiny: Model, jukebox: Jukebox, tmp_path: Path
) -> None:
    write_chord(tmp_path / "a.wav", 0.1)
    write_chord(tmp_path / "b.wav", 0.1)
    songs, out = tmp_path / "songs.csv", tmp_path / "corpus"
    words = ("tokenize", songs, "--model", tiny.path, "--out", out)
    songs.write_text("audio,artist,held_out\na.wav,Ada,\nb.wav,Bo,\n")
    stdout_of(jukebox(*words))
    codes = [Corpus(out).tokens(level).tolist() for level in range(3)]
    songs.write_text("audio,artist,held_out\na.wav,Ada Vale,\nb.wav,Bo,true\n")
    result = jukebox(*words, "--json")
    assert json.loads(result.out) == {"corpus": str(out), "added": 0, "updated": 2}
    assert "updated the conditions of 2 songs that the corpus had\n" in result.err
    assert [(dict(e.song), e.held_out) for e in Corpus(out).songs()] == [
        ({"artist": "Ada Vale"}, False),
        ({"artist": "Bo"}, True),
    ]
    assert [Corpus(out).tokens(level).tolist() for level in range(3)] == codes
    before = contents(out)
    for sources in ((songs,), (tmp_path,)):  # files of a folder say nothing about conditions
        result = jukebox("tokenize", *sources, *words[2:], "--json")
        assert json.loads(result.out) == {"corpus": str(out), "added": 0, "updated": 0}
    assert contents(out) == before


BAD_SOUNDS = [
    ("nosuch.wav", "no file nosuch.wav", "check the path"),
    ("empty.wav", "empty.wav is empty", "was it copied completely?"),
    (
        "text.wav",
        "text.wav is not audio that can be read",
        "use wav, flac, ogg, opus, mp3, aiff and more",
    ),
    ("none.wav", "none.wav has no audio", "it has a header but no samples"),
]


@pytest.mark.parametrize(("name", "error", "hint"), BAD_SOUNDS)
@pytest.mark.parametrize("command", ["continue --audio", "tokenize", "train vqvae"])
def test_unreadable_audio_is_an_error(
    command: str, name: str, error: str, hint: str, refused: Refused
) -> None:
    refused(*command.split(), name, "--model", "models/tiny", *out(command), error=error, hint=hint)


def out(command: str) -> tuple[str, ...]:
    return () if command.startswith("train") else ("--out", "out")


def test_a_folder_without_audio_is_an_error(refused: Refused) -> None:
    kinds = ".aif, .aifc, .aiff, .au, .caf, .flac, .mp3, .oga, .ogg, .opus, .w64, .wav"
    words = ("tokenize", "music", "--out", "out", "--model", "tiny")
    refused(*words, error="no audio in music", hint=f"looked for {kinds}")


def test_all_unreadable_files_are_reported_together(place: Path, jukebox: Jukebox) -> None:
    result = jukebox(
        "tokenize", *(name for name, _, _ in BAD_SOUNDS[1:]), "--model", "tiny", "--out", "out"
    )
    assert result.err.splitlines()[:3] == [f"error: {error}" for _, error, _ in BAD_SOUNDS[1:]]


@pytest.mark.parametrize("kind", ["run", "corpus"])
@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("cut.flac", "cut.flac is damaged: flac decoder lost sync", "restore it from a copy"),
        ("one-44.wav", "one-44.wav is too short: nothing is left at 8000 Hz", "use a longer one"),
        ("nan.wav", "nan.wav has samples that are not numbers", "export it again"),
    ],
)
def test_audio_that_is_damaged_further_in_is_an_error(
    name: str, error: str, hint: str, kind: str, place: Path, jukebox: Jukebox
) -> None:
    words = ("--model", "tiny", "--as", kind, "--out", "out", "--quiet")
    assert jukebox("tokenize", "tone.wav", name, *words) == Result(
        2, "", f"error: {error}\n\nhint: {hint}\n"
    )
    assert jukebox("tokenize", "tone.wav", *words).code == 0  # what is left is not in the way
    if kind == "run":
        assert {item for _, item in all_tokens(Path("out"))} == {0}
    else:
        assert [entry.name for entry in Corpus(Path("out")).songs()] == ["tone.wav"]


def test_a_run_is_not_a_corpus(refused: Refused) -> None:
    refused(
        *("tokenize", "tone.wav", "--model", "tiny", "--as", "corpus", "--out", "run", "--quiet"),
        error="run exists already and is not a corpus",
        hint="choose another --out",
    )


def test_a_file_in_the_way_is_refused_before_anything_is_loaded(
    place: Path, refused: Refused
) -> None:
    write_chord(place / "a.wav", 0.1)
    (place / "file").touch()
    (place / "songs").mkdir()
    write_chord(place / "songs/b.wav", 0.1)
    hint = "choose another --out"
    for words in (("a.wav", "--as", "corpus"), ("songs",)):
        error = "file exists already and is not a corpus"
        refused("tokenize", *words, "--out", "file", "--model", "tiny", error=error, hint=hint)
    error = "can't write file/x/y: file is a file"
    for command in (("tokenize", "songs"), ("tokenize", "a.wav"), ("generate",)):
        refused(*command, "--out", "file/x/y", "--model", "tiny", error=error, hint=hint)
