"""The program's own files for the fuzzer: tokens, weights, checkpoints, corpora, settings."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_reader import Reader, sample_tensors
from jukebox_plugins.lyrics.timed_text import read_alignment

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.model.condition_inputs import load_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.documents import config_text, json_text
from jukebox_cli.storage.log_rows import read_events
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Segment
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.storage.weight_checks import record_checksums, verify_weights
from jukebox_cli.train.checkpoint import num_steps_done

CODEC = VQVAEConfig(8000, ((4,), (2,), (2,)), 64, 8, (8, 8, 8), (2, 2, 2))


def own_readers(registry: Registry) -> Mapping[str, Reader]:
    """The readers of these files by name."""
    return {
        "token file": Reader(_make_tokens, _read_tokens, exact=True),
        "slice file": Reader(_make_slice, _read_slice, exact=True),
        "weights": Reader(_make_weights, _read_weights, exact=True),
        "weights and checksums.txt": Reader(_make_others, _read_weights, exact=True),
        "checkpoint": Reader(_make_checkpoint, _read_checkpoint, exact=True),
        "corpus": Reader(_make_corpus, _read_corpus, exact=True),
        "item": Reader(_make_item, _read_item, exact=True),
        "run.yaml": Reader(_make_run, lambda folder: repr(Run(folder).config), exact=True),
        "model config": Reader(_make_model, lambda folder: repr(Model(folder).config), exact=True),
        "fitted conditioners": Reader(_make_fitted, partial(_read_fitted, registry), exact=True),
        "log": Reader(_make_log, lambda folder: len(read_events(folder / "log.jsonl"))),
        "alignment": Reader(
            _make_alignment, lambda folder: read_alignment(folder / "a.json"), exact=True
        ),
    }


# tokens, weights, checkpoints


def _make_tokens(folder: Path) -> list[Path]:
    tokens = np.random.default_rng(0).integers(64, size=60)
    run = Run(folder)
    run.write_tokens(1, 0, tokens, CODEC)
    return [run.token_file(1, 0)]


def _read_tokens(folder: Path) -> object:
    tokens = Run(folder).read_tokens(1, 0)
    return None if tokens is None else tokens.tolist()


def _make_slice(folder: Path) -> list[Path]:
    files = Run(folder).slice_files(1, 0, 0)
    files.write("slice", 0, CODEC, np.arange(60), 65536)
    return [files.path("slice", 0)]


def _read_slice(folder: Path) -> object:
    tokens = Run(folder).slice_files(1, 0, 0).read("slice", 0)
    return None if tokens is None else tokens.tolist()


def _make_weights(folder: Path) -> list[Path]:
    path = folder / "prior-0.safetensors"
    save_tensors(path, sample_tensors())
    return [path]


def _make_others(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    path = folder / "prior-0.safetensors"
    save_file(sample_tensors(), path)
    record_checksums(folder)
    return [path, folder / "checksums.txt"]


def _read_weights(folder: Path) -> object:
    path = folder / "prior-0.safetensors"
    verify_weights(path)
    return _digest(load_tensors(path))


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _make_checkpoint(folder: Path) -> list[Path]:
    path = Model(folder).checkpoint("prior-0")
    save_tensors(
        path, {f"module/{name}": t for name, t in sample_tensors().items()}, {"step": "40"}
    )
    return [path]


def _read_checkpoint(folder: Path) -> object:
    model = Model(folder)
    return num_steps_done(model, "prior-0"), _digest(load_tensors(model.checkpoint("prior-0")))


def _make_corpus(folder: Path) -> list[Path]:
    corpus = Corpus(folder)
    corpus.write_config(CorpusConfig(2, "abc", 8000, (4, 8, 16), 64))
    rng = np.random.default_rng(0)
    for name, length in (("a", 3), ("b", 5)):
        codes = [rng.integers(64, size=length * ratio) for ratio in (4, 2, 1)]
        corpus.append(name, length * 16, {"genre": ["rock"]}, name == "b", codes)
    names = ("songs.jsonl", "songs.jsonl", "level-0.bin", "level-2.bin", "corpus.yaml")
    return [folder / name for name in names]


def _read_corpus(folder: Path) -> object:
    corpus = Corpus(folder)
    config, songs = corpus.config, corpus.songs()
    with warnings.catch_warnings():
        warnings.simplefilter("error", InputWarning)  # of songs that are lost
        try:
            corpus.validate()
        except InputWarning as warning:
            raise InputError(str(warning)) from None
    ends = [song.start + song.length for song in songs]
    tokens = [corpus.tokens(n)[: max(ends) * 2 ** (2 - n)].tolist() for n in range(3 * bool(ends))]
    return repr((config, songs, tokens))


# the program's own texts


def _segment() -> Segment:
    song = {"genre": ["rock"], "lyrics": "we sing", "lyrics_times": [[0, 1.5]]}
    return Segment(0, 3, song, ({"top_k": 3}, {}, {}), (0.5, 1.0, 0.5), (None, "ab", None))


def _make_item(folder: Path) -> list[Path]:
    run = Run(folder)
    run.write_item(0, ItemSpec(600, (_segment(),)).extended(900, seed=5))
    return [run.item_file(0)]


def _read_item(folder: Path) -> object:
    return repr(Run(folder).item(0))


def _make_run(folder: Path) -> list[Path]:
    options: tuple[dict[str, Any], ...] = ({"top_k": 3}, {}, {"temperature": 0.9})
    Run(folder).write_config(RunConfig(2, "mini", "abc", 8000, 3, (0.5, 0.5, 1.0), options))
    return [folder / "run.yaml"]


def _make_model(folder: Path) -> list[Path]:
    config = find_model("mini").config
    (folder / "config.yaml").write_text(config_text(config))
    return [folder / "config.yaml"]


def _make_fitted(folder: Path) -> list[Path]:
    _make_model(folder)
    mini = find_model("mini")
    model = Model(folder)
    model.write_fitted_conditioners(2, mini.fitted_conditioners(2), mini.conditioner_packages(2))
    return [folder / "prior-2.json"]


def _read_fitted(registry: Registry, folder: Path) -> object:
    return repr(load_conditioners(Model(folder), 2, registry))


def _make_log(folder: Path) -> list[Path]:
    run = Run(folder)
    for number in range(5):
        run.log({"time": 1.5 * number, "event": "level", "level": number, "items": [0, 1]})
    return [run.log_file]


def _make_alignment(folder: Path) -> list[Path]:
    words = [{"word": "we", "start": 0.5, "end": 1.0}, {"word": "sing", "start": 1, "end": 1.5}]
    line = {"text": "we sing", "start": 0.5, "end": 1.5, "words": words}
    data = {"format": 2, "item": 0, "level": 2, "layer": 3, "head": 1, "lines": [line, line]}
    (folder / "a.json").write_text(json_text(data))
    return [folder / "a.json"]
