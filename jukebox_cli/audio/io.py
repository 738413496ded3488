"""Reading, resampling and writing audio. Arrays are mono float32 (N,) in the range -1 to 1."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from jukebox_cli.storage.files import atomic_write

if TYPE_CHECKING:
    from jukebox_cli.audio.sound_file import SoundFile

Audio = np.ndarray  # float32 (N,)

#: Formats that `decode --format` can write: soundfile's names of the format and the subtype.
FORMATS = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}

#: Samples or bytes that are read at a time, at most.
BLOCK_SIZE = 1 << 18


def read_audio(path: Path, sample_rate: int) -> Audio:
    """A whole file as mono at `sample_rate` Hz. Raises InputError as `open_audio`."""
    return np.concatenate(list(stream_audio(path, sample_rate)))


def stream_audio(path: Path, sample_rate: int) -> Iterator[Audio]:
    """A file as blocks of mono at `sample_rate` Hz, in bounded memory.

    Raises InputError as `open_audio`, and for damaged data.
    """
    with open_audio(path) as file:
        yield from resample_stream(_read_blocks(file), file.samplerate, sample_rate)


def _read_blocks(file: SoundFile) -> Iterator[Audio]:
    """The whole file in blocks of one size; the last one is shorter, and can be empty."""
    from jukebox_cli.audio.sound_file import block_frames, read_frames

    size = block_frames(file)
    while True:
        block = read_frames(file, size)
        yield block
        if len(block) < size:
            return


def resample_stream(blocks: Iterable[Audio], orig_sr: int, target_sr: int) -> Iterator[Audio]:
    """Blocks of mono at `orig_sr` Hz, resampled to `target_sr` Hz as one stream."""
    if orig_sr == target_sr:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(orig_sr, target_sr, 1, dtype="float32")
    previous: Audio | None = None  # held back, because the last block has to be flushed
    for block in blocks:
        if previous is not None:
            yield stream.resample_chunk(previous)
        previous = block
    if previous is not None:
        yield stream.resample_chunk(previous, last=True)


def open_audio(path: Path) -> SoundFile:
    """An opened audio file, which says how many frames it has in vain: see `sound_file`.

    Raises InputError if it is missing, empty or not audio.
    """
    from jukebox_cli.audio import sound_file

    return sound_file.open_audio(path)


def hash_files(paths: Sequence[Path], *words: str) -> str:
    """A hash of the contents of files and of words: 16 hexadecimal digits of SHA-256."""
    digest = hashlib.sha256("\n".join(words).encode())
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK_SIZE):
                digest.update(block)
    return digest.hexdigest()[:16]


def duration_seconds(path: Path) -> float:
    """The duration of a file, counted where its header can't be believed. Raises InputError as
    `open_audio`; warns of a file that was cut off."""
    from jukebox_cli.audio.sound_file import count_frames

    num_frames, sample_rate = count_frames(path)
    return num_frames / sample_rate


def read_crop(
    path: Path, position: float, length: int, sample_rate: int, seconds: float | None = None
) -> Audio:
    """A crop of a file: `length` samples at `sample_rate` Hz.

    position: where it starts, from 0 (the beginning) to 1 (the last place where it fits). A file
        that is shorter than the crop is padded with silence.
    seconds: the duration of the file, if it is known.
    """
    import soxr

    from jukebox_cli.audio.sound_file import read_frames

    seconds = duration_seconds(path) if seconds is None else seconds
    with open_audio(path) as file:
        num_frames = -(-length * file.samplerate // sample_rate)
        start = int(position * max(0, round(seconds * file.samplerate) - num_frames))
        block = read_frames(file, num_frames, start)
        if file.samplerate != sample_rate:
            block = soxr.resample(block, file.samplerate, sample_rate)
    block = block[:length]
    return np.pad(block, (0, length - len(block))).astype(np.float32)


class _ErrorKeepingFile:
    """A file to write to that keeps the first error, which libsndfile would drop."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._call(self.file.write, data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._call(self.file.seek, offset, whence)

    def tell(self) -> int:
        return self._call(self.file.tell)

    def _call(self, method: Callable[..., int], *arguments: Any) -> int:
        try:
            return method(*arguments)
        except OSError as error:
            self.error = self.error or error
            return 0


def write_audio(path: Path, blocks: Iterable[Audio], sample_rate: int) -> None:
    """Write blocks of mono to a file, in the format of its suffix, one of FORMATS.

    Samples outside -1 to 1 are clipped. The file is complete or not there: it is written beside
    `path` and then moved. Raises OSError if that fails.
    """
    with atomic_write(path) as part, part.open("wb") as file:
        sink = _ErrorKeepingFile(file)
        try:
            _write_blocks(sink, path.suffix.removeprefix("."), blocks, sample_rate)
        finally:
            if sink.error:
                raise sink.error


def to_int16(block: Audio) -> np.ndarray:
    """The 16-bit samples that `write_audio` would write to a WAV file, to the bit: int16 (N,)."""
    import soundfile

    data = BytesIO()
    # libsndfile rounds in its own way
    with soundfile.SoundFile(data, "w", 8000, 1, "PCM_16", "LITTLE", "RAW") as sound:
        sound.write(np.clip(block, -1.0, 1.0))
    return np.frombuffer(data.getvalue(), "<i2")


def wav_header(num_samples: int, sample_rate: int) -> bytes:
    """The header of a mono 16-bit WAV file of so many samples, as `write_audio` writes it.

    Sizes that don't fit into 32 bits are the largest that do, which players take for unknown.
    """
    num_bytes, largest = 2 * num_samples, 0xFFFFFFFF
    riff = struct.pack("<4sI4s", b"RIFF", min(36 + num_bytes, largest), b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", min(num_bytes, largest))


def _write_blocks(
    sink: _ErrorKeepingFile, suffix: str, blocks: Iterable[Audio], sample_rate: int
) -> None:
    import soundfile

    name, subtype = FORMATS[suffix]
    with soundfile.SoundFile(sink, "w", sample_rate, 1, subtype, format=name) as sound:
        for block in blocks:
            sound.write(np.clip(block, -1.0, 1.0))
