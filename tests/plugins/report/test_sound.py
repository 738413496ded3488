"""The sound that a page embeds."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from jukebox_plugins.report import sound

from jukebox_cli.api.audio import resample_stream
from jukebox_cli.registry import Registry
from support.report_pages import Reader, likeness, sine
from support.results import Result
from support.run_files import write_chord
from support.tiny_model import TINY, make_tiny

Jukebox = Callable[..., Result]


@pytest.mark.parametrize("rate", sound.MP3_RATES)
def test_an_mp3_begins_and_ends_where_the_sound_does(rate: int) -> None:
    samples = np.random.default_rng(0).standard_normal(3 * rate).astype(np.float32) * 0.05
    samples[rate] = 0.9
    mp3 = sound.encode_mp3([samples[: rate // 3], samples[rate // 3 :]], rate)
    decoded, decoded_rate = soundfile.read(io.BytesIO(mp3))
    assert decoded_rate == rate
    assert len(decoded) == len(samples)
    assert abs(int(np.abs(decoded).argmax()) - rate) <= 2
    assert b"Info" in mp3[:200]  # constant bit rate: `Xing` if it varies
    assert len(mp3) / 3 * 8 < 130_000


@pytest.mark.parametrize(
    ("rate", "embedded"), [(22050, 22050), (10000, 11025), (44056, 44100), (96000, 48000)]
)
def test_other_rates_are_resampled_to_one_of_mp3(rate: int, embedded: int) -> None:
    assert sound.embedded_rate(rate) == embedded
    blocks = np.array_split(sine(300, 2.0, rate).astype(np.float32), 7)
    there = np.concatenate(list(resample_stream(blocks, rate, embedded)))
    assert abs(len(there) - 2 * embedded) <= 1
    assert (
        likeness(
            there[: 2 * embedded - 1], sine(300, 2.0, embedded)[: len(there)][: 2 * embedded - 1]
        )
        > 0.999
    )


def test_a_model_of_an_unusual_rate(here: Path, registry: Registry, jukebox: Jukebox) -> None:
    model = make_tiny(here / "odd", registry, TINY.replace("8000", "10000"))
    write_chord(here / "a.wav", 1.0, 10000)
    jukebox("tokenize", "a.wav", "--model", model.path, "--out", "recorded")
    assert jukebox("report", "recorded").code == 0
    page = Reader(Path("recorded/report.html"))
    (audio, *_) = page.all("audio")
    mp3 = base64.b64decode(str(audio["src"]).partition("base64,")[2])
    assert soundfile.info(io.BytesIO(mp3)).samplerate == 11025
    assert soundfile.info(io.BytesIO(mp3)).frames == 11025
