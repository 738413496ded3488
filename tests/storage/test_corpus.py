"""A corpus is appended to song by song, and survives a crash."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from support.results import refusal

CORPUS = CorpusConfig(fingerprint="abc", sample_rate=8000, hop_lengths=(4, 8, 16), codebook_size=64)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path / "corpus")
    corpus.write_config(CORPUS)
    return corpus


def add(corpus: Corpus, name: str, length: int, value: int) -> bool:
    codes = [np.full(length * ratio, value) for ratio in (4, 2, 1)]
    return corpus.append(name, length * 16 - 3, {"genre": [name]}, False, codes)


def songs(corpus: Corpus) -> list[tuple[str, list[int]]]:
    """Each song's name and its tokens at every level, laid end to end."""
    found = []
    for entry in corpus.songs():
        ratios = [corpus.token_grid.tokens_per_top_token(n) for n in range(3)]
        parts = [
            corpus.tokens(n)[entry.start * r : (entry.start + entry.length) * r]
            for n, r in enumerate(ratios)
        ]
        found.append((entry.name, np.concatenate(parts).tolist()))
    return found


def test_songs_are_appended(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "b", 3, 2)
    again = Corpus(corpus.path)
    assert songs(again) == [("a", [1] * 14), ("b", [2] * 21)]
    assert [len(again.tokens(n)) for n in range(3)] == [20, 10, 5]
    assert again.config == CORPUS
    assert [(e.num_samples, e.song) for e in again.songs()] == [
        (29, {"genre": ["a"]}),
        (45, {"genre": ["b"]}),
    ]


