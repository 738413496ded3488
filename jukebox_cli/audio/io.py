"""Reading, resampling and writing sound. Arrays are float32, mono (N,), in -1 .. 1."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    import soundfile


Audio = np.ndarray  # float32 (N,)


#: What `decode --format` can write, and how soundfile calls it.
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


BLOCK_SIZE = 1 << 18  # samples read at a time


def read_audio(path: Path, sample_rate: int) -> Audio:
    """A whole file as mono at `sample_rate` Hz."""
    return np.concatenate(list(stream_audio(path, sample_rate)))


def stream_audio(path: Path, sample_rate: int) -> Iterator[Audio]:
    """A file as mono blocks at `sample_rate` Hz, in bounded memory.

    Raises InputError for what is missing, not audio, or empty.
    """
    with open_audio(path) as file:
        yield from resample_stream(_blocks(file), file.samplerate, sample_rate)


def _blocks(file: soundfile.SoundFile) -> Iterator[Audio]:
    """The whole file; the last block is a shorter one, if only by being empty."""
    while True:
        block = _read(file, BLOCK_SIZE)
        yield block
        if len(block) < BLOCK_SIZE:
            return


def resample_stream(blocks: Iterable[Audio], before: int, after: int) -> Iterator[Audio]:
    """Blocks of mono at `before` Hz as blocks at `after` Hz."""
    if before == after:
        yield from blocks
        return
    import soxr

    resample = soxr.ResampleStream(before, after, 1, dtype="float32")
    held: Audio | None = None  # whether it is the last, the next one tells
    for block in blocks:
        if held is not None:
            yield resample.resample_chunk(held)
        held = block
    if held is not None:
        yield resample.resample_chunk(held, last=True)


def open_audio(path: Path) -> soundfile.SoundFile:
    """The file, opened; InputError when it can't be heard."""
    import soundfile

    if not path.exists():
        raise InputError(f"no file {path}", "check the path")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an audio file", "name the files in it")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty", "was it copied completely?")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        readable = "wav, flac, ogg, opus, mp3, aiff and more"
        raise InputError(f"{path} is not audio that can be read", f"use {readable}") from None
    if file.frames == 0:
        raise InputError(f"{path} holds no sound", "it has a header but no samples")
    return file


def _read(file: soundfile.SoundFile, frames: int, start: int | None = None) -> Audio:
    """Up to `frames` frames as mono; InputError when they are damaged."""
    import soundfile

    try:
        if start is not None:
            file.seek(start)
        block: Audio = file.read(frames, dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.removeprefix("Error : ").rstrip(".")
        raise InputError(f"{file.name} is damaged: {reason}", "restore it from a copy") from None
    if not np.isfinite(block).all():
        raise InputError(f"{file.name} holds samples that are not numbers", "export it anew")
    return block


def hash_files(paths: Sequence[Path], *words: str) -> str:
    """A short hash of what is in the files, and of some words."""
    total = hashlib.sha256("\n".join(words).encode())
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_SIZE):
                total.update(block)
    return total.hexdigest()[:16]


def duration_seconds(path: Path) -> float:
    """How long a file plays."""
    with open_audio(path) as file:
        return float(file.frames / file.samplerate)


def read_crop(path: Path, start: float, length: int, sample_rate: int) -> Audio:
    """`length` samples at `sample_rate` Hz from `start` (0 .. 1, of where a crop can begin).

    Shorter files are padded with silence.
    """
    import soxr

    with open_audio(path) as file:
        wanted = -(-length * file.samplerate // sample_rate)
        block = _read(file, wanted, int(start * max(0, file.frames - wanted)))
        if file.samplerate != sample_rate:
            block = soxr.resample(block, file.samplerate, sample_rate)
    block = block[:length]
    return np.pad(block, (0, length - len(block))).astype(np.float32)


class _ErrorKeepingFile:
    """A file to write to that keeps the first error it met: libsndfile drops them."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._try(self.file.write, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._try(self.file.seek, offset, whence)

    def tell(self) -> int:
        return self._try(self.file.tell)

    def _try(self, do: Callable[..., int], *words: Any) -> int:
        try:
            return do(*words)
        except OSError as error:
            self.error = self.error or error
            return 0


def write_audio(path: Path, blocks: Iterable[Audio], sample_rate: int) -> None:
    """Streams blocks to a file beside `path`, then moves it there; the suffix picks the format."""
    from jukebox_cli.storage.files import atomic_write

    with atomic_write(path) as part, part.open("wb") as file:
        sink = _ErrorKeepingFile(file)
        try:
            _write(sink, FORMATS[path.suffix.removeprefix(".")], blocks, sample_rate)
        finally:
            if sink.error:
                raise sink.error


def _write(
    sink: _ErrorKeepingFile, kind: tuple[str, str], blocks: Iterable[Audio], sample_rate: int
) -> None:
    import soundfile

    name, subtype = kind
    with soundfile.SoundFile(sink, "w", sample_rate, 1, subtype, format=name) as sound:
        for block in blocks:
            sound.write(np.clip(block, -1.0, 1.0))
