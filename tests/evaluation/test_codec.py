"""The evaluation of a tiny model's codec."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox_cli.audio.io import Audio
from jukebox_cli.engine.loader import load_codec
from jukebox_cli.evaluation.codec import RESAMPLED, CodecResult, RowResult, evaluate_codec
from jukebox_cli.evaluation.judges import Judge, JudgeFunction
from jukebox_cli.evaluation.metrics import METRICS
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.model.codec import Codec
from jukebox_cli.storage.model import Model


@pytest.fixture(scope="module")
def codec(tiny: Model) -> Codec:
    return load_codec(tiny, torch.device("cpu"), "torch")


def judge_of(function: JudgeFunction, sample_rate: int = 16000) -> dict[str, Judge]:
    return {"own": Judge("Own", (), (), sample_rate, lambda: function)}


def evaluate(codec: Codec, tone: Path, judges: dict[str, Judge]) -> CodecResult:
    return evaluate_codec(codec, [tone], 2, 1.0, (0, 2), judges)


def test_each_level_has_a_value_of_each_clip(codec: Codec, tone: Path) -> None:
    result = evaluate(codec, tone, judge_of(lambda original, sound: 3.0))
    assert [row.title for row in result.rows] == [RESAMPLED, "level 0", "level 2"]
    assert result.clips == [(tone, 0.0, 1.0), (tone, 1.0, 1.0)]
    resampled, *levels = result.rows
    assert resampled.scores == {"own": [3, 3]}
    assert (resampled.bitrate, resampled.code_use) == (None, None)
    for row, bitrate in zip(levels, (12000, 3000), strict=True):
        assert list(row.scores) == [*METRICS, "own"]
        assert {len(values) for values in row.scores.values()} == {2}
        assert (row.bitrate, row.mean("own")) == (bitrate, 3)
        assert row.code_use
        assert row.code_use.counts.sum() == 2 * bitrate / 6  # of 6 bits each
    titles = [each.title for each in result.first_clip]
    assert titles == ["original", RESAMPLED, "level 0", "level 2"]


def test_results_are_the_same_each_time(codec: Codec, tone: Path) -> None:
    first, second = (evaluate(codec, tone, {}) for _ in range(2))
    assert [row.scores for row in first.rows] == [row.scores for row in second.rows]


def test_a_judge_gets_the_original_at_its_own_rate(codec: Codec, tone: Path) -> None:
    heard: list[tuple[Audio, Audio]] = []

    def judge(original: Audio, sound: Audio) -> float:
        heard.append((original, sound))
        return 1.0

    evaluate_codec(codec, [tone], 1, 1.0, (), judge_of(judge, 32000))
    ((original, sound),) = heard
    assert original.shape == sound.shape == (32000,)
    assert original.dtype == sound.dtype == np.float32
    np.testing.assert_allclose(original, sound, atol=1e-3)  # the file has the model's rate


def test_a_judge_that_fails_says_nothing(codec: Codec, tone: Path) -> None:
    def judge(original: Audio, sound: Audio) -> float:
        raise ValueError("too short")

    with pytest.warns(InputWarning) as warned:
        result = evaluate_codec(codec, [tone], 1, 1.0, (), judge_of(judge))
    (warning,) = warned
    expected = "Own can't judge resampled only of tone.wav at 0.5 s: too short"
    assert str(warning.message) == expected
    assert result.rows[0].scores == {}
    with pytest.warns(InputWarning, match=r"its score is not a number"):
        evaluate_codec(codec, [tone], 1, 1.0, (), judge_of(lambda *sounds: float("nan")))


def test_a_row_has_means_and_the_bitrate_of_its_bits() -> None:
    row = RowResult("Opus 6", {"own": [1.0, 2.0]}, seconds=4.0, num_bits=24000)
    assert (row.mean("own"), row.mean("other"), row.bitrate) == (1.5, None, 6000)
