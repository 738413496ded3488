"""midi: the notes that are played, from a MIDI file.

Jukebox had no such thing; here the notes become a piano roll with a column for every token, and a
small network makes of it what joins a prior's input at every position. `reading` turns a file into
notes, `roll` notes into columns, `network` columns into vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import Conditioner, InputError, PriorShape, Song, Values, Window, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import nn


@dataclass(frozen=True)
class Midi(Conditioner):
    """What sounds at every token: notes that begin, notes that last, drums that are struck.

    Pitches outside `lowest` .. `highest` are moved by octaves until they are inside. Instruments
    of the programs `voices` have rows of their own, so that a prior can tell who sings.
    """

    name: ClassVar[str] = "midi"
    min_pitch: int = 21
    max_pitch: int = 108
    voice_programs: tuple[int, ...] = (52, 53, 54, 85)  # General MIDI's choirs and voices, from 0
    onset_decay: float = 0.08  # seconds in which the mark of a note's beginning falls to 1/e
    # of the network
    width: int = 96
    depth: int = 3
    dilation_growth_rate: int = 3

    @dataclass(frozen=True)
    class Input:
        midi: Annotated[str | None, "MIDI file of the notes to play."] = None
        midi_program: Annotated[
            str | None,
            "Only these of its instruments: programs 0-127, families such as piano, or drums.",
        ] = None
        midi_transpose: Annotated[int | None, "Semitones to move its notes by."] = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_pitch <= self.max_pitch - 11 <= 116:
            raise ValueError("lowest .. highest must be an octave or more, from 0 to 127")

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        from .notes import load_instruments, parse_programs, parse_semitones

        programs = parse_programs(given.get("midi_program"))
        by = parse_semitones(given.get("midi_transpose"))
        if given.get("midi") is None:
            flag = next(key for key in given if key != "midi").replace("_", "-")
            raise InputError(f"--{flag} needs a MIDI file", "name one with --midi")
        return {"midi": load_instruments(given["midi"], folder, programs, by)}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        from .piano_roll import piano_roll

        return piano_roll(self, song.get("midi"), window, shape)

    def module(self, shape: PriorShape) -> nn.Module:
        from .network import PianoRollEncoder
        from .piano_roll import num_rows

        return PianoRollEncoder(
            num_rows(self), self.width, self.depth, self.dilation_growth_rate, shape.width
        )


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Midi]
