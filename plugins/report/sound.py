"""The sound of an item at a level, small enough to be put into a page."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.audio.io import Audio, duration_seconds, resample_stream, stream_audio
from jukebox_cli.sampling.job import Advance

from .facts import Facts, Item, Part
from .spectrogram import Mel, MelSpectrogram

if TYPE_CHECKING:
    from jukebox_cli.model.vqvae import VQVAE

#: What MP3 can be of, in Hz.
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class Sound:
    """What is heard, and what it looks like."""

    mp3: bytes
    mel: Mel
    seconds: float


@dataclass(frozen=True)
class Source:
    """Where the sound of parts comes from: files where there are some, else the model."""

    facts: Facts
    vqvae: VQVAE | None

    def sound(self, item: Item, part: Part, tick: Advance = lambda count: None) -> Sound:
        rate = playable(self.facts.config.sample_rate)
        samples = round(duration_seconds(part.audio) * rate) if part.audio else None
        mel = MelSpectrogram(rate, samples or embedded(self.facts, item))
        length = 0

        def seen() -> Iterator[Audio]:
            nonlocal length
            for block in self.blocks(item, part, rate):
                mel.add(block)
                length += len(block)
                yield block
                tick(len(block))

        return Sound(encode(seen(), rate), mel.finish(), length / rate)

    def blocks(self, item: Item, part: Part, rate: int) -> Iterator[Audio]:
        """Mono at `rate` Hz, block by block."""
        if part.audio:
            return stream_audio(part.audio, rate)
        from jukebox_cli.model import codec

        tokens = self.facts.run.read_tokens(part.level, part.item)
        assert self.vqvae is not None
        assert tokens is not None
        decoded = codec.decode(self.vqvae, part.level, tokens, item.samples)
        return resample_stream(decoded, self.facts.config.sample_rate, rate)


def embedded(facts: Facts, item: Item) -> int:
    """Samples of an item at the rate it is embedded at."""
    return round(item.samples * playable(facts.config.sample_rate) / facts.config.sample_rate)


def playable(rate: int) -> int:
    """The rate to embed a sound at: its own, or the next that MP3 has."""
    return next((known for known in RATES if known >= rate), RATES[-1])


def encode(blocks: Iterable[Audio], rate: int) -> bytes:
    """An MP3, which every browser plays.

    At a constant bit rate, since browsers find a place in a variable one only to within a second;
    not a low one, since libsndfile then leaves out the header that says where the sound begins.
    That makes 64 kbit/s at 22.05 kHz and 112 at 44.1 kHz.
    """
    import soundfile

    file = io.BytesIO()
    how = {"compression_level": 0.6 if rate < 32000 else 0.7, "bitrate_mode": "CONSTANT"}
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III"}
    with soundfile.SoundFile(file, "w", rate, 1, **kind, **how) as sound:
        for block in blocks:
            sound.write(np.clip(block, -1.0, 1.0))
    return file.getvalue()
