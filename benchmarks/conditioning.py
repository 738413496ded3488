"""How well a model follows its conditions, in one table.

    python benchmarks/conditioning.py --songs HELD_OUT.jsonl... --work FOLDER [--model NAME]
        [--whisper FOLDER] [--only notes,words,loss,alignment,surgery] [--write FILE]

`--songs` names manifests of held-out songs with columns audio, artist, genre, midi and, for songs
with singing, lyrics: .lrc files with word times. The parts of the table:

    notes       onset F1 of transcribed notes against the MIDI file    (needs basic-pitch)
    words       word error rate of transcribed lyrics                  (needs Whisper)
    loss        loss of the top prior with and without the right lyrics
    alignment   error of the word times that `jukebox align` finds
    surgery     difference of the logits when a conditioner is added to a prior

Notes and words are transcribed from the recordings, from their reconstructions by each level of the
codec, and from songs that the model generates; `evaluators.txt` says how to install what
transcribes them. Songs and transcripts are kept in the work folder, so that an interrupted command
continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import whisper
from conditioning_parts import (
    Evaluation,
    measure_alignment,
    measure_loss,
    measure_notes,
    measure_surgery,
    measure_words,
)
from evaluators import import_evaluator
from machine import machine_facts
from measurements import Row, add_output_arguments, page, publish
from note_transcription import import_basic_pitch
from song_versions import SongVersions
from word_times import sung_words

from jukebox_cli.audio.manifest import load_recordings
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import load_installed
from jukebox_cli.storage.model import find_model

PARTS: Mapping[str, Callable[[Evaluation], list[Row]]] = {
    "notes": measure_notes,
    "words": measure_words,
    "loss": measure_loss,
    "alignment": measure_alignment,
    "surgery": measure_surgery,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--songs", nargs="+", type=Path, required=True, help="manifests")
    parser.add_argument("--work", type=Path, required=True, help="folder for songs, transcripts")
    parser.add_argument("--model", default="mini", help="name or folder of a model")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--count", type=int, default=20, help="at most so many songs of each kind")
    parser.add_argument("--seconds", type=float, default=12.0, help="of instrumental songs")
    parser.add_argument("--sung-seconds", type=float, default=24.0, help="of songs with singing")
    parser.add_argument("--windows", type=int, help="of each song for the loss; default: all")
    parser.add_argument("--whisper", type=Path, default=Path("whisper-small"), help="its folder")
    parser.add_argument("--device", default="auto", help="that the model runs on")
    parser.add_argument("--seed", type=int, default=0, help="of generated songs")
    add_output_arguments(parser)
    return parser.parse_args()


def prepare_evaluation(args: argparse.Namespace) -> Evaluation:
    """Read the manifests. Of one with held-out songs, only these are used."""
    registry = load_installed(lambda message: print(message, file=sys.stderr))
    model = find_model(args.model)
    recordings = load_recordings(registry, args.songs)
    chosen = [recording for recording in recordings if recording.held_out] or recordings
    sung = [recording for recording in chosen if sung_words(recording.song)]
    instrumental = [r for r in chosen if "midi" in r.song and not sung_words(r.song)]
    versions = SongVersions(model, registry, args.work, args.seconds, args.device, args.seed)
    return Evaluation(
        args.work / "transcripts",
        args.whisper,
        args.windows,
        instrumental[: args.count],
        sung[: args.count],
        versions,
        replace(versions, seconds=args.sung_seconds),
    )


def selected_parts(args: argparse.Namespace) -> list[str]:
    """The parts named by --only, in the order of the table. Raises InputError for others."""
    names = [name.strip() for name in args.only.split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise InputError(f"there is no part '{name}'", f"the parts are {', '.join(PARTS)}")
    return [name for name in PARTS if name in names]


def validate(args: argparse.Namespace, parts: Sequence[str], evaluation: Evaluation) -> None:
    """InputError for missing libraries, weights and songs, now instead of hours later."""
    if "notes" in parts:
        import_basic_pitch()
        import_evaluator("mir_eval.transcription")
    if "words" in parts:
        for library in ("librosa", "onnxruntime", "tokenizers"):
            import_evaluator(library)
        whisper.require_weights(args.whisper)
        if args.sung_seconds > whisper.MAX_SECONDS:
            message = f"--sung-seconds {args.sung_seconds:g} is more than Whisper takes at once"
            raise InputError(message, f"use {whisper.MAX_SECONDS} at most")
    if len(evaluation.sung) < 2 and {"words", "loss", "alignment"} & set(parts):
        hint = "name a manifest whose lyrics are .lrc files, or use --only notes,surgery"
        raise InputError("fewer than two songs have words with times", hint)
    if len(evaluation.instrumental) + len(evaluation.sung) < 2:
        raise InputError("fewer than two songs have MIDI files", "name a manifest with 'midi'")


def report(
    args: argparse.Namespace, facts: Mapping[str, str], notes: Sequence[str], rows: Sequence[Row]
) -> str:
    """The page for --write."""
    lines = [f"{name}: {fact}" for name, fact in facts.items()]
    lines += [f"not measured: {note}" for note in notes]
    about = (
        f"Notes and words are of the first {args.seconds:g} s of instrumental songs and "
        f"{args.sung_seconds:g} s of songs with singing; losses and alignment are of whole songs. "
        "Values are medians over songs; losses and differences are means over songs, and word "
        "error rates are over all words."
    )
    title = f"How model `{Path(args.model).name}` follows its conditions"
    return page(title, "conditioning.py", lines, about, rows)


def main() -> None:
    args = parse_arguments()
    facts = machine_facts()
    try:
        parts = selected_parts(args)
        evaluation = prepare_evaluation(args)
        validate(args, parts, evaluation)
        rows = [row for part in parts for row in PARTS[part](evaluation)]
    except InputError as error:
        sys.exit(f"error: {error.message}\n\nhint: {error.hint}")
    publish(args, facts, rows, report(args, facts, evaluation.notes, rows))


if __name__ == "__main__":
    main()
