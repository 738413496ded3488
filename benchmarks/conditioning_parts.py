"""The parts of benchmarks/conditioning.py: each measures songs and returns rows of the table."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from alignment_error import aligned_words, alignment_error_rows, baselines, run_align
from evaluators import cached_transcript
from lyric_loss import LossMeter, lyric_loss_rows
from measurements import Row
from note_f1 import midi_notes, note_f1_rows, notes_within
from note_transcription import Note, load_note_transcriber
from song_versions import SongVersions
from surgery import TokenizedSong, surgery_rows
from whisper import load_word_transcriber
from word_error_rate import word_error_rows, words_within
from word_times import Word, sung_words, without_times

from jukebox_cli.audio.io import duration_seconds
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.model.devices import pick_device
from jukebox_cli.sampling import tokenize as tokenizing
from jukebox_cli.sampling.run_setup import recording_run_config
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.run import Run

T = TypeVar("T")

#: Songs of each kind that surgery is measured on.
NUM_SURGERY_SONGS = 4


@dataclass(frozen=True)
class Evaluation:
    """What is measured: songs without and with singing, and the versions of both."""

    transcripts: Path  # folder that keeps transcripts
    whisper: Path  # folder of Whisper's weights
    max_windows: int | None  # of each song for the loss; None: all
    instrumental: list[Recording]
    sung: list[Recording]
    instrumental_versions: SongVersions
    sung_versions: SongVersions
    notes: list[str] = field(default_factory=list)  # what was not measured, and why

    def note(self, text: str) -> None:
        """Print and keep a note, once."""
        if text not in self.notes:
            print(f"note: {text}", file=sys.stderr)
            self.notes.append(text)

    def uses(self, conditioner: str) -> bool:
        """Whether the model has a conditioner; adds a note if not."""
        used = self.sung_versions.uses(conditioner)
        if not used:
            name = self.sung_versions.model.name
            self.note(
                f"model '{name}' has no {conditioner} conditioner, so its use is not measured"
            )
        return used


def measure_notes(evaluation: Evaluation) -> list[Row]:
    """Onset F1 of songs without singing, then of songs with it."""
    transcribe = load_note_transcriber()
    rows: list[Row] = []
    for kind, recordings, versions in (
        ("instrumental", evaluation.instrumental, evaluation.instrumental_versions),
        ("sung", evaluation.sung, evaluation.sung_versions),
    ):
        seconds = versions.seconds
        files = [midi_notes(recording.song, seconds) for recording in recordings]
        recordings, files = _nonempty(
            recordings, files, evaluation, "no notes in its first seconds"
        )
        if recordings:
            audio = _audio_of_versions(evaluation, versions, recordings, kind, "midi")
            transcripts = {
                f"{kind} songs, {version}": [
                    notes_within(_transcribe_notes(evaluation, path, transcribe), seconds)
                    for path in paths
                ]
                for version, paths in audio.items()
            }
            rows += note_f1_rows(files, transcripts)
    return rows


def _transcribe_notes(
    evaluation: Evaluation, path: Path, transcribe: Callable[[Path], list[Note]]
) -> list[Note]:
    notes = cached_transcript(evaluation.transcripts / "notes", path, transcribe)
    return [Note(*note) for note in notes]


def measure_words(evaluation: Evaluation) -> list[Row]:
    """Word error rates of songs with singing."""
    transcribe = load_word_transcriber(evaluation.whisper)
    versions, recordings = evaluation.sung_versions, evaluation.sung
    lyrics = [words_within(recording.song, versions.seconds) for recording in recordings]
    recordings, lyrics = _nonempty(recordings, lyrics, evaluation, "no words in its first seconds")
    audio = _audio_of_versions(evaluation, versions, recordings, "sung", "lyrics")
    folder = evaluation.transcripts / "words"
    transcripts = {
        f"sung songs, {version}": [cached_transcript(folder, path, transcribe) for path in paths]
        for version, paths in audio.items()
    }
    return word_error_rows(lyrics, transcripts)


def _nonempty(
    recordings: Sequence[Recording],
    references: Sequence[list[T]],
    evaluation: Evaluation,
    reason: str,
) -> tuple[list[Recording], list[list[T]]]:
    """The recordings that have something to find, with their references; notes for the others."""
    pairs = list(zip(recordings, references, strict=True))
    for recording, reference in pairs:
        if not reference:
            evaluation.note(f"{recording.audio.name} was left out: {reason}")
    kept = [(recording, reference) for recording, reference in pairs if reference]
    return [recording for recording, _ in kept], [reference for _, reference in kept]


def _audio_of_versions(
    evaluation: Evaluation,
    versions: SongVersions,
    recordings: Sequence[Recording],
    kind: str,
    conditioner: str,
) -> dict[str, list[Path]]:
    """The audio files of each version of the songs, by its name in the table."""
    audio = {"recorded": [versions.recorded(recording) for recording in recordings]}
    by_level = zip(*map(versions.reconstructed, recordings), strict=True)
    for level, paths in enumerate(by_level):
        audio[f"codec, level {level}"] = list(paths)
    if evaluation.uses(conditioner):
        audio["generated"] = versions.generated(recordings, kind)
    return audio


def measure_loss(evaluation: Evaluation) -> list[Row]:
    """The loss of the top prior with different lyrics."""
    if not evaluation.uses("lyrics"):
        return []
    versions = evaluation.sung_versions
    corpus = Corpus(versions.codec_folder() / f"corpus-{_short_hash(evaluation.sung)}")
    tokenizing.to_corpus(evaluation.sung, versions.model, versions.codec, corpus)
    conditions = {str(r.audio): versions.conditions(r) for r in evaluation.sung}
    songs = [replace(song, song=conditions[song.name]) for song in corpus.songs()]
    device = pick_device(versions.device)
    meter = LossMeter(versions.model, versions.registry, corpus, device, evaluation.max_windows)
    return lyric_loss_rows(meter.losses(songs))


def measure_alignment(evaluation: Evaluation) -> list[Row]:
    """Errors of word times: of two baselines, and of `align` without and with known times."""
    truth = [sung_words(recording.song) for recording in evaluation.sung]
    durations = [duration_seconds(recording.audio) for recording in evaluation.sung]
    estimates: dict[str, Sequence[Sequence[Word]]] = {**baselines(truth, durations)}
    if evaluation.uses("lyrics"):
        untimed = [replace(r, song=without_times(r.song)) for r in evaluation.sung]
        estimates["align, without times"] = _align(evaluation, untimed)
        estimates["align, with times"] = _align(evaluation, evaluation.sung)
    return alignment_error_rows(truth, estimates)


def _align(evaluation: Evaluation, recordings: Sequence[Recording]) -> list[list[Word]]:
    """The words that `jukebox align` finds in recordings, which become a run of the model."""
    versions = evaluation.sung_versions
    known = [replace(r, song=versions.conditions(r)) for r in recordings]
    run = Run(versions.model_folder() / f"recorded-{_short_hash(known)}")
    config = recording_run_config(run, versions.model, versions.registry, known)
    if not run.exists:
        tokenized = _tokenize(evaluation)
        shutil.copytree(tokenized.path / "tokens", run.path / "tokens", dirs_exist_ok=True)
        for item, recording in enumerate(known):
            spec = tokenized.item(item)
            segment = replace(spec.segments[0], conditions=dict(recording.song))
            run.write_item(item, spec.with_segment(0, segment))
        run.write_config(config)
    files = [run.path / "alignment" / f"item-{n:02}.json" for n in range(len(known))]
    if not all(file.exists() for file in files):
        run_align(run.path, versions.device)
    return [aligned_words(file) for file in files]


def _tokenize(evaluation: Evaluation) -> Run:
    """The songs with singing as tokens, without conditions, for any model with this codec."""
    versions = evaluation.sung_versions
    recordings = [replace(recording, song={}) for recording in evaluation.sung]
    run = Run(versions.codec_folder() / f"tokens-{_short_hash(recordings)}")
    if not run.exists:
        config = recording_run_config(run, versions.model, versions.registry, recordings)
        tokenizing.to_run(recordings, versions.model, versions.codec, run, config)
    return run


def measure_surgery(evaluation: Evaluation) -> list[Row]:
    """Logit differences for each level and each conditioner that it lacks, on a few songs."""
    versions = evaluation.instrumental_versions
    songs = []
    for recording in [
        *evaluation.instrumental[:NUM_SURGERY_SONGS],
        *evaluation.sung[:NUM_SURGERY_SONGS],
    ]:
        tokens, num_samples = tokenizing.encode_file(
            versions.codec, recording.audio, seconds=versions.seconds
        )
        songs.append(TokenizedSong(tokens, num_samples, recording.song))
    device = pick_device(versions.device)
    rows = surgery_rows(versions.model, versions.registry, songs, device)
    if not rows:
        evaluation.note(f"model '{versions.model.name}' has every conditioner at every level")
    return rows


def _short_hash(recordings: Sequence[Recording]) -> str:
    """A hash of recordings and their conditions."""
    key = [(str(recording.audio.resolve()), dict(recording.song)) for recording in recordings]
    return sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:8]
