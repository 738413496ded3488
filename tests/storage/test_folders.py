"""Files are whole or not there; what is damaged is told; a corpus survives a crash."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import threading
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.files import (
    append_jsonl,
    atomic_write,
    disk_errors,
    exclusive_lock,
    read_json,
    read_jsonl,
    write_text,
)
from jukebox_cli.storage.model import Model, builtin_model_names, find_model, model_names
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig, Tokens
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from support.results import refusal
from support.tiny_model import make_tiny

# one file


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old")
    with atomic_write(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
        assert part.parent == path.parent
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyboardInterrupt(), OSError(errno.ENOSPC, "x")]
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    error: BaseException, tmp_path: Path
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half of the n")
            raise error

    full = isinstance(error, OSError)
    with pytest.raises(InputError if full else type(error)):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path, texts = tmp_path / "file.txt", ["a" * 100_000, "b" * 50_000]
    write_text(path, texts[0])
    done = threading.Event()

    def write() -> None:
        for n in range(200):
            write_text(path, texts[n % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        seen.add(path.read_text())
    writer.join()
    assert seen <= set(texts)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space and run the same command again: it goes on from here"),
        (errno.EDQUOT, "free some space and run the same command again: it goes on from here"),
        (errno.EACCES, "change its permissions, or choose another folder"),
        (errno.EPERM, "change its permissions, or choose another folder"),
        (errno.EROFS, "choose another folder: this one is read-only"),
        (errno.ENOTDIR, "choose another folder: part of this path is a file"),
        (errno.EEXIST, "choose another folder: a file is in the way"),
        (errno.EISDIR, "choose another name: a folder is in the way"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.ENOENT, "choose another folder: this one can't be made"),
    ],
)
def test_what_a_person_can_fix_about_a_disk_is_told(number: int, hint: str) -> None:
    def fail() -> None:
        with disk_errors(Path("x")):
            raise OSError(number, os.strerror(number))

    assert refusal(fail) == (f"can't write x: {os.strerror(number)}", hint)


def test_other_errors_of_a_disk_are_not_dressed_up() -> None:
    with pytest.raises(OSError, match="Input/output error"), disk_errors(Path("x")):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


# lines


def test_a_line_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "log.jsonl"
    append_jsonl(path, {"a": 1})
    append_jsonl(path, {"b": "ü\u2028"})
    assert path.read_bytes().count(b"\n") == 2
    assert read_jsonl(path) == [{"a": 1}, {"b": "ü\u2028"}]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    assert read_jsonl(path) == [{"a": 1}]


def test_a_line_after_one_that_was_cut_off_stands_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"a": 1}\n{"b"')
    append_jsonl(path, {"c": 3})
    assert path.read_text().splitlines() == ['{"a": 1}', '{"b"', '{"c": 3}']


def test_a_bad_line_before_the_last_is_told(tmp_path: Path) -> None:
    path = tmp_path / "songs.jsonl"
    path.write_text('{"a": 1}\n{"b"\n{"c": 3}\n')
    message = f"{path}:2: bad JSON: Expecting ':' delimiter"
    assert refusal(read_jsonl, path) == (message, "correct that line")


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").touch()
    assert read_jsonl(tmp_path / "log.jsonl") == []


def test_a_line_that_is_written_in_part_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr(Path, "open", lambda *words, **more: Full())
    path = tmp_path / "log.jsonl"
    assert refusal(append_jsonl, path, {"a": 1}) == (
        f"can't write {path}: No space left on device",
        "free some space and run the same command again: it goes on from here",
    )


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
def test_damaged_json_is_told(text: str, message: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "song.json"
    path.write_text(text)
    assert refusal(read_json, path) == (f"{path}{message}", hint)


# tensors


def test_tensors_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6).reshape(2, 3).T, "b": torch.tensor(1.5)}
    save_tensors(tmp_path / "x.safetensors", tensors)
    found = load_tensors(tmp_path / "x.safetensors")
    assert {name: t.tolist() for name, t in found.items()} == {
        name: t.tolist() for name, t in tensors.items()
    }


def test_tensors_that_are_missing_or_damaged_are_told(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    assert refusal(load_tensors, path) == (f"no file {path}", "is the model complete?")
    save_tensors(path, {"a": torch.zeros(100)})
    for data in (path.read_bytes()[:-1], b"x" * 100, b""):
        path.write_bytes(data)
        message, hint = refusal(load_tensors, path)
        assert message.startswith(f"{path} is damaged: ")
        assert hint == "restore it from a copy"


# models


def test_a_fingerprint_is_of_the_codec_alone(tmp_path: Path, registry: Registry) -> None:
    model = make_tiny(tmp_path / "one", registry)
    other = Model(Path(shutil.copytree(model.path, tmp_path / "two")))
    assert other.fingerprint() == model.fingerprint()
    prior = other.weights("prior-0")
    save_tensors(prior, {name: t + 1 for name, t in load_tensors(prior).items()})
    other.write_fitted_conditioners(0, {})
    (other.path / "card.md").write_text("A card.")
    assert other.fingerprint() == model.fingerprint()

    codec = other.weights("vqvae-1")
    save_tensors(codec, {name: t + 1 for name, t in load_tensors(codec).items()})
    assert other.fingerprint() != model.fingerprint()


def test_a_fingerprint_changes_with_the_shape_of_the_codec(
    tmp_path: Path, registry: Registry
) -> None:
    model = make_tiny(tmp_path / "one", registry)
    before = model.fingerprint()
    text = (model.path / "config.yaml").read_text()
    (model.path / "config.yaml").write_text(text.replace("sample_rate: 8000", "sample_rate: 16000"))
    assert Model(model.path).fingerprint() != before


def test_a_model_is_found_by_path_by_name_and_among_the_built_in(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.path, tmp_path / "models" / "mine")
    assert find_model(str(tiny.path)).path == tiny.path
    assert find_model("mine").path == Path("models/mine")
    assert model_names() == sorted({"mine", *builtin_model_names()})
    assert all(find_model(name).exists for name in builtin_model_names())


def test_a_model_that_is_not_there_is_told(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny.path, tmp_path / "models" / "piano")
    (tmp_path / "music").mkdir()
    assert refusal(find_model, "paino") == ("no model 'paino'", "did you mean 'piano'?")
    hint = "known are: mini, piano; `jukebox model import` brings in others"
    assert refusal(find_model, "openai-5b") == ("no model 'openai-5b'", hint)
    message = "music is not a model: it has no config.yaml"
    assert refusal(find_model, "music") == (message, "see `jukebox model list`")


@pytest.mark.parametrize("text", ['{"format": 1}', '{"conditioners": 3}'])
def test_what_conditioners_learned_is_told_when_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "prior-2.json").write_text(text)
    message, hint = refusal(Model(tmp_path).fitted_conditioners, 2)
    assert message.startswith(f"{tmp_path}/prior-2.json is damaged: ")
    assert hint == "restore it from a copy, or make it again"


# runs


CODEC = VQVAEConfig(8000, ((4,), (2,), (2,)), 64, 8, (8, 8, 8), (2, 2, 2))


def test_a_run_comes_back(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert not run.exists
    config = RunConfig(model="tiny", seed=3, hop_fraction=(0.5, 1.0), sampling=({"top_k": 3}, {}))
    asked = ItemSpecs(100, {"genre": ["ü"]}, {2: (50, {"artist": "A"})})
    run.write_item_specs(asked)
    run.write_config(config)
    again = Run(tmp_path / "run")
    assert again.exists
    assert (again.config, again.item_specs()) == (config, asked)
    assert [again.item_specs().for_item(item) for item in (0, 2)] == [
        (100, {"genre": ["ü"]}),
        (50, {"artist": "A"}),
    ]


def test_what_tasks_ask_for_of_their_own_items_is_kept_apart(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_item_specs(ItemSpecs(100, {}, {7: (1, {})}))
    run.write_item_specs(ItemSpecs(100, {}))
    assert run.item_specs() == ItemSpecs(100, {})  # what a request before it left is gone
    before = run.item_specs()  # which both of these tasks have read
    for item in (1, 0):
        mine = ItemSpecs(before.num_samples, before.song, {item: (200 + item, {"genre": ["jazz"]})})
        run.write_item_specs(mine, [item])
    assert run.item_specs() == ItemSpecs(
        100, {}, {n: (200 + n, {"genre": ["jazz"]}) for n in (0, 1)}
    )


def test_items_in_the_song_file_of_an_early_run_are_read(tmp_path: Path) -> None:
    old = {"format": 1, "samples": 9, "song": {}, "items": {"3": {"samples": 5, "song": {"a": 1}}}}
    (tmp_path / "song.json").write_text(json.dumps(old))
    assert Run(tmp_path).item_specs() == ItemSpecs(9, {}, {3: (5, {"a": 1})})


def test_tokens_come_back_with_how_many_were_given(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.read_tokens(1, 3) is None
    run.write_tokens(1, 3, Tokens(np.array([5, 63, 0]), 2), CODEC)
    run.write_tokens(2, 12, Tokens(np.zeros(0, np.int64), 0), CODEC)
    found = run.read_tokens(1, 3)
    assert found is not None
    assert (found.tokens.tolist(), found.tokens.dtype, found.primed) == ([5, 63, 0], np.int64, 2)
    assert run.items() == [3, 12]
    assert (run.levels_with_tokens(3), run.levels_with_tokens(12)) == ([1], [2])


def test_half_a_file_of_tokens_is_no_item(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_tokens(1, 3, Tokens(np.array([5]), 0), CODEC)
    (run.token_file(1, 4).with_name(".item-04.safetensors.0123abcd.part")).touch()
    assert run.items() == [3]


def test_no_run_is_told(tmp_path: Path) -> None:
    hint = "make one with `jukebox generate --out`"
    assert refusal(lambda: Run(tmp_path / "x").config) == (f"{tmp_path}/x does not exist", hint)
    message = f"{tmp_path} is not a run: it has no run.yaml"
    assert refusal(lambda: Run(tmp_path).config) == (message, hint)


# corpora


CORPUS = CorpusConfig(fingerprint="abc", sample_rate=8000, hop_lengths=(4, 8, 16), codebook_size=64)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus(tmp_path / "corpus")
    corpus.write_config(CORPUS)
    return corpus


def add(corpus: Corpus, name: str, length: int, value: int) -> None:
    codes = [np.full(length * ratio, value) for ratio in (4, 2, 1)]
    corpus.append(name, length * 16 - 3, {"genre": [name]}, False, codes)


def songs(corpus: Corpus) -> list[tuple[str, list[int]]]:
    """Each song's name and its tokens at every level, laid end to end."""
    found = []
    for entry in corpus.songs():
        ratios = [corpus.ratio(n) for n in range(3)]
        parts = [
            corpus.tokens(n)[entry.start * r : (entry.start + entry.length) * r]
            for n, r in enumerate(ratios)
        ]
        found.append((entry.name, np.concatenate(parts).tolist()))
    return found


