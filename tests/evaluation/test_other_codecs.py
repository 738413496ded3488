"""Opus, MP3 and Vorbis by ffmpeg."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np
import pytest

from jukebox_cli.evaluation import other_codecs
from jukebox_cli.evaluation.metrics import si_sdr
from jukebox_cli.evaluation.other_codecs import (
    OTHER_CODECS,
    STANDARD_OPUS,
    Encoding,
    OtherCodec,
    choose_encodings,
    encode_and_decode,
    find_codecs,
)
from jukebox_cli.interfaces.errors import InputError

needs_ffmpeg = pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
RATE = 44100


def titles(codecs: Sequence[OtherCodec], bitrates: Sequence[float], **more: bool) -> list[str]:
    return [each.title for each in choose_encodings(codecs, bitrates, **more)]


def test_the_nearest_bitrates_are_chosen_once_each() -> None:
    expected = ["Opus 6", "Opus 16", "MP3 8", "MP3 16", "Vorbis 16"]
    assert titles(OTHER_CODECS, [15_200, 3_800, 1_900]) == expected


def test_more_is_opus_at_the_usual_bitrates() -> None:
    found = titles(OTHER_CODECS[:1], [20_000], more=True)
    assert found == [f"Opus {kbps}" for kbps in sorted((*STANDARD_OPUS, 20))]


def test_without_ffmpeg_all_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    reason = "needs ffmpeg, which is not installed"
    assert find_codecs() == ([], {"Opus": reason, "MP3": reason, "Vorbis": reason})


def test_codecs_that_ffmpeg_lacks_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    listing = b" A....D libopus  libopus Opus\n A....D libvorbis  libvorbis\n"
    monkeypatch.setattr(other_codecs, "_ffmpeg", lambda *options: listing)
    found, missing = find_codecs()
    assert [codec.title for codec in found] == ["Opus", "Vorbis"]
    assert missing == {"MP3": "needs an ffmpeg with libmp3lame"}


@needs_ffmpeg
@pytest.mark.parametrize("codec", OTHER_CODECS, ids=lambda codec: codec.title)
def test_samples_keep_their_places_and_bits_are_counted(codec: OtherCodec) -> None:
    if codec not in find_codecs()[0]:
        pytest.skip(f"ffmpeg lacks {codec.encoder}")
    time = np.arange(2 * RATE) / RATE
    chirps = [0.2 * np.sin(2 * np.pi * (f * time + 40 * time**2)) for f in (220, 330, 500)]
    sound: np.ndarray = np.stack(chirps).sum(0).astype(np.float32)
    encoding = Encoding(codec, next(each for each in codec.settings if each.kbps == 64))
    coded = encode_and_decode(sound, RATE, encoding)
    assert coded.audio.shape == sound.shape
    assert si_sdr(sound, coded.audio, RATE) > 15  # a delay of a sample would be seen
    assert 0.1 * 64_000 < coded.num_bits / 2 < 1.3 * 64_000  # there is little to code
    again = encode_and_decode(sound, RATE, encoding)
    np.testing.assert_array_equal(coded.audio, again.audio)


@needs_ffmpeg
def test_an_encoder_that_fails_is_an_error() -> None:
    codec = OtherCodec("None", "no-such-encoder", ".ogg", OTHER_CODECS[0].settings)
    with pytest.raises(InputError, match=r"^ffmpeg failed: ") as error:
        encode_and_decode(np.zeros(RATE, np.float32), RATE, Encoding(codec, codec.settings[0]))
    assert error.value.hint == "leave it out with --other-codecs none"
