"""Audio -> tokens: a corpus to train priors on, or a run to go on from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jukebox_cli.audio.io import Audio, stream_audio
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model import codec
from jukebox_cli.model.devices import autocast
from jukebox_cli.model.vqvae import VQVAE
from jukebox_cli.sampling.job import Advance
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import ItemSpecs, Run, RunConfig, Tokens


def encode_file(
    vqvae: VQVAE, path: Path, tick: Advance = lambda _: None, seconds: float | None = None
) -> tuple[list[np.ndarray], int]:
    """A file's tokens per level, and its length in samples; the first `seconds` only if given."""
    rate = vqvae.config.sample_rate
    limit = None if seconds is None else round(seconds * rate)
    length = 0

    def counted() -> Iterator[Audio]:
        nonlocal length
        for block in stream_audio(path, rate):
            block = block if limit is None else block[: limit - length]
            length += len(block)
            tick(len(block))
            yield block
            if length == limit:
                return

    tokens = codec.encode(vqvae, counted())
    if length == 0:
        raise InputError(f"{path} is too short: nothing is left at {rate} Hz", "use a longer one")
    return tokens, length


def to_corpus(
    recordings: Sequence[Recording],
    model: Model,
    vqvae: VQVAE,
    corpus: Corpus,
    tick: Advance = lambda _: None,
) -> int:
    """Adds the recordings that the corpus does not have yet; gives how many that were.

    In mixed precision where the device has it: a few tokens in a hundred turn out as their next
    best, which is no loss for training, and it takes half the time.
    """
    config = CorpusConfig(
        fingerprint=model.fingerprint(),
        sample_rate=model.config.vqvae.sample_rate,
        hop_lengths=model.config.vqvae.hop_lengths,
        codebook_size=model.config.vqvae.codebook_size,
    )
    if not corpus.exists:
        if corpus.path.exists() and any(p.suffix != ".part" for p in corpus.path.iterdir()):
            hint = "choose another --out"
            raise InputError(f"{corpus.path} is there already and is not a corpus", hint)
        corpus.write_config(config)
    elif corpus.config != config:
        raise InputError(
            f"{corpus.path} was made with another model than '{model.name}'",
            "choose another folder with --out",
        )
    there = {entry.name for entry in corpus.songs()}
    new: dict[str, Recording] = {}
    for recording in recordings:
        if str(recording.audio) not in there:
            new.setdefault(str(recording.audio), recording)
    for recording in new.values():
        with autocast(vqvae.device, "auto"):
            tokens, samples = encode_file(vqvae, recording.audio, tick)
        corpus.append(str(recording.audio), samples, recording.song, recording.held_out, tokens)
    return len(new)


def to_run(
    recordings: Sequence[Recording],
    model: Model,
    vqvae: VQVAE,
    run: Run,
    config: RunConfig,
    tick: Advance = lambda _: None,
) -> None:
    """Makes a run with an item for each recording, its tokens given at every level."""
    items: dict[int, tuple[int, dict[str, Any]]] = {}
    run.delete_tokens()
    for item, recording in enumerate(recordings):
        tokens, samples = encode_file(vqvae, recording.audio, tick)
        items[item] = (samples, dict(recording.song))
        for level, codes in enumerate(tokens):
            run.write_tokens(level, item, Tokens(codes, len(codes)), model.config.vqvae)
    run.write_item_specs(ItemSpecs(0, {}, items))
    run.write_config(config)  # the last: a run that has it is whole
