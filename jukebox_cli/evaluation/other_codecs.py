"""Other codecs, as ffmpeg has them, at bitrates that a model's levels can be compared with."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from jukebox_cli.audio.io import Audio
from jukebox_cli.evaluation.clips import fit_length
from jukebox_cli.interfaces.errors import InputError

#: Bitrates in kbit/s that Opus is measured at beside any model.
STANDARD_OPUS = (6, 12, 16, 24, 32, 64)


class Setting(NamedTuple):
    """A bitrate in kbit/s, and the sample rate in Hz that the codec has there for mono."""

    kbps: int
    sample_rate: int


@dataclass(frozen=True)
class OtherCodec:
    """A codec of ffmpeg: its encoder, the suffix of a file of it, and what it is measured at."""

    title: str
    encoder: str
    suffix: str
    settings: tuple[Setting, ...]


#: Opus codes the band that it finds best at any rate; for the others we choose the sample rate, as
#: encoders do that choose one: none of them can code 22 kHz in 16 kbit/s.
OTHER_CODECS = (
    OtherCodec(
        "Opus",
        "libopus",
        ".ogg",
        tuple(Setting(kbps, 48000) for kbps in (6, 8, 12, 16, 20, 24, 32, 48, 64, 96)),
    ),
    OtherCodec(
        "MP3",
        "libmp3lame",
        ".mp3",
        (
            *(Setting(8, 11025), Setting(16, 16000), Setting(24, 24000), Setting(32, 32000)),
            *(Setting(48, 44100), Setting(64, 44100), Setting(96, 44100)),
        ),
    ),
    OtherCodec(
        "Vorbis",
        "libvorbis",
        ".ogg",
        (
            *(Setting(16, 16000), Setting(24, 24000), Setting(32, 32000)),
            *(Setting(48, 44100), Setting(64, 44100), Setting(96, 44100)),
        ),
    ),
)


class Encoding(NamedTuple):
    """A codec at one of its settings."""

    codec: OtherCodec
    setting: Setting

    @property
    def title(self) -> str:
        return f"{self.codec.title} {self.setting.kbps}"


class Coded(NamedTuple):
    """What a codec made of a clip, at the clip's sample rate, and the bits it took."""

    audio: Audio
    num_bits: int


def choose_encodings(
    codecs: Sequence[OtherCodec], bitrates: Sequence[float], more: bool = False
) -> list[Encoding]:
    """The encodings whose bitrates are nearest to some, in bit/s; with `more`, also Opus at
    STANDARD_OPUS. By codec, and from low to high bitrates."""
    encodings = []
    for codec in codecs:
        chosen = {min(codec.settings, key=lambda s: abs(1000 * s.kbps - b)) for b in bitrates}
        if more and codec.encoder == "libopus":
            chosen |= {setting for setting in codec.settings if setting.kbps in STANDARD_OPUS}
        encodings += [Encoding(codec, setting) for setting in sorted(chosen)]
    return encodings


def find_codecs() -> tuple[list[OtherCodec], dict[str, str]]:
    """The codecs that ffmpeg has here, and why others are left out, by title."""
    if not shutil.which("ffmpeg"):
        reason = "needs ffmpeg, which is not installed"
        return [], {codec.title: reason for codec in OTHER_CODECS}
    listed = _ffmpeg("-encoders").decode(errors="replace").split()
    missing = [codec for codec in OTHER_CODECS if codec.encoder not in listed]
    reasons = {codec.title: f"needs an ffmpeg with {codec.encoder}" for codec in missing}
    return [codec for codec in OTHER_CODECS if codec not in missing], reasons


def encode_and_decode(audio: Audio, sample_rate: int, encoding: Encoding) -> Coded:
    """Mono audio (N,) coded and decoded, (N,) at the same sample rate.

    The bits are those of the packets, without the container and its headers, which weigh much in
    a short clip and nothing in a song. Decoders drop the delay of their encoders, so that samples
    keep their places. Raises InputError if ffmpeg fails.
    """
    codec, (kbps, coded_rate) = encoding
    raw = ("-f", "f32le", "-ac", "1")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"coded{codec.suffix}"
        options = ("-c:a", codec.encoder, "-b:a", f"{kbps}k", "-ar", str(coded_rate))
        source = (*raw, "-ar", str(sample_rate), "-i", "-")
        _ffmpeg(*source, *options, str(path), data=np.asarray(audio, "<f4").tobytes())
        decoded = _ffmpeg("-i", str(path), *raw, "-ar", str(sample_rate), "-")
        packets = _ffmpeg("-i", str(path), "-c", "copy", "-f", "framecrc", "-").decode()
    samples = np.frombuffer(decoded, "<f4").astype(np.float32)
    return Coded(fit_length(samples, len(audio)), 8 * _packet_bytes(packets))


def _packet_bytes(listing: str) -> int:
    """The bytes of all packets in ffmpeg's listing: stream, dts, pts, duration, size, checksum."""
    lines = [line for line in listing.splitlines() if line and not line.startswith("#")]
    return sum(int(line.split(",")[4]) for line in lines)


def _ffmpeg(*options: str, data: bytes = b"") -> bytes:
    """What ffmpeg writes to its standard output. Raises InputError if it fails."""
    command = ["ffmpeg", "-hide_banner", "-v", "error", "-bitexact", *options]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise InputError(f"ffmpeg failed: {reason[-1]}", "leave it out with --other-codecs none")
    return done.stdout
