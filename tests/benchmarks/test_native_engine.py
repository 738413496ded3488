"""benchmarks/against_port.py, song_time.py and precision_loss.py, on small models."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest
import torch

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.engine import library
from jukebox_cli.model.loader import load_prior
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import Model
from support.benchmark_scripts import value_of
from support.engines import needs_native_engine

pytestmark = needs_native_engine


@pytest.mark.slow
def test_both_programs_choose_the_same_tokens_and_are_timed() -> None:
    pytest.importorskip("transformers")
    import against_port

    cases = (("fp32", 1), ("fp16", 3))
    shape = against_port.Shape("small", 64, 3, 2, 4, 64, 40, cases)
    rows = against_port.measure_shape(shape, rounds=1)
    assert value_of(rows, "small: greedy tokens equal") == 1
    for precision, batch in cases:
        assert value_of(rows, f"small: native {precision} over port, batch {batch}") > 0


@pytest.mark.slow
def test_both_codecs_agree_and_are_timed() -> None:
    pytest.importorskip("transformers")
    from codec_against_port import CodecComparison, measure_codec

    config = VQVAEConfig(8000, ((2, 2), (2,)), 32, 8, (16, 8), (4, 2))
    rows = measure_codec(1, CodecComparison(config, 4096))
    assert value_of(rows, "codec: codes that differ") <= 5
    assert value_of(rows, "codec: largest difference of decoded audio, over its peak") < 1e-5
    for what in ("encode, all levels", "decode, level 0", "decode, level 1"):
        assert value_of(rows, f"codec: native over port, {what}") > 0


@pytest.mark.slow
def test_a_song_is_timed_by_kernels_and_by_length(
    tiny: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import song_time

    preset = tmp_path / "song.yaml"
    preset.write_text(f"format: 2\nmodel: {tiny.path}\nseconds: 0.3\n")
    monkeypatch.setattr(song_time, "SONG_SECONDS", 0.2)
    rows = song_time.measure(Namespace(preset=str(preset), seconds=[0.3], rounds=1))
    first = library.kernel_names()[0]
    names = [f"0.2 s, {first}", f"first sound, {first}", "0.3 s", "0.3 s, peak memory"]
    assert all(value_of(rows, name) > 0 for name in names)


@pytest.mark.slow
def test_the_loss_is_that_of_the_prior(
    tiny: Model, registry: Registry, tone: Path, tmp_path: Path
) -> None:
    import precision_loss

    other = tmp_path / "other.wav"
    other.write_bytes(tone.read_bytes())
    manifest = tmp_path / "songs.csv"
    manifest.write_text(f"audio\n{tone}\n{other}\n")
    args = Namespace(songs=[manifest], work=tmp_path, model=str(tiny.path), windows=1)
    rows = precision_loss.measure(args)
    corpus = Corpus(tmp_path / "corpus")
    for level in range(3):
        prior = load_prior(tiny, level, registry, torch.device("cpu"), "fp32")
        meter = precision_loss.LevelLoss(tiny, registry, corpus, level, 1)
        ((conditions, tokens),) = meter._windows(prior, corpus.songs()[0])
        with torch.inference_mode():
            expected = float(prior.loss(tokens, conditions).bits)
        measured = {name: value_of(rows, f"level {level}, {name}") for name in ("fp32", "int8")}
        assert measured["fp32"] == pytest.approx(expected, abs=1e-3)
        difference = value_of(rows, f"level {level}, int8 minus fp32: mean difference")
        assert difference == pytest.approx(measured["int8"] - measured["fp32"])
        assert difference != 0
