"""Audio files, opened so that they are read to where they really end.

A header may say less than the file holds (a recorder that crashed, an MP3 of variable bit rate
without a Xing frame), more (a file that was cut off, an MP3 with a picture), or nothing (a FLAC
file from a pipe). So frames are counted, unless the last one that the header promises is there.

Imports soundfile: import it inside functions.
"""

from __future__ import annotations

import os
import struct
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import soundfile

from jukebox_cli.interfaces.errors import InputError, InputWarning, require_utf8_name

#: Sample rates that can be read, in Hz. Below, a small file takes hours; no recorder is above.
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1000, 10_000_000
#: Values that are read at a time, of all channels.
BLOCK_VALUES = 1 << 19
#: A header that promises this many seconds more than there are is worth a warning.
TOLERATED_SECONDS = 0.1
#: libsndfile guesses the frames of an MP3 from its size. If that is so many times larger than it
#: is, the guess is never too small.
SIZE_FACTOR = 1000
#: Frames from which on libsndfile does not know how many there are.
UNKNOWN_FRAMES = 1 << 62
#: What the first frame of an MP3 holds if it says how many follow.
MP3_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")


class SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read from its beginning on. `seek` works where the format has it."""

    #: Whether `frames` is what the header says, and not a guess.
    has_length = True
    #: What the file is read through, if that is to be closed with it.
    source: BinaryIO | None = None

    def seekable(self) -> bool:
        """False: soundfile believes the header of a seekable file, and seeks after every block."""
        return False

    def close(self) -> None:
        """Closes the file."""
        super().close()
        if self.source:
            self.source.close()


class _EditedFile:
    """A file to read, with some of its bytes replaced, and perhaps a larger size than it has."""

    def __init__(self, file: BinaryIO, start: int, replacement: bytes, size_factor: int) -> None:
        self.file, self.position = file, 0
        self.start, self.replacement = start, replacement
        self.size = os.fstat(file.fileno()).st_size * size_factor

    def read(self, count: int) -> bytes:
        if self.position >= self.size - 128:  # where an ID3v1 tag is looked for
            self.file.seek(-min(128, self.size - self.position), os.SEEK_END)
        else:
            self.file.seek(self.position)
        data = bytearray(self.file.read(count))
        for offset, value in enumerate(self.replacement, self.start - self.position):
            if 0 <= offset < len(data):
                data[offset] = value
        self.position += len(data)
        return bytes(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position


def open_audio(path: Path) -> SoundFile:
    """An opened audio file. Raises InputError if it is missing, empty or not audio."""
    if not path.exists():
        raise InputError(f"no file {path}", "check the path")
    require_utf8_name(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an audio file", "name the files in it")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty", "was it copied completely?")
    try:
        file = _open_unfinished(path) or SoundFile(path)
        if file.format == "MP3" and not _mp3_says_length(path):
            file = _open_whole_mp3(path) or file
    except PermissionError as error:
        raise InputError(f"can't read {path}: {error.strerror}", "change its permissions") from None
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        readable = "wav, flac, ogg, opus, mp3, aiff and more"
        raise InputError(f"{path} is not audio that can be read", f"use {readable}") from None
    _validate(file, path)
    return file


def _validate(file: SoundFile, path: Path) -> None:
    if file.frames == 0:
        raise InputError(f"{path} has no audio", "it has a header but no samples")
    if not MIN_SAMPLE_RATE <= file.samplerate <= MAX_SAMPLE_RATE:
        rates = f"{MIN_SAMPLE_RATE:,} to {MAX_SAMPLE_RATE:,} Hz"
        what = f"{path} has a sample rate of {file.samplerate:,} Hz"
        raise InputError(what, f"use files of {rates}; is the header right?")


class UnfinishedHeader(NamedTuple):
    """What the chunk of samples begins with if its size was never filled in, and what to read
    instead: what libsndfile takes for the rest of the file."""

    chunk: bytes
    start: int  # of what is replaced; if negative, from the end of `chunk`
    replacement: bytes


UNFINISHED_WAV = UnfinishedHeader(b"data" + bytes(4), 4, struct.pack("<I", 8))
UNFINISHED_AIFF = UnfinishedHeader(b"SSND" + struct.pack(">I", 8), -4, bytes(4))


def _open_unfinished(path: Path) -> SoundFile | None:
    """A WAV or AIFF file whose header says that no samples follow although they do, to be read to
    its end; None for any other."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    kind = head[:4] + head[8:12]
    if kind not in (b"RIFFWAVE", b"FORMAIFF", b"FORMAIFC"):
        return None
    header = UNFINISHED_WAV if kind == b"RIFFWAVE" else UNFINISHED_AIFF
    end = head.find(header.chunk) + len(header.chunk)
    if header.chunk not in head or path.stat().st_size <= end:
        return None
    start = header.start if header.start >= 0 else end + header.start
    return _open_edited(path, start, header.replacement)


