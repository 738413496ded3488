"""Judges of sound: which are there, and what they say of sounds that are plainly good or bad."""

from __future__ import annotations

import numpy as np
import pytest

from jukebox_cli.evaluation import judges
from jukebox_cli.evaluation.judges import EXTRA, JUDGES, choose_judges
from jukebox_cli.interfaces.errors import InputError


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_prefers_a_copy_to_noise(name: str) -> None:
    judge = JUDGES[name]
    if not judge.is_installed:
        pytest.skip(f"needs {' '.join(judge.packages)}")
    time = np.arange(2 * judge.sample_rate) / judge.sample_rate
    sound = sum(0.2 / n * np.sin(2 * np.pi * 220 * n * time) for n in range(1, 9))
    sound = np.float32(sound * (1 + np.sin(2 * np.pi * 3 * time)) / 2)
    noise = np.random.default_rng(0).normal(0, 0.1, len(sound)).astype(np.float32)
    score = judge.load()
    copy, noisy = score(sound, sound), score(sound, sound + noise)
    assert 4.5 < copy <= 5.01
    assert 1 <= noisy < copy - 0.5


def test_judges_that_are_not_installed_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "find_spec", lambda name: None if name == "libsvm" else object())
    found, missing = choose_judges(None)
    assert list(found) == ["zimtohrli"]
    assert missing == {"visqol": f"needs visqol-python, libsvm-official: {EXTRA}"}


def test_a_judge_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^judge 'zimtohrli' is not installed$") as error:
        choose_judges(["zimtohrli"])
    assert error.value.hint == "pip install 'jukebox-cli[evaluate]'"
    with pytest.raises(InputError, match=r"^no judge 'visgol'$") as error:
        choose_judges(["visgol"])
    assert error.value.hint == "did you mean 'visqol'?"


def test_no_judge_is_a_choice() -> None:
    assert choose_judges([]) == ({}, {})
