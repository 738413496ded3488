"""What the fuzzer feeds: for each reader a folder of whole files, which of them are made wrong, and
how they are read."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from jukebox_plugins.lyrics.timed_text import read_alignment
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.weight_files import load_original

from jukebox_cli.audio.io import duration_seconds, read_crop, stream_audio
from jukebox_cli.audio.manifest import load_recordings, read_conditions
from jukebox_cli.config.presets import find_preset
from jukebox_cli.config.schema import ModelConfig, SongPreset, VQVAEConfig
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.model.condition_inputs import load_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import build_request
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.documents import config_text, read_jsonl
from jukebox_cli.storage.model import Model, find_model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Segment
from jukebox_cli.storage.tensors import load_tensors, save_tensors
from jukebox_cli.storage.weight_checks import record_checksums, verify_weights
from jukebox_cli.train.checkpoint import num_steps_done

CODEC = VQVAEConfig(8000, ((4,), (2,), (2,)), 64, 8, (8, 8, 8), (2, 2, 2))


@dataclass(frozen=True)
class Reader:
    """A reader of files.

    make: writes whole files to a folder and returns those that are made wrong.
    read: reads the folder, and returns what was understood, in a form that can be compared.
    exact: whether another result than that of the whole files is an error.
    """

    make: Callable[[Path], list[Path]]
    read: Callable[[Path], object]
    exact: bool = False


def readers(registry: Registry) -> Mapping[str, Reader]:
    """All readers by name."""
    conditions = partial(_read_conditions, registry)
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
        "log": Reader(_make_log, lambda folder: len(read_jsonl(folder / "log.jsonl"))),
        "alignment": Reader(_make_alignment, lambda folder: read_alignment(folder / "a.json")),
        "preset": Reader(_make_preset, partial(_read_preset, registry)),
        "recipe": Reader(_make_recipe, lambda f: repr(load_config(ModelConfig, f / "r.yaml"))),
        "manifest, CSV": Reader(partial(_make_manifest, "m.csv"), partial(_recordings, registry)),
        "manifest, JSON Lines": Reader(
            partial(_make_manifest, "m.jsonl"), partial(_recordings, registry)
        ),
        "lyrics, LRC": Reader(partial(_copy_preset, "synthwave.lrc"), conditions),
        "lyrics, text": Reader(_make_lyrics, conditions),
        "MIDI": Reader(_make_midi, conditions),
        **{f"audio, {kind}": _audio_reader(kind) for kind in ("wav", "flac", "mp3", "ogg")},
        "checkpoint of OpenAI, zip": Reader(partial(_make_original, True), _read_original),
        "checkpoint of OpenAI, plain": Reader(partial(_make_original, False), _read_original),
        "settings of the port": Reader(_make_port, _read_port),
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


def _tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(12, 5, generator=generator).half(),
        "bias": torch.randn(5, generator=generator),
        "step": torch.tensor(7),
    }


def _make_weights(folder: Path) -> list[Path]:
    path = folder / "prior-0.safetensors"
    save_tensors(path, _tensors())
    return [path]


def _make_others(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    path = folder / "prior-0.safetensors"
    save_file(_tensors(), path)
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
    save_tensors(path, {f"module/{name}": t for name, t in _tensors().items()}, {"step": "40"})
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
    (folder / "a.json").write_text(json.dumps(data))
    return [folder / "a.json"]


# what people write


def _make_preset(folder: Path) -> list[Path]:
    (folder / "p.yaml").write_text(find_preset("synthwave").read_text())
    for name in ("synthwave.lrc", "synthwave.mid"):
        _copy_preset(name, folder)
    return [folder / "p.yaml"]


def _read_preset(registry: Registry, folder: Path) -> object:
    load_config(SongPreset, folder / "p.yaml")
    request = build_request(registry, str(folder / "p.yaml"), [], conditions={}, sampler_options={})
    return request.seconds


def _make_recipe(folder: Path) -> list[Path]:
    (folder / "r.yaml").write_text(find_preset("mini-recipe").read_text())
    return [folder / "r.yaml"]


def _copy_preset(name: str, folder: Path) -> list[Path]:
    source = find_preset("synthwave").parent / name
    (folder / name).write_bytes(source.read_bytes())
    return [folder / name]


def _make_lyrics(folder: Path) -> list[Path]:
    text = "[Verse]\nwe sing a s\u00f6ng\n\n[Chorus]\nla la \U0001f600 la\n"
    (folder / "words.txt").write_text(text, encoding="utf-8")
    return [folder / "words.txt"]


def _make_midi(folder: Path) -> list[Path]:
    import mido

    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=500_000)])
    track.append(mido.MetaMessage("time_signature", numerator=3, denominator=4))
    for pitch in (60, 64, 67, 72):
        track.append(mido.Message("program_change", program=pitch % 8))
        track.append(mido.Message("note_on", note=pitch, velocity=90, time=10))
        track.append(mido.Message("control_change", control=64, value=100, time=5))
        track.append(mido.Message("note_off", note=pitch, time=200))
    mido.MidiFile(tracks=[track, mido.MidiTrack()], ticks_per_beat=480).save(folder / "song.mid")
    return [folder / "song.mid"]


def _read_conditions(registry: Registry, folder: Path) -> object:
    (path,) = folder.iterdir()
    name = "midi" if path.suffix == ".mid" else "lyrics"
    return len(read_conditions(registry, {name: str(path)}, folder))


def _make_manifest(name: str, folder: Path) -> list[Path]:
    _write_tone(folder / "a.wav")
    rows = [{"audio": "a.wav", "genre": "rock", "artist": "Ada, Bo", "held_out": "no"}] * 3
    if name.endswith(".csv"):
        lines = ["audio,genre,artist,held_out", *('a.wav,rock,"Ada, Bo",no' for _ in rows)]
    else:
        lines = [json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n")
    return [folder / name]


def _recordings(registry: Registry, folder: Path) -> object:
    (path,) = folder.glob("m.*")
    return len(load_recordings(registry, [path]))


# audio


def _write_tone(path: Path) -> None:
    time = np.arange(4000) / 8000
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * 220 * time).astype(np.float32), 8000)


def _audio_reader(kind: str) -> Reader:
    def make(folder: Path) -> list[Path]:
        _write_tone(folder / f"a.{kind}")
        return [folder / f"a.{kind}"]

    def read(folder: Path) -> object:
        path = folder / f"a.{kind}"
        duration_seconds(path)
        read_crop(path, 0.5, 1000, 8000)
        return sum(map(len, stream_audio(path, 8000)))

    return Reader(make, read)


# models of others


def _make_original(zipped: bool, folder: Path) -> list[Path]:
    data = {"model": _tensors(), "hps": {"levels": 3, "name": "x", "strides": [2, 2]}, "step": 3}
    torch.save(data, folder / "vqvae.pth.tar", _use_new_zipfile_serialization=zipped)
    return [folder / "vqvae.pth.tar"]


def _read_original(folder: Path) -> object:
    checkpoint = load_original(folder / "vqvae.pth.tar")
    return [float(load().double().sum()) for load in checkpoint.tensors.values()]


def _make_port(folder: Path) -> list[Path]:
    from safetensors.torch import save_file

    prior = {"nb_relevant_lyric_tokens": 0, "attention_pattern": "full_dense_attention"}
    settings = {"model_type": "jukebox", "vqvae_config": {"levels": 1}, "nb_priors": 1}
    text = json.dumps({**settings, "prior_config_list": [prior]})
    (folder / "config.json").write_text(text)
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    index = {"weight_map": {"a": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    names = ("config.json", "model.safetensors", "model.safetensors.index.json")
    return [folder / name for name in names]


def _read_port(folder: Path) -> object:
    return len(read_checkpoints([folder]).priors)
