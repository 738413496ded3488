"""--stream: the audio of a job on the standard output while it is made."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, BinaryIO

from jukebox_cli.cli.console import PlayerClosed, discard_stdout
from jukebox_cli.cli.options import OutputOptions, ResultOptions, StreamFormat, Until
from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from jukebox_cli.sampling.job import Job


def validate_stream(items: Sequence[int], result: ResultOptions, output: OutputOptions) -> None:
    """Raises InputError for a stream of several items or of none, or where it can't be written."""
    assert result.stream
    if result.until is not Until.audio:
        raise InputError(
            f"--stream writes audio, but --until {result.until.value} stops before there is any",
            "leave out one of them",
        )
    if result.shard:
        raise InputError(
            "--stream plays a song that this command makes alone, not a --shard of it",
            "leave out one of them",
        )
    if output.as_json:
        raise InputError("--stream and --json both write to stdout", "leave out one of them")
    if len(items) != 1:
        hint = "choose one, such as --only 0, and make the others without --stream"
        raise InputError(f"--stream plays one item, not {len(items)}", hint)
    if sys.stdout.isatty():
        player = "ffplay -" if result.stream is StreamFormat.wav else "aplay -f S16_LE -r RATE"
        raise InputError("--stream does not write to a terminal", f"add a player: `| {player}`")


def stream_audio(job: Job, stream: StreamFormat) -> None:
    """Makes what is missing in the run of a job of one item, and writes its audio to the standard
    output meanwhile.

    Raises PlayerClosed if nobody reads it any more.
    """
    from jukebox_cli.audio.io import wav_header
    from jukebox_cli.sampling.pipeline import stream_run

    with _audio_output() as output:

        def play(block: np.ndarray) -> None:
            _write(output, block.astype("<i2").tobytes())

        if stream is StreamFormat.wav:
            _write(output, wav_header(job.num_samples(job.items[0]), job.config.sample_rate))
        stream_run(job, play)


@contextmanager
def _audio_output() -> Iterator[BinaryIO]:
    """The standard output for bytes. What else is printed meanwhile goes to stderr."""
    output = sys.stdout.buffer
    try:
        with redirect_stdout(sys.stderr):
            yield output
    except BaseException:
        discard_stdout()  # it may wait for a player that does not read
        raise


def _write(output: BinaryIO, data: bytes) -> None:
    try:
        output.write(data)
        output.flush()
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
            raise PlayerClosed from None
        raise
