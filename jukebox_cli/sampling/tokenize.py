"""Audio -> tokens: a corpus to train priors on, or a run to continue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jukebox_cli.audio.io import Audio, stream_audio
from jukebox_cli.audio.manifest import Recording, unique_recordings
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.codec import Codec
from jukebox_cli.model.devices import autocast
from jukebox_cli.sampling.job import Advance
from jukebox_cli.sampling.run_setup import (
    hash_recording,
    new_segment,
    require_same_recordings,
)
from jukebox_cli.storage.corpus import Corpus, CorpusConfig
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt


def encode_file(
    codec: Codec, path: Path, advance: Advance = lambda _: None, seconds: float | None = None
) -> tuple[list[np.ndarray], int]:
    """The tokens of an audio file per level, int64 (T,), and its length in samples; of its first
    `seconds` only, if given.

    Raises InputError for a file that is too short.
    """
    sample_rate = codec.config.sample_rate
    limit = None if seconds is None else round(seconds * sample_rate)
    num_samples = 0

    def counted() -> Iterator[Audio]:
        nonlocal num_samples
        for block in stream_audio(path, sample_rate):
            block = block if limit is None else block[: limit - num_samples]
            num_samples += len(block)
            advance(len(block))
            yield block
            if num_samples == limit:
                return

    tokens = codec.encode(counted())
    if num_samples == 0:
        what = f"{path} is too short: nothing is left at {sample_rate} Hz"
        raise InputError(what, "use a longer one")
    return tokens, num_samples


class CorpusChanges(NamedTuple):
    """What `to_corpus` did."""

    added: int  # songs
    updated: int  # songs whose conditions or `held_out` were others


def to_corpus(
    recordings: Sequence[Recording],
    model: Model,
    codec: Codec,
    corpus: Corpus,
    advance: Advance = lambda _: None,
) -> CorpusChanges:
    """Adds the recordings that the corpus does not have yet, and updates the conditions of those
    that it has, if a manifest's row gives others.

    Torch encodes in mixed precision where the device has it: a few tokens in a hundred become their
    second-best code, which does no harm in training, and it takes half the time. So a corpus does
    not say what encoded it either: engines differ less.

    Raises InputError if the folder holds something else, or a corpus of another model, and for rows
    of manifests that contradict each other.
    """
    by_name = {str(each.audio): each for each in unique_recordings(recordings)}
    _open_corpus(corpus, model)
    updated = _update_corpus(corpus, by_name)
    names = {song.name for song in corpus.songs()}
    added, not_added = 0, {}
    for name, recording in by_name.items():
        if name not in names:
            with autocast(codec.device, "auto"):
                tokens, num_samples = encode_file(codec, recording.audio, advance)
            if corpus.append(name, num_samples, recording.song, recording.held_out, tokens):
                added += 1
            else:
                not_added[name] = recording
    return CorpusChanges(added, updated + _update_corpus(corpus, not_added))


def _update_corpus(corpus: Corpus, recordings: Mapping[str, Recording]) -> int:
    """Gives songs the conditions of manifests' rows. Returns how many had others."""
    rows = {name: (each.song, each.held_out) for name, each in recordings.items() if each.row}
    return corpus.update(rows) if rows else 0


def validate_corpus(corpus: Corpus, model: Model) -> None:
    """Raises InputError if the folder holds something else than a corpus of a model's codec."""
    if not corpus.exists:
        if corpus.path.exists() and not corpus.path.is_dir():
            raise _not_a_corpus(corpus)
        names = corpus.path.iterdir() if corpus.path.exists() else ()
        # in this order, if another process makes the corpus just now
        others = [p for p in names if p.suffix != ".part" and p.name not in (".lock", ".holder")]
        if others and not corpus.exists:
            raise _not_a_corpus(corpus)
    if corpus.exists and corpus.config != CorpusConfig.of_model(model):
        raise InputError(
            f"{corpus.path} was made with another model than '{model.name}'",
            "choose another folder with --out",
        )


def _not_a_corpus(corpus: Corpus) -> InputError:
    return InputError(f"{corpus.path} exists already and is not a corpus", "choose another --out")


def _open_corpus(corpus: Corpus, model: Model) -> None:
    """Makes an empty corpus of a model's codec, unless there is one."""
    validate_corpus(corpus, model)
    if not corpus.exists:
        corpus.create_config(CorpusConfig.of_model(model))
        validate_corpus(corpus, model)  # another process may have made it just now


def to_run(
    recordings: Sequence[Recording],
    model: Model,
    codec: Codec,
    run: Run,
    config: RunConfig,
    advance: Advance = lambda _: None,
) -> None:
    """Makes a run with an item for each recording, whose tokens are its prompt at every level.

    Of several processes that do so at once one does, and the others wait."""
    with run.lock():
        if not run.exists:
            _write_items(recordings, model, codec, run, config, advance)
    require_same_recordings(run, config, recordings)


def _write_items(
    recordings: Sequence[Recording],
    model: Model,
    codec: Codec,
    run: Run,
    config: RunConfig,
    advance: Advance,
) -> None:
    run.delete_items()  # of an interrupted command
    for item, recording in enumerate(recordings):
        tokens, num_samples = encode_file(codec, recording.audio, advance)
        for level, codes in enumerate(tokens):
            run.write_tokens(level, item, codes, model.config.vqvae)
        prompt = Prompt(hash_recording(recording.audio), num_samples, recording.audio.name)
        segment = new_segment(model, config, recording.song, prompt=prompt)
        run.write_item(item, ItemSpec(num_samples, (segment,)))
    run.write_config(config)  # last, so that a run that has it is complete
