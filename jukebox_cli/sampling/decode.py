"""Tokens -> audio files, and the samples of an item while it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.sampling.disk_space import SAMPLE_BYTES, require_disk_space
from jukebox_cli.sampling.intents import record_decoding, settle_intents
from jukebox_cli.sampling.item_turns import item_turns
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.stages import decode_stage

if TYPE_CHECKING:
    from jukebox_cli.model.codec import Codec

#: Threads of torch. One decodes mini forty times as fast as it is played; more only wait for each
#: other where the cores are busy, and would round differently.
TORCH_THREADS = 1

#: Takes a block of 16-bit samples (N,) int16, mono.
Play = Callable[[np.ndarray], None]


def decode_run(job: Job, level: int = 0, suffix: str = "wav") -> list[str]:
    """As `decode_items`, after it has recorded that it will. Several processes may do so at once:
    each item is decoded by one of them."""
    if missing := _missing_audio(job, level, suffix):
        record_decoding(job, missing, level, suffix)
    for turn in item_turns(replace(job, items=missing)):
        decode_items(turn, level, suffix)
    settle_intents(job)
    return [str(job.run.audio_file(item, level, suffix)) for item in job.items]


def _missing_audio(job: Job, level: int, suffix: str) -> list[int]:
    """The items without audio. Raises InputError for one whose tokens are incomplete."""
    missing = [item for item in job.items if not job.run.has_audio(item, level, suffix)]
    for item in missing:
        if job.num_missing_tokens(level, item):
            raise InputError(
                f"item {item} of {job.run.path} is incomplete at level {level}",
                "finish it with `jukebox upsample`, or choose others: --only, --level",
            )
    return missing


def decode_items(job: Job, level: int = 0, suffix: str = "wav") -> list[str]:
    """The audio files of the job's items at a level, after writing those that are missing.

    Raises InputError for an item whose tokens of the level are incomplete.
    """
    missing = _missing_audio(job, level, suffix)
    if missing and suffix == "wav":
        samples = sum(job.num_samples(item) for item in missing)
        require_disk_space(job.run.path, SAMPLE_BYTES * samples)
    for engine in sorted({_engine(job, item, level) for item in missing}):
        of_engine = [item for item in missing if _engine(job, item, level) == engine]
        _decode(replace(job, engine=engine), of_engine, level, suffix)
    return [str(job.run.audio_file(item, level, suffix)) for item in job.items]


def _engine(job: Job, item: int, level: int) -> str:
    """The job's engine; for auto, torch if the item was sampled with it, so that one command and
    several make the same audio."""
    settings = job.specs[item].segments[-1].compute_settings(level)
    was_torch = settings is not None and settings.engine == "torch"
    return "torch" if job.engine == "auto" and was_torch else job.engine


def _decode(job: Job, items: Sequence[int], level: int, suffix: str) -> None:
    from jukebox_cli.audio.io import write_audio
    from jukebox_cli.engine.loader import torch_threads
    from jukebox_cli.model import codec

    decoder, advance = _load_decoder(job, items, level)
    for item in items:
        tokens = job.run.read_tokens(level, item)
        assert tokens is not None
        blocks = codec.decode(decoder, level, tokens, job.num_samples(item))
        path = job.run.audio_file(item, level, suffix)
        with torch_threads(TORCH_THREADS):
            write_audio(path, _with_progress(blocks, advance), decoder.config.sample_rate)
    _log_decoded(job, decoder, level, items, suffix)


def decode_live(job: Job, play: Play, finish: Callable[[], None]) -> None:
    """Writes the audio file of the job's item while its tokens are sampled into `live_tokens`, and
    passes its samples to `play`: those of the file, each block as soon as it is decoded.

    finish: called after the last block and before the file is complete; returns when all tokens
        are written. A file that is older than its tokens would not count.
    """
    from jukebox_cli.audio.io import write_audio
    from jukebox_cli.engine.loader import torch_threads

    (item,), live = job.items, job.live_tokens
    assert live
    # one thread: the others sample
    job = replace(job, engine=_engine(job, item, 0))
    decoder, advance = _load_decoder(job, job.items, 0, num_threads=1)

    def wait_for(count: int) -> np.ndarray:
        return live.wait_for(0, item, count)

    num_tokens, num_samples = job.num_tokens(0, item), job.num_samples(item)
    blocks = decoder.decode_stream(0, num_tokens, wait_for, num_samples)
    played = _played(_with_progress(blocks, advance), play, finish)
    with torch_threads(TORCH_THREADS):
        write_audio(job.run.audio_file(item), played, decoder.config.sample_rate)
    _log_decoded(job, decoder, 0, [item], "wav")


def play_audio_file(path: Path, play: Play) -> None:
    """Passes the samples of a file to `play`. Raises InputError as `audio.io.open_audio`."""
    from jukebox_cli.audio.io import BLOCK_SIZE, open_audio

    with open_audio(path) as file:
        while len(block := file.read(BLOCK_SIZE, dtype="int16")):
            play(block)


def _load_decoder(
    job: Job, items: Sequence[int], level: int, num_threads: int | None = None
) -> tuple[Codec, Advance]:
    """The codec, and the progress bar of decoding items."""
    from jukebox_cli.engine.loader import load_codec
    from jukebox_cli.model.devices import pick_device

    decoder = load_codec(job.model, pick_device(job.device), job.engine, num_threads)
    total = sum(job.num_samples(item) for item in items)
    return decoder, job.progress(decode_stage(level), 0, total)


def _log_decoded(job: Job, decoder: Codec, level: int, items: Sequence[int], suffix: str) -> None:
    job.log_event("decoded", level=level, items=items, format=suffix, engine=decoder.engine)


def _with_progress(blocks: Iterator[np.ndarray], advance: Advance) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block
        advance(len(block))


def _played(
    blocks: Iterator[np.ndarray], play: Play, finish: Callable[[], None]
) -> Iterator[np.ndarray]:
    from jukebox_cli.audio.io import to_int16

    for block in blocks:
        play(to_int16(block))
        yield block
    finish()
