"""benchmarks/gpu.py on small shapes and a CPU, and what songs take from its figures."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import gpu
import gpu_level
import pytest
import torch
from gpu_shapes import SHAPES, ShapedPrior
from gpu_song import LevelFigures, music_rows
from measurements import Row

from jukebox_cli.registry import Registry
from jukebox_cli.sampling.measure import BatchSpeed
from support.benchmark_scripts import value_of

CPU = torch.device("cpu")


@pytest.mark.slow
def test_small_shapes_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "results" / "gpu.md"
    words = ["gpu.py", "--quick", "--device", "cpu", "--json", "--write", str(path)]
    monkeypatch.setattr("sys.argv", words)
    gpu.main()
    rows = [Row(**row) for row in json.loads(capsys.readouterr().out)["rows"]]
    for shape in SHAPES:
        for name in (
            "greedy tokens without a graph are equal",
            "greedy tokens of a batch of 4 and of 1 are equal",
            "logits of a batch of 4 and of 1 are equal to the bit",
            "logits of rows in another order are equal to the bit",
        ):
            assert value_of(rows, f"{shape.name}: {name}") == 1
        for name in ("batch 1", "batch 4", "batch 1, guided", "batch 4, without a graph"):
            assert value_of(rows, f"{shape.name}: {name}") > 0
    assert value_of(rows, "5b_lyrics, all levels, one after another: music") > 0
    assert "| level 0: batch 1 " in path.read_text()


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_small_shapes_have_the_layers_of_the_published_ones(registry: Registry, shape) -> None:
    prior = ShapedPrior(shape.small(), registry, CPU, torch.float32).prior
    found = {layer.attention.pattern for layer in prior.transformer.layer_list()}
    expected = {"row", "column", "previous"}
    if shape.name == "1b_lyrics, top":
        expected |= {"prefix"}
    elif shape.level == 2:
        expected |= {"cross_attention"}
    assert found == expected
    assert not any(parameter.is_meta for parameter in prior.parameters())


def test_the_sizes_are_those_that_were_published(registry: Registry) -> None:
    with torch.device("meta"):
        sizes = {
            shape.name: sum(
                parameter.numel()
                for parameter in ShapedPrior(
                    shape, registry, torch.device("meta"), torch.float16
                ).prior.transformer.parameters()
            )
            for shape in SHAPES
        }
    assert sizes["level 0"] == sizes["level 1"] == pytest.approx(0.8e9, rel=0.05)
    assert sizes["1b_lyrics, top"] == pytest.approx(0.92e9, rel=0.05)
    assert sizes["5b_lyrics, top"] == pytest.approx(5.3e9, rel=0.05)


def test_what_fails_does_not_end_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(error: Exception) -> None:
        raise error

    attempts = gpu_level.Attempts()
    attempts.run("batch 64", partial(fail, torch.cuda.OutOfMemoryError()), end=float("inf"))
    attempts.run("batch 4", partial(fail, AssertionError()), end=0.0)
    assert capsys.readouterr().err == "batch 64: no memory\nbatch 4: left out, its time is over\n"
    assert attempts.failed == []
    attempts.run("batch 1", partial(fail, RuntimeError("no kernel")), end=float("inf"))
    assert "batch 1: failed\n" in (error := capsys.readouterr().err)
    assert "RuntimeError: no kernel" in error
    assert attempts.failed == ["batch 1"]


def make_figures(total: int, ratio: int, is_top: bool, *batches: int) -> LevelFigures:
    """A level with windows of 64 tokens, of which half are new; a position takes 1 s, that of a
    prompt 0.1 s, the conditions 2 s."""
    speeds = {batch: BatchSpeed(batch, 2.0, 0.1, 1.0) for batch in batches}
    return LevelFigures(total, 64, 0.5, ratio, is_top, speeds)


def test_a_song_takes_what_its_windows_take() -> None:
    figures = make_figures(128, 1, True, 1, 4)
    windows = 3  # 0 to 64, 64 to 96, 96 to 128
    assert figures.song_seconds(1) == pytest.approx(128 + windows * 2 + 2 * 32 * 0.1)
    alone = figures.song_seconds(1)
    assert alone is not None
    assert figures.song_seconds(4) == pytest.approx(alone / 4)  # a position of 4 takes as long
    assert figures.song_seconds(16) is None


def test_slices_take_a_part_of_the_time() -> None:
    figures = make_figures(4096, 4, False, 1, 16)
    alone, sliced = figures.song_seconds(1), figures.song_seconds(16)
    assert alone is not None
    assert sliced is not None
    assert 10 < alone / sliced < 16


def test_music_is_of_each_level_and_of_all() -> None:
    levels = {
        "level 0": make_figures(4096, 4, False, 1),
        "1b_lyrics, top": make_figures(256, 1, True, 1),
    }
    rows = music_rows(levels)
    seconds = [
        figures.song_seconds(1)
        for figures in (*levels.values(), make_figures(1024, 4, False, 1))  # as fast as level 0
    ]
    total = sum(each for each in seconds if each is not None)
    assert value_of(rows, "1b_lyrics, all levels, one after another: music") == 240 / total
    assert {row.name.partition(":")[0] for row in rows} >= {"level 0, one after another"}
