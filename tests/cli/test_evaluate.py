"""`jukebox evaluate`."""

from __future__ import annotations

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from jukebox_cli.evaluation import figure, judges
from jukebox_cli.storage.model import Model
from support.command_line import Jukebox, Refused, stdout_of
from support.run_files import contents, write_chord

METRICS = ["spectral_convergence", "stft_distance", "log_mel_distance", "si_sdr"]
QUICK = ("--clips", 2, "--seconds", 1, "--judge", "none", "--other-codecs", "none")


def evaluate(jukebox: Jukebox, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stdout_of(jukebox("evaluate", "codec", *words, "--json")))
    return found


def test_an_evaluation_is_json(tiny: Model, tone: Path, jukebox: Jukebox) -> None:
    before = contents(tone.parent)
    found = evaluate(jukebox, tiny.path, tone, *QUICK)
    assert list(found) == ["model", "sample_rate", "codebook_size", "clips", "left_out", "rows"]
    assert (found["model"], found["sample_rate"], found["codebook_size"]) == ("tiny", 8000, 64)
    assert found["clips"][1] == {"audio": str(tone), "start": 1.0, "seconds": 1.0}
    assert found["left_out"] == {}
    resampled, *levels = found["rows"]
    assert (resampled["name"], resampled["bitrate"]) == ("resampled only", None)
    assert [row["name"] for row in levels] == ["level 0", "level 1", "level 2"]
    for row in levels:
        assert list(row) == [
            *("name", "bitrate", "entropy_bits", "entropy_bitrate", "codes_used"),
            *("mean", "scores"),
        ]
        assert list(row["mean"]) == list(row["scores"]) == METRICS
        assert 0 <= row["entropy_bits"] <= 6
        assert row["entropy_bitrate"] <= row["bitrate"]
    assert contents(tone.parent) == before


def test_an_evaluation_is_a_table(tiny: Model, tone: Path, jukebox: Jukebox) -> None:
    result = jukebox("evaluate", "codec", tiny.path, tone, *QUICK, "--level", 1)
    text = stdout_of(result)
    assert "tiny, means of 2 clips" in text
    assert re.search(r"kbit/s +a code +used +dB +STFT +B +dB\n", text)
    rows = re.findall(r"^  (resampled only|level \d) .*$", text, re.MULTILINE)
    assert rows == ["resampled only", "level 1"]
    assert re.search(r"^  level 1 +6\.0 +\d\.\d +\d\.\d\d +\d+ ", text, re.MULTILINE)
    assert result.err == "evaluate: 2 clips\n"


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_other_codecs_stand_beside_the_levels(tiny: Model, tone: Path, jukebox: Jukebox) -> None:
    options = ("--clips", 1, *QUICK[2:-1], "nearest", "--level", 0)  # of 12 kbit/s
    found = evaluate(jukebox, tiny.path, tone, *options)
    rows = {row["name"]: row for row in found["rows"]}
    assert set(rows) - {"MP3 8", "Vorbis 16"} == {"resampled only", "level 0", "Opus 12"}
    assert list(rows["Opus 12"]["mean"]) == METRICS
    assert 3000 < rows["Opus 12"]["bitrate"] < 16000
    assert rows["Opus 12"]["entropy_bits"] is None


def test_what_is_not_installed_is_named(
    tiny: Model, tone: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = jukebox("evaluate", "codec", tiny.path, tone, *QUICK[:4], "--json")
    left_out = json.loads(stdout_of(result))["left_out"]
    extra, ffmpeg = "pip install 'jukebox-cli[evaluate]'", "needs ffmpeg, which is not installed"
    assert left_out == {
        "zimtohrli": f"needs zimtohrli: {extra}",
        "visqol": f"needs visqol-python, libsvm-official: {extra}",
        **dict.fromkeys(("Opus", "MP3", "Vorbis"), ffmpeg),
    }
    lines = [f"warning: left out {name}: {reason}\n" for name, reason in left_out.items()]
    assert result.err == "".join([*lines, "evaluate: 2 clips\n"])


@pytest.mark.skipif(not find_spec("matplotlib"), reason="needs matplotlib")
def test_a_figure_is_written(tiny: Model, tone: Path, jukebox: Jukebox, tmp_path: Path) -> None:
    evaluate(jukebox, tiny.path, tone, *QUICK, "--figure", tmp_path / "codec.png")
    assert (tmp_path / "codec.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (("tony", "long.wav"), "no model 'tony'", "did you mean 'tiny'?"),
        (("tiny", "no.wav"), "no file no.wav", "check the path"),
        (
            ("tiny", "tone.wav", "--judge", "none"),
            "no recording has 1 s of audio",
            "name longer recordings",
        ),
        (
            ("tiny", "silent.wav", "--judge", "none"),
            "the recordings are silent",
            "name recordings that can be heard",
        ),
        (("tiny", "long.wav", "--level", 3), "there is no level 3", "the top level is 2"),
        (
            ("tiny", "long.wav", "--judge", "visgol"),
            "no judge 'visgol'",
            "did you mean 'visqol'?",
        ),
        (
            ("tiny", "long.wav", "--figure", "a.jpg"),
            "can't draw a.jpg: not a .png file",
            "name it, e.g., codec.png",
        ),
        (
            ("tiny", "long.wav", "--figure", "long.wav/a.png"),
            "can't write long.wav/a.png: long.wav is a file",
            "choose another --figure",
        ),
    ],
)
def test_a_mistake_is_an_error(
    words: tuple[object, ...], error: str, hint: str, place: Path, refused: Refused
) -> None:
    write_chord(place / "long.wav", 2)
    soundfile.write(place / "silent.wav", np.zeros(16000), 8000)
    refused("evaluate", "codec", *words, "--quiet", error=error, hint=hint)


def test_a_model_without_a_codec_is_an_error(place: Path, refused: Refused) -> None:
    write_chord(place / "long.wav", 2)
    (place / "models/tiny/vqvae-1.safetensors").unlink()
    refused(
        *("evaluate", "codec", "tiny", "long.wav"),
        error="model 'tiny' has no vqvae for level 1",
        hint="train one with `jukebox train vqvae --level 1`",
    )


def test_a_figure_without_matplotlib_is_an_error(
    place: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure, "find_spec", lambda name: None)
    write_chord(place / "long.wav", 2)
    refused(
        *("evaluate", "codec", "tiny", "long.wav", "--figure", "a.png"),
        error="--figure needs matplotlib",
        hint="pip install 'jukebox-cli[evaluate]'",
    )
