"""Whether a model sings and plays what it is told, in one table.

    python benchmarks/steering.py --songs HELD_OUT.jsonl... --work FOLDER [--model NAME]
        [--whisper FOLDER] [--only midi,reading,loss,alignment,surgery] [--write FILE]

Each of the parts can be left out. `--songs` names manifests of held-out songs with columns audio,
artist, genre, midi and, of those with singing, lyrics: .lrc files that say when each word is sung.

    midi        are the notes heard those of the MIDI file?        needs basic-pitch
    reading     are the words heard those of the lyrics?           needs Whisper
    loss        does the top prior foretell more when it is told the words?
    alignment   does `jukebox align` find when words are sung?
    surgery     does a prior change when a conditioner is added to it?

midi and reading judge the songs as they were recorded, as each level of the codec gives them back,
and as the model makes them; `judges.txt` says how to get the judges. What is made and heard stays
in the work folder, so that a command that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import alignment_error
import machine
import whisper
from judges import judge, remembered
from lyric_loss import Listener, lyric_loss
from lyric_reading import reading, sung_within
from measure import Row, keep, page
from midi_adherence import adherence, heard_within, written
from renditions import Renditions
from surgery import Heard, surgery
from transcription import Note, libraries, transcriber
from word_times import Word, sung_words, without_times

from jukebox_cli.audio.io import duration_seconds
from jukebox_cli.audio.manifest import Recording, load_recordings
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.devices import pick_device
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling import tokenize as tokenizing
from jukebox_cli.sampling.run_setup import recording_run_config
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.model import find_model
from jukebox_cli.storage.run import Run

T = TypeVar("T")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--songs", nargs="+", type=Path, required=True, help="manifests")
    parser.add_argument("--work", type=Path, required=True, help="a folder for what is made")
    parser.add_argument("--model", default="mini", help="a model's name or folder")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them")
    parser.add_argument("--count", type=int, default=20, help="songs of each kind, at most")
    parser.add_argument("--seconds", type=float, default=12.0, help="of songs without singing")
    parser.add_argument("--sung-seconds", type=float, default=24.0, help="of songs with singing")
    parser.add_argument("--windows", type=int, help="windows of a song for the loss; default all")
    parser.add_argument("--whisper", type=Path, default=Path("whisper-small"), help="its folder")
    parser.add_argument("--device", default="auto", help="where the model computes")
    parser.add_argument("--seed", type=int, default=0, help="of the songs that are made")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the rows for programs")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the table for people")
    return parser.parse_args()


@dataclass(frozen=True)
class Bench:
    """What is measured: songs without and with singing, and the renditions of both."""

    given: argparse.Namespace
    played: list[Recording]
    sung: list[Recording]
    of_played: Renditions
    of_sung: Renditions
    notes: list[str] = field(default_factory=list)

    @property
    def judged(self) -> Path:
        return Path(self.given.work) / "heard"

    def note(self, text: str) -> None:
        """Something that was not measured, and why."""
        if text not in self.notes:
            print(f"note: {text}", file=sys.stderr)
            self.notes.append(text)

    def lacks(self, conditioner: str) -> bool:
        """Whether the model knows nothing of what is to be told, which is noted."""
        if lacking := not self.of_sung.takes(conditioner):
            name = self.of_sung.model.name
            self.note(
                f"model '{name}' takes no {conditioner}, so nothing it makes was judged by it"
            )
        return lacking


def bench(given: argparse.Namespace) -> Bench:
    """Reads the manifests. Of one that holds songs out, only those count."""
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    model = find_model(given.model)
    pieces = load_recordings(registry, given.songs)
    chosen = [piece for piece in pieces if piece.held_out] or pieces
    sung = [piece for piece in chosen if sung_words(piece.song)]
    played = [piece for piece in chosen if "midi" in piece.song and not sung_words(piece.song)]
    work = Renditions(model, registry, given.work, given.seconds, given.device, given.seed)
    of_sung = replace(work, seconds=given.sung_seconds)
    return Bench(given, played[: given.count], sung[: given.count], work, of_sung)


def midi(bench: Bench) -> list[Row]:
    """Notes: of songs without singing, then of songs with it."""
    transcribe = transcriber()
    rows: list[Row] = []
    kinds = (("played", bench.played, bench.of_played), ("sung", bench.sung, bench.of_sung))
    for kind, pieces, renditions in kinds:
        files = [written(piece.song, renditions.seconds) for piece in pieces]
        pieces, files = _with(pieces, files, bench, "no notes in the seconds that are judged")
        if pieces:
            audio = _renditions(bench, renditions, pieces, kind, "midi")
            heard = {
                f"{kind} songs, {what}": [
                    heard_within(_notes(bench, path, transcribe), renditions.seconds)
                    for path in paths
                ]
                for what, paths in audio.items()
            }
            rows += adherence(files, heard)
    return rows


def _notes(bench: Bench, path: Path, transcribe: Callable[[Path], list[Note]]) -> list[Note]:
    return [Note(*note) for note in remembered(bench.judged / "notes", path, transcribe)]


def read_words(bench: Bench) -> list[Row]:
    """Words of songs with singing."""
    read = whisper.reader(bench.given.whisper)
    seconds = bench.of_sung.seconds
    texts = [sung_within(piece.song, seconds) for piece in bench.sung]
    pieces, texts = _with(bench.sung, texts, bench, "no words in the seconds that are judged")
    audio = _renditions(bench, bench.of_sung, pieces, "sung", "lyrics")
    heard = {
        f"sung songs, {what}": [remembered(bench.judged / "words", path, read) for path in paths]
        for what, paths in audio.items()
    }
    return reading(texts, heard)


def _with(
    pieces: Sequence[Recording], wanted: Sequence[list[T]], bench: Bench, lacking: str
) -> tuple[list[Recording], list[list[T]]]:
    """The songs in which there is something to find; the others are noted."""
    kept = [(piece, each) for piece, each in zip(pieces, wanted, strict=True) if each]
    for piece, each in zip(pieces, wanted, strict=True):
        if not each:
            bench.note(f"{piece.audio.name} was left out: {lacking}")
    return [piece for piece, _ in kept], [each for _, each in kept]


def _renditions(
    bench: Bench, renditions: Renditions, pieces: Sequence[Recording], kind: str, judged_by: str
) -> dict[str, list[Path]]:
    """The files of each rendition of the songs, by what it is."""
    audio = {"recorded": [renditions.recorded(piece) for piece in pieces]}
    for level, paths in enumerate(zip(*map(renditions.coded, pieces), strict=True)):
        audio[f"codec, level {level}"] = list(paths)
    if not bench.lacks(judged_by):
        audio["made by the model"] = renditions.generated(pieces, kind)
    return audio


def loss(bench: Bench) -> list[Row]:
    """The top prior's loss by the words it is told."""
    if bench.lacks("lyrics"):
        return []
    renditions = bench.of_sung
    corpus = Corpus(renditions.of_codec() / f"corpus-{_short(bench.sung)}")
    tokenizing.to_corpus(bench.sung, renditions.model, renditions.vqvae, corpus)
    songs = {str(piece.audio): renditions.told(piece) for piece in bench.sung}
    entries = [replace(entry, song=songs[entry.name]) for entry in corpus.songs()]
    device = pick_device(renditions.device)
    listener = Listener(renditions.model, renditions.registry, corpus, device, bench.given.windows)
    return lyric_loss(listener.losses(entries))