def test_a_corpus_lays_song_after_song(corpus: Corpus) -> None:
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


def test_a_line_that_lost_only_its_end_counts(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    path = corpus.path / "songs.jsonl"
    path.write_text(path.read_text().removesuffix("\n"))
    add(corpus, "b", 3, 2)
    assert songs(corpus) == [("a", [1] * 14), ("b", [2] * 21)]


def add_many(path: Path, name: str, value: int) -> None:
    for number in range(40):
        add(Corpus(path), f"{name}{number}", 1 + number % 3, value)


def test_processes_add_to_a_corpus_side_by_side(corpus: Corpus) -> None:
    started = get_context("spawn")
    tasks = [
        started.Process(target=add_many, args=(corpus.path, name, value))
        for name, value in (("a", 1), ("b", 2))
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join(60)
    corpus.validate()
    found = dict(songs(corpus))
    for name, value in (("a", 1), ("b", 2)):
        for number in range(40):
            assert found[f"{name}{number}"] == [value] * 7 * (1 + number % 3)


def hold(folder: Path, events: Connection) -> None:
    """Holds the lock of a folder for half a second, says when it has it, and ends with a file."""
    with exclusive_lock(folder):
        events.send("held")
        time.sleep(0.5)
        (folder / "done").touch()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    started = get_context("spawn")
    ours, theirs = started.Pipe()
    other = started.Process(target=hold, args=(tmp_path, theirs))
    other.start()
    assert ours.recv() == "held"
    with exclusive_lock(tmp_path):
        assert (tmp_path / "done").exists()
    other.join(60)


def test_a_lock_is_let_go_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="x"), exclusive_lock(tmp_path):
        raise ValueError("x")
    with exclusive_lock(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_a_lock_that_can_not_be_had_is_told(corpus: Corpus) -> None:
    (corpus.path / ".lock").mkdir()
    message = f"can't write {corpus.path}/.lock: Is a directory"
    hint = "choose another name: a folder is in the way"
    assert refusal(add, corpus, "a", 2, 1) == (message, hint)
    assert {path.name for path in corpus.path.iterdir()} == {".lock", "corpus.yaml"}


def test_a_corpus_that_is_not_one_is_told(tmp_path: Path, corpus: Corpus) -> None:
    hint = "make one with `jukebox tokenize`"
    assert refusal(lambda: Corpus(tmp_path).config) == (f"{tmp_path} is not a corpus", hint)
    message = f"{corpus.path} holds no songs"
    assert refusal(corpus.tokens, 0) == (message, "fill it with `jukebox tokenize`")


def test_a_damaged_corpus_is_told(corpus: Corpus) -> None:
    add(corpus, "a", 2, 1)
    add(corpus, "b", 3, 2)
    os.truncate(corpus.path / "level-1.bin", 13)
    message = f"{corpus.path}/level-1.bin is damaged: 6 tokens, not 10"
    assert refusal(corpus.validate) == (message, "tokenize the songs into a new corpus")
    (corpus.path / "songs.jsonl").write_text('{"name": "a"}\n')
    message, hint = refusal(corpus.songs)
    assert message.startswith(f"{corpus.path}/songs.jsonl is damaged: TypeError: ")
    assert hint == "restore it from a copy, or make it again"