def _open_whole_mp3(path: Path) -> SoundFile | None:
    """An MP3 that does not say how long it is, to be read to its end; None if that fails."""
    try:
        file = _open_edited(path, size_factor=SIZE_FACTOR)
    except (soundfile.LibsndfileError, RuntimeError):
        return None
    file.has_length = False
    return file


def _open_edited(
    path: Path, start: int = 0, replacement: bytes = b"", size_factor: int = 1
) -> SoundFile:
    """A file as `_EditedFile` reads it."""
    source = path.open("rb")
    try:
        file = SoundFile(_EditedFile(source, start, replacement, size_factor))
    except BaseException:
        source.close()
        raise
    file._name, file.source = str(path), source
    return file


def _mp3_says_length(path: Path) -> bool:
    """Whether an MP3 begins with a frame that says how many frames follow."""
    with path.open("rb") as file:
        head = file.read(10)
        start = 0
        if head[:3] == b"ID3" and len(head) == 10:  # a tag; its size has 7 bits a byte
            start = 10 + sum(
                byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)
            )
        file.seek(start)
        first_frames = file.read(4096)
    return any(tag in first_frames for tag in MP3_LENGTH_TAGS)


def read_frames(file: SoundFile, num_frames: int, start: int | None = None) -> np.ndarray:
    """Up to `num_frames` frames, mixed down to mono: float32 (N,). Raises InputError for damaged
    data."""
    try:
        if start is not None:
            file.seek(start)
        values = file.read(num_frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ").rstrip(".") or "it can't be decoded"
        raise InputError(f"{file.name} is damaged: {reason}", "restore it from a copy") from None
    block: np.ndarray = values.mean(axis=1)
    if not np.isfinite(block).all():
        raise InputError(f"{file.name} has samples that are not numbers", "export it again")
    return block


def block_frames(file: SoundFile) -> int:
    """How many frames of a file to read at a time."""
    return max(1, BLOCK_VALUES // max(2, int(file.channels)))


def count_frames(path: Path) -> tuple[int, int]:
    """How many frames a file really has, and its sample rate in Hz.

    Raises InputError as `open_audio`, and for damaged data. Warns of a file that was cut off.
    """
    with open_audio(path) as file:
        if file.has_length and _has_frame(file, file.frames - 1):
            return int(file.frames), int(file.samplerate)
    with open_audio(path) as file:
        num_frames, size = 0, block_frames(file)
        while count := len(read_frames(file, size)):
            num_frames += count
        _warn_if_cut_off(file, num_frames)
        return num_frames, int(file.samplerate)


def _has_frame(file: SoundFile, number: int) -> bool:
    if number >= UNKNOWN_FRAMES:
        return False
    try:
        return len(read_frames(file, 1, number)) == 1
    except (InputError, RuntimeError):
        return False


def _warn_if_cut_off(file: SoundFile, num_frames: int) -> None:
    missing = (file.frames - num_frames) / file.samplerate
    if file.has_length and file.frames < UNKNOWN_FRAMES and missing > TOLERATED_SECONDS:
        says, holds = file.frames / file.samplerate, num_frames / file.samplerate
        message = f"{file.name} says {says:.1f} s, holds {holds:.1f} s: was it copied completely?"
        warnings.warn(InputWarning(message), stacklevel=4)