def alignment(bench: Bench) -> list[Row]:
    """When words are sung, found with lyrics that say nothing of it, and with those that do."""
    truth = [sung_words(piece.song) for piece in bench.sung]
    lengths = [duration_seconds(piece.audio) for piece in bench.sung]
    guesses: dict[str, Sequence[Sequence[Word]]] = {
        f"words {how}": guess for how, guess in alignment_error.controls(truth, lengths).items()
    }
    if not bench.lacks("lyrics"):
        plain = [replace(piece, song=without_times(piece.song)) for piece in bench.sung]
        guesses["aligned, told no times"] = _aligned(bench, plain)
        guesses["aligned, told the times"] = _aligned(bench, bench.sung)
    return alignment_error.alignment_error(truth, guesses)


def _aligned(bench: Bench, pieces: Sequence[Recording]) -> list[list[Word]]:
    """What `jukebox align` says of recordings, which become a run of the model's."""
    renditions = bench.of_sung
    known = [replace(piece, song=renditions.told(piece)) for piece in pieces]
    run = Run(renditions.of_model() / f"recorded-{_short(known)}")
    config = recording_run_config(run, renditions.model, renditions.registry, known)
    if not run.exists:
        heard = _tokenized(bench)
        shutil.copytree(heard.path / "tokens", run.path / "tokens", dirs_exist_ok=True)
        for item, piece in enumerate(known):
            spec = heard.item(item)
            segment = replace(spec.segments[0], conditions=dict(piece.song))
            run.write_item(item, spec.with_segment(0, segment))
        run.write_config(config)
    files = [run.alignment_file(item) for item in range(len(known))]
    if not all(file.exists() for file in files):
        alignment_error.align(run.path, renditions.device)
    return [alignment_error.aligned_words(file) for file in files]


