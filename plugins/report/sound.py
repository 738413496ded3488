"""The sound of an item at a level, compressed for a page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.api.audio import (
    Audio,
    decode_tokens,
    duration_seconds,
    resample_stream,
    stream_audio,
)
from jukebox_cli.api.commands import Advance
from jukebox_cli.api.runs import OpenRun, RunItem

from .run_summary import LevelSummary
from .spectrogram import MelImage, MelSpectrogram

if TYPE_CHECKING:
    from jukebox_cli.api.nn import Codec

#: The sample rates that MP3 has, in Hz.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class EncodedSound:
    """A sound as a page embeds it."""

    mp3: bytes
    image: MelImage
    seconds: float


@dataclass(frozen=True)
class SoundSource:
    """Where the sound of items comes from: audio files if there are any, else the codec.

    codec: the codec; None if every level that is shown has an audio file.
    """

    run: OpenRun
    codec: Codec | None

    def encode(
        self, item: RunItem, level: LevelSummary, advance: Advance = lambda count: None
    ) -> EncodedSound:
        """The sound of an item at a level, as MP3 and as a spectrogram.

        :param advance: called with the numbers of samples that were encoded.
        """
        rate = embedded_rate(self.run.config.sample_rate)
        in_file = round(duration_seconds(level.audio) * rate) if level.audio else None
        num_samples = num_embedded_samples(item.num_samples, self.run.config.sample_rate)
        spectrogram = MelSpectrogram(rate, in_file or num_samples)
        length = 0

        def observed() -> Iterator[Audio]:
            nonlocal length
            for block in self._blocks(item, level, rate):
                spectrogram.add(block)
                length += len(block)
                yield block
                advance(len(block))

        return EncodedSound(encode_mp3(observed(), rate), spectrogram.finish(), length / rate)

    def _blocks(self, item: RunItem, level: LevelSummary, rate: int) -> Iterator[Audio]:
        """Mono audio at `rate` Hz, in blocks."""
        if level.audio:
            return stream_audio(level.audio, rate)
        found = self.run.read_tokens(level.level, item)
        assert self.codec is not None
        assert found is not None
        decoded = decode_tokens(self.codec, level.level, found.tokens, item.num_samples)
        return resample_stream(decoded, self.run.config.sample_rate, rate)


def num_embedded_samples(num_samples: int, sample_rate: int) -> int:
    """Samples of the embedded audio for `num_samples` at `sample_rate` Hz."""
    return round(num_samples * embedded_rate(sample_rate) / sample_rate)


def embedded_rate(sample_rate: int) -> int:
    """The rate of the embedded audio in Hz: `sample_rate`, or the next that MP3 has."""
    return next((rate for rate in MP3_RATES if rate >= sample_rate), MP3_RATES[-1])


def encode_mp3(blocks: Iterable[Audio], rate: int) -> bytes:
    """An MP3, which every browser plays.

    The bit rate is constant, since browsers seek in variable ones only to within a second. It is
    not low, since libsndfile then omits the header that says where the sound begins. That makes 64
    kbit/s at 22.05 kHz and 112 at 44.1 kHz.
    """
    import soundfile

    file = io.BytesIO()
    quality = {"compression_level": 0.6 if rate < 32000 else 0.7, "bitrate_mode": "CONSTANT"}
    format_ = {"format": "MP3", "subtype": "MPEG_LAYER_III"}
    with soundfile.SoundFile(file, "w", rate, 1, **format_, **quality) as sound:
        for block in blocks:
            sound.write(np.clip(block, -1.0, 1.0))
    return file.getvalue()
