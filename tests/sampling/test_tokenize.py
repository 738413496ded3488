"""Audio becomes the tokens of a corpus or of a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jukebox_cli.audio.manifest import Recording
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.model.codec import Codec
from jukebox_cli.sampling.run_setup import hash_recording
from jukebox_cli.sampling.tokenize import encode_file, to_corpus, to_run
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.segments import Prompt
from support.jobs import CONFIG
from support.results import refusal
from support.run_files import edit, write_chord


@pytest.fixture(scope="module")
def codec(tiny: Model) -> Codec:
    return load_codec(tiny, torch.device("cpu"))


def test_a_prompt_can_be_the_first_seconds_of_a_file(codec: Codec, tmp_path: Path) -> None:
    sound = write_chord(tmp_path / "a.wav", 0.3)
    counts: list[int] = []
    tokens, num_samples = encode_file(codec, sound, counts.append, seconds=0.1)
    assert (num_samples, sum(counts)) == (800, 800)
    assert [len(codes) for codes in tokens] == [200, 100, 50]
    whole, num_samples = encode_file(codec, sound)
    assert (num_samples, len(whole[2])) == (2400, 150)


def test_a_run_of_recordings_has_prompts(codec: Codec, tiny: Model, tmp_path: Path) -> None:
    sounds = [write_chord(tmp_path / f"{name}.wav", 0.1) for name in "ab"]
    recordings = [
        Recording(sound, {"genre": [name]}) for sound, name in zip(sounds, "xy", strict=True)
    ]
    run = Run(tmp_path / "run")
    run.write_tokens(0, 7, np.zeros(1, np.int64), tiny.config.vqvae)  # of an interrupted command
    to_run(recordings, tiny, codec, run, CONFIG)
    assert (run.items(), run.levels_with_tokens(7)) == ([0, 1], [])
    spec = run.item(1)
    assert (spec.num_samples, len(spec.segments)) == (800, 1)
    assert spec.prompt == Prompt(hash_recording(sounds[1]), 800)
    assert (spec.prompt.name, spec.conditions) == ("b.wav", {"genre": ["y"]})
    expected, _ = encode_file(codec, sounds[1])
    found = run.read_tokens(0, 1)
    assert found is not None
    assert found.tolist() == expected[0].tolist()


def test_a_corpus_gets_each_recording_once(codec: Codec, tiny: Model, tmp_path: Path) -> None:
    recordings = [Recording(write_chord(tmp_path / f"{name}.wav", 0.1), {}) for name in "ab"]
    corpus = Corpus(tmp_path / "corpus")
    assert to_corpus(recordings[:1] * 2, tiny, codec, corpus) == (1, 0)
    assert to_corpus(recordings, tiny, codec, corpus) == (1, 0)
    assert [song.name for song in corpus.songs()] == [str(each.audio) for each in recordings]
    assert corpus.config.fingerprint == tiny.fingerprint()


def test_a_song_that_another_process_adds_meanwhile_is_not_added_again(
    codec: Codec, tiny: Model, tmp_path: Path
) -> None:
    """The other one's manifest has another artist; the later command wins."""
    sounds = [write_chord(tmp_path / f"{name}.wav", 0.1) for name in "ab"]
    mine = [Recording(sound, {"artist": "me"}, row="songs.jsonl:1") for sound in sounds]
    others = [replace(each, song={"artist": "you"}) for each in mine[:1]]
    corpus, other = Corpus(tmp_path / "corpus"), Corpus(tmp_path / "corpus")
    found: list[Any] = []

    def add_before(samples: int) -> None:
        if not found:
            found.append(to_corpus(others, tiny, codec, other))

    assert to_corpus(mine, tiny, codec, corpus, add_before) == (1, 1)
    assert found == [(1, 0)]
    assert [song.name for song in corpus.songs()] == [str(sound) for sound in sounds]
    assert [song.song for song in corpus.songs()] == [{"artist": "me"}] * 2
    corpus.validate()


def test_a_corpus_that_another_process_makes_just_now_is_used(
    codec: Codec, tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = write_chord(tmp_path / "a.wav", 0.1)
    corpus = Corpus(tmp_path / "corpus")
    corpus.path.mkdir()
    iterdir = Path.iterdir

    def iterdir_after_the_other(path: Path) -> Iterator[Path]:
        monkeypatch.setattr(Path, "iterdir", iterdir)
        to_corpus([], tiny, codec, Corpus(corpus.path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", iterdir_after_the_other)
    assert to_corpus([Recording(sound, {})], tiny, codec, corpus) == (1, 0)


def test_a_folder_of_other_files_is_not_a_corpus(codec: Codec, tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert refusal(to_corpus, [], tiny, codec, Corpus(tmp_path)) == (
        f"{tmp_path} exists already and is not a corpus",
        "choose another --out",
    )


def test_a_corpus_of_another_model_is_refused(codec: Codec, tiny: Model, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    to_corpus([], tiny, codec, corpus)
    edit(corpus.path / "corpus.yaml", tiny.fingerprint(), "a" * 16)
    message, hint = refusal(to_corpus, [], tiny, codec, Corpus(corpus.path))
    assert message == f"{corpus.path} was made with another model than 'tiny'"
    assert hint == "choose another folder with --out"