def _tokenized(bench: Bench) -> Run:
    """The songs with singing as tokens of the codec, whatever is to be told of them."""
    renditions = bench.of_sung
    silent = [replace(piece, song={}) for piece in bench.sung]
    run = Run(renditions.of_codec() / f"tokens-{_short(silent)}")
    if not run.exists:
        config = recording_run_config(run, renditions.model, renditions.registry, silent)
        tokenizing.to_run(silent, renditions.model, renditions.vqvae, run, config)
    return run


def add_conditioners(bench: Bench) -> list[Row]:
    """A row for each level and each conditioner that it lacks, over a few songs of each kind."""
    renditions = bench.of_played
    songs = []
    for piece in [*bench.played[:4], *bench.sung[:4]]:
        levels, samples = tokenizing.encode_file(
            renditions.vqvae, piece.audio, seconds=renditions.seconds
        )
        songs.append(Heard(levels, samples, piece.song))
    rows = surgery(renditions.model, renditions.registry, songs, pick_device(renditions.device))
    if not rows:
        bench.note(f"model '{renditions.model.name}' has every conditioner at every level")
    return rows


def _short(pieces: Sequence[Recording]) -> str:
    """A name for some songs and what is known of them."""
    known = [(str(piece.audio.resolve()), dict(piece.song)) for piece in pieces]
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]


PARTS: Mapping[str, Callable[[Bench], list[Row]]] = {
    "midi": midi,
    "reading": read_words,
    "loss": loss,
    "alignment": alignment,
    "surgery": add_conditioners,
}


def chosen_parts(given: argparse.Namespace) -> list[str]:
    """The parts that are asked for, in the order of the table."""
    names = [name.strip() for name in given.only.split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise InputError(f"there is no part '{name}'", f"the parts are {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def check(given: argparse.Namespace, parts: Sequence[str], bench: Bench) -> None:
    """InputError now rather than hours later: for judges and songs that are not there."""
    if "midi" in parts:
        libraries(), judge("mir_eval.transcription")
    if "reading" in parts:
        judge("librosa"), judge("onnxruntime"), judge("tokenizers")
        whisper.check(given.whisper)
        if given.sung_seconds > whisper.SECONDS:
            what = f"--sung-seconds {given.sung_seconds:g} are more than are read at once"
            raise InputError(what, f"name {whisper.SECONDS} at most")
    if len(bench.sung) < 2 and {"reading", "loss", "alignment"} & set(parts):
        hint = "name a manifest whose lyrics are .lrc files, or use --only midi,surgery"
        raise InputError("fewer than two songs have words with times", hint)
    if len(bench.played) + len(bench.sung) < 2:
        raise InputError("fewer than two songs have MIDI files", "name a manifest with 'midi'")


def report(given: argparse.Namespace, facts: dict[str, str], bench: Bench, rows: list[Row]) -> str:
    """The table with all one must know to believe it."""
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    lines += [f"not measured: {note}" for note in bench.notes]
    title = f"What model `{Path(given.model).name}` is told and does"
    about = (
        f"Songs are judged by their first {given.seconds:g} s, those with singing by "
        f"{given.sung_seconds:g} s; losses and alignment are of whole songs. Medians of songs, "
        "with the lowest and the highest; losses, differences and what is called a mean are means, "
        "and word error rates are of all words."
    )
    return page(title, "steering.py", lines, about, rows)


def main() -> None:
    """The command."""
    given = arguments()
    facts = machine.facts()
    try:
        parts = chosen_parts(given)
        what = bench(given)
        check(given, parts, what)
        rows = [row for part in parts for row in PARTS[part](what)]
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    keep(given, facts, rows, report(given, facts, what, rows))


if __name__ == "__main__":
    main()
