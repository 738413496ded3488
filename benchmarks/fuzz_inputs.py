"""Files of others for the fuzzer: presets, manifests, lyrics, MIDI, audio, checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from fuzz_reader import Reader, sample_tensors
from jukebox_plugins.openai.checkpoints import read_checkpoints
from jukebox_plugins.openai.weight_files import load_original

from jukebox_cli.audio.io import duration_seconds, read_crop, stream_audio
from jukebox_cli.audio.manifest import load_recordings, read_conditions
from jukebox_cli.config.presets import find_preset
from jukebox_cli.config.schema import ModelConfig, SongPreset
from jukebox_cli.config.yaml_files import load_config
from jukebox_cli.registry import Registry
from jukebox_cli.sampling.request import build_request


def input_readers(registry: Registry) -> Mapping[str, Reader]:
    """The readers of these files by name."""
    conditions = partial(_read_conditions, registry)
    recordings = partial(_recordings, registry)
    return {
        "preset": Reader(_make_preset, partial(_read_preset, registry)),
        "recipe": Reader(_make_recipe, lambda f: repr(load_config(ModelConfig, f / "r.yaml"))),
        "manifest, CSV": Reader(partial(_make_manifest, "m.csv"), recordings),
        "manifest, JSON Lines": Reader(partial(_make_manifest, "m.jsonl"), recordings),
        "lyrics, LRC": Reader(partial(_copy_preset, "synthwave.lrc"), conditions),
        "lyrics, text": Reader(_make_lyrics, conditions),
        "MIDI": Reader(_make_midi, conditions),
        **{f"audio, {kind}": _audio_reader(kind) for kind in ("wav", "flac", "mp3", "ogg")},
        "checkpoint of OpenAI, zip": Reader(partial(_make_original, True), _read_original),
        "checkpoint of OpenAI, plain": Reader(partial(_make_original, False), _read_original),
        "settings of the port": Reader(_make_port, _read_port),
    }


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
    data = {
        "model": sample_tensors(),
        "hps": {"levels": 3, "name": "x", "strides": [2, 2]},
        "step": 3,
    }
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