@pytest.mark.parametrize("crash", ["before its line", "in its line", "after the first level"])
def test_a_song_that_a_crash_cut_off_is_overwritten(crash: str, corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "lost", 5, 9)
    lines = (corpus.path / "songs.jsonl").read_text().splitlines(keepends=True)
    kept = lines[0] + (lines[1][:20] if crash == "in its line" else "")
    (corpus.path / "songs.jsonl").write_text(kept)
    if crash == "after the first level":
        for level, ratio in ((1, 2), (2, 1)):
            os.truncate(corpus.path / f"level-{level}.bin", 2 * 2 * ratio)
    assert songs(corpus) == [("a", [1] * 14)]
    add(corpus, "b", 3, 2)
    add(corpus, "c", 1, 3)
    corpus.validate()
    assert songs(Corpus(corpus.path)) == [("a", [1] * 14), ("b", [2] * 21), ("c", [3] * 7)]
    assert [len(corpus.tokens(n)) for n in range(3)] == [24, 12, 6]
    rows = [json.loads(line) for line in (corpus.path / "songs.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["a", "b", "c"]


def test_a_line_without_its_line_break_counts(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    path = corpus.path / "songs.jsonl"
    path.write_text(path.read_text().removesuffix("\n"))
    add(corpus, "b", 3, 2)
    assert songs(corpus) == [("a", [1] * 14), ("b", [2] * 21)]


def add_many(path: Path, name: str, value: int) -> None:
    for number in range(40):
        add(Corpus(path), f"{name}{number}", 1 + number % 3, value)


def test_a_song_is_appended_once(corpus: Corpus) -> None:
    assert add(corpus, "a", 2, 1)
    assert not add(Corpus(corpus.path), "a", 3, 2)
    assert add(Corpus(corpus.path), "b", 3, 2)
    assert not add(corpus, "b", 3, 2)
    assert songs(corpus) == [("a", [1] * 14), ("b", [2] * 21)]


def test_conditions_are_updated_and_tokens_stay(corpus: Corpus) -> None:
    for name in ("a", "b"):
        add(corpus, name, 2, 1)
    before = songs(corpus)
    assert corpus.update({"b": ({"genre": ("x",)}, True), "c": ({}, True)}) == 1
    assert [(e.name, e.song, e.held_out) for e in corpus.songs()] == [
        ("a", {"genre": ["a"]}, False),
        ("b", {"genre": ["x"]}, True),
    ]
    stamp = (corpus.path / "songs.jsonl").stat()
    assert corpus.update({"b": ({"genre": ["x"]}, True)}) == 0
    assert (corpus.path / "songs.jsonl").stat() == stamp
    assert not add(corpus, "a", 2, 1)
    assert add(corpus, "c", 3, 2)
    assert songs(corpus) == [*before, ("c", [2] * 21)]


def test_processes_can_append_at_once(corpus: Corpus) -> None:
    started = get_context("spawn")
    tasks = [
        started.Process(target=add_many, args=(corpus.path, name, value))
        for name, value in (("a", 1), ("b", 2))
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert [task.exitcode for task in tasks] == [0, 0]
    corpus.validate()
    found = dict(songs(corpus))
    for name, value in (("a", 1), ("b", 2)):
        for number in range(40):
            assert found[f"{name}{number}"] == [value] * 7 * (1 + number % 3)


def test_a_lock_that_can_not_be_taken_is_an_error(corpus: Corpus) -> None:
    (corpus.path / ".lock").mkdir()
    message = f"can't write {corpus.path}/.lock: Is a directory"
    hint = "choose another name: a folder is in the way"
    assert refusal(add, corpus, "a", 2, 1) == (message, hint)
    assert {path.name for path in corpus.path.iterdir()} == {".lock", "corpus.yaml"}


def test_a_folder_that_is_no_corpus_is_an_error(tmp_path: Path, corpus: Corpus) -> None:
    hint = "make one with `jukebox tokenize`"
    assert refusal(lambda: Corpus(tmp_path).config) == (f"{tmp_path} is not a corpus", hint)
    message = f"{corpus.path} holds no songs"
    assert refusal(corpus.tokens, 0) == (message, "fill it with `jukebox tokenize`")


def test_a_damaged_corpus_is_an_error(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "b", 3, 2)
    os.truncate(corpus.path / "level-1.bin", 13)
    message = f"{corpus.path}/level-1.bin is damaged: 6 tokens, not 10"
    assert refusal(corpus.validate) == (message, "tokenize the songs into a new corpus")
    (corpus.path / "songs.jsonl").write_text('{"name": "a"}\n')
    message, hint = refusal(corpus.songs)
    assert message == f"{corpus.path}/songs.jsonl is damaged at 'a': it has no checksum"
    assert hint == "restore it from a copy, or tokenize the songs into a new corpus"


def test_changed_tokens_of_a_corpus_are_refused(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "b", 3, 2)
    corpus.validate()
    path = corpus.path / "level-0.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    message = f"{path} is damaged: the checksum of b's tokens does not match"
    assert refusal(corpus.validate) == (message, "tokenize the songs into a new corpus")


def test_tokens_that_are_no_codes_are_refused(corpus: Corpus) -> None:
    add(corpus, "a", 2, corpus.config.codebook_size)
    message = f"{corpus.path}/level-0.bin is damaged: a has a token that is no code of the codec"
    assert refusal(corpus.validate) == (message, "tokenize the songs into a new corpus")


def test_the_tokens_of_a_corpus_are_read_through_once(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(corpus, "a", 2, 1)
    for path in corpus.path.iterdir():
        os.utime(path, ns=(1, 1))
    corpus.validate()
    monkeypatch.setattr(Corpus, "_require_tokens", pytest.fail)
    corpus.validate()


def test_a_corpus_of_format_1_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text("format: 1\nhops: [4, 8]\n")
    message, _ = refusal(lambda: Corpus(tmp_path).config)
    assert message == f"{path}: format 1 cannot be read, only format 2"


def test_tokens_without_a_song_are_said(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "b", 3, 2)
    path = corpus.path / "songs.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(InputWarning) as caught:
        corpus.validate()
    what = f"{corpus.path}/level-0.bin has tokens of songs that songs.jsonl does not name"
    assert str(caught[0].message) == f"{what}: tokenize the songs again"
