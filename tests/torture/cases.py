"""The commands that are tortured, with what there is before each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jukebox_cli.registry import Registry
from support import originals
from support.run_files import write_chord
from support.singing_model import make_singing_model
from support.tiny_model import TINY, make_tiny
from torture.client import Server, Words

#: 400 samples: 25, 50 and 100 tokens.
SHORT = ("--seconds", 0.05)
TINY_MODEL = ("--model", "../models/tiny")
GENERATE = ("generate", *TINY_MODEL, *SHORT, "--items", 2, "--out", "run", "-q")
SING = (
    *(
        "generate",
        "--model",
        "../models/singer",
        "--lyrics",
        "we go far\nfar away",
        "--until",
        "top",
    ),
    *("--seconds", 0.2, "--items", 2, "--out", "run", "-q"),
)
TRAIN = ("--steps", 5, "--save-every", 2, "--batch", 1, "-q")
CORPUS = ("tokenize", "../sounds/songs.jsonl", *TINY_MODEL, "--out", "corpus", "-q")
RESUME = ("resume", "run", "-q")


@dataclass(frozen=True)
class Case:
    """A command.

    before: commands that are run undisturbed before it.
    copies: folders of the place that are copied beforehand, by where to.
    again: the command that finishes it after it was killed; by default the same.
    is_final: the command refuses to be repeated when it is complete.
    """

    name: str
    words: Words
    before: tuple[Words, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    again: Words | None = None
    is_final: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, server: Server, place: Path, folder: Path) -> None:
        """Makes the folder that the command finds."""
        folder.mkdir()
        for source, target in self.copies.items():
            shutil.copytree(place / source, folder / target)
        for words in self.before:
            ended = server.run(folder, words)
            assert ended.code == 0, f"{self.name}: {words}: {ended.err}"


CASES = (
    Case("generate", GENERATE),
    Case("generate, levels in threads", GENERATE, environment={"OMP_NUM_THREADS": "2"}),
    Case("generate --parallel", (*GENERATE[:-1], "--seconds", 0.4, "--parallel", 2, "-q")),
    Case("generate, then resume", GENERATE, again=RESUME),
    Case("continue RUN", ("continue", "run", *SHORT, "-q"), (GENERATE,)),
    Case("continue RUN, then resume", ("continue", "run", *SHORT, "-q"), (GENERATE,), again=RESUME),
    Case("continue --out", ("continue", "run", *SHORT, "--out", "more", "-q"), (GENERATE,)),
    Case(
        "continue --out, then resume",
        ("continue", "run", *SHORT, "--out", "more", "-q"),
        (GENERATE,),
        again=("resume", "more", "-q"),
    ),
    Case(
        "continue --audio",
        ("continue", "--audio", "../sounds/a.wav", "--prime", 0.05, *GENERATE[1:]),
    ),
    Case("upsample", ("upsample", "run", "-q"), ((*GENERATE, "--until", "top"),)),
    Case("decode", ("decode", "run", "--level", 1, "--format", "flac", "-q"), (GENERATE,)),
    Case("tokenize to a corpus", CORPUS),
    Case(
        "tokenize to a run",
        ("tokenize", "../sounds/a.wav", "../sounds/b.wav", *TINY_MODEL, "--out", "run", "-q"),
    ),
    Case(
        "train vqvae",
        (
            *("train", "vqvae", "../sounds/songs.jsonl", "--model", "models/new"),
            *("--preset", "../tiny.yaml", "--crop", 0.1, "--level", 1, *TRAIN),
        ),
    ),
    Case(
        "train vqvae --adversarial",
        (
            *("train", "vqvae", "../sounds/songs.jsonl", "--model", "model", "--level", 1),
            *("--adversarial", "--adversarial-start", 2, "--decoder-width", 12),
            *("--crop", 0.1, *TRAIN),
        ),
        copies={"models/tiny": "model"},
    ),
    Case(
        "train prior",
        ("train", "prior", "corpus", "--model", "model", "--level", 2, *TRAIN),
        (CORPUS,),
        {"models/untrained": "model"},
    ),
    Case(
        "train prior --from --add",
        (
            *("train", "prior", "corpus", "--from", "../models/tiny", "--add", "midi"),
            *("--set", "midi.width=16", "--set", "midi.depth=1"),
            *("--model", "model", "--level", 2, *TRAIN),
        ),
        (CORPUS,),
    ),
    Case("align", ("align", "run", "-q"), (SING,)),
    Case("report", ("report", "run", "-q"), (GENERATE,)),
    Case(
        "model import", ("model", "import", "../checkpoints", "--name", "mine", "-q"), is_final=True
    ),
)


def write_place(place: Path, registry: Registry) -> None:
    """Writes the models, sounds and checkpoints that the commands work with."""
    (place / "models").mkdir(parents=True)
    tiny = make_tiny(place / "models" / "tiny", registry)
    make_singing_model(place / "models" / "singer", registry, "cross_attention")
    shutil.copytree(tiny.path, place / "models" / "untrained")
    for path in (place / "models" / "untrained").glob("prior-*"):
        path.unlink()
    (place / "tiny.yaml").write_text(TINY)
    for number, name in enumerate("abc"):
        write_chord(place / "sounds" / f"{name}.wav", 0.3 + 0.1 * number)
    rows = ['{"audio": "a.wav", "genre": "rock"}', '{"audio": "b.wav", "genre": "jazz"}']
    rows.append('{"audio": "c.wav", "held_out": true}')
    (place / "sounds" / "songs.jsonl").write_text("\n".join(rows) + "\n")
    originals.write(place / "checkpoints")
