"""The midi conditioner: a MIDI file -> notes -> the piano roll of a window."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from jukebox_cli.api import (
    CommandOptions,
    Conditioner,
    InputError,
    InputWarning,
    PriorShape,
    Song,
    Values,
    Window,
    command_option,
    first_equivalent,
    unavailable_option,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from .notes import Instrument

#: The MIDI file that `to_options` writes.
FILE_NAME = "song.mid"


@dataclass(frozen=True)
class Midi(Conditioner):
    """Onsets and sounding notes of pitched instruments and the onsets of drums, at every token.

    Voices have rows of their own in the piano roll, so that a prior can tell the sung melody from
    the accompaniment.
    """

    name: ClassVar[str] = "midi"
    #: MIDI pitches of the piano roll; notes outside are moved by octaves into this range.
    min_pitch: int = 21
    max_pitch: int = 108
    #: General MIDI programs, from 0, that are voices: choirs, voices and the voice lead.
    voice_programs: tuple[int, ...] = (52, 53, 54, 85)
    #: Seconds in which an onset decays to 1/e of its velocity.
    onset_decay: float = 0.08
    # of the network
    width: int = 96  # channels
    depth: int = 3  # residual blocks
    dilation_growth_rate: int = 3  # dilation of each block relative to the one before

    @dataclass(frozen=True)
    class Input:
        midi: Annotated[str | None, "MIDI file with the notes to play."] = None
        midi_program: Annotated[
            str | None,
            "Play only these instruments of it: programs 0-127, families such as piano, or drums.",
        ] = None
        midi_transpose: Annotated[int | None, "Transpose its notes by this many semitones."] = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_pitch <= self.max_pitch - 11 <= 116:
            raise ValueError("min_pitch to max_pitch must be an octave or more, within 0 to 127")

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        """`midi`: the instruments and notes, as `notes.load_instruments` gives them."""
        from .notes import load_instruments, parse_programs, parse_semitones

        programs = parse_programs(inputs.get("midi_program"))
        semitones = parse_semitones(inputs.get("midi_transpose"))
        if inputs.get("midi") is None:
            flag = next(key for key in inputs if key != "midi").replace("_", "-")
            raise InputError(f"--{flag} needs a MIDI file", "name one with --midi")
        return {"midi": load_instruments(inputs["midi"], folder, programs, semitones)}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`roll`, float32 (rows, T): see `piano_roll`."""
        from .piano_roll import piano_roll

        instruments = song.get("midi")
        _warn_if_late(instruments, window.total / shape.sample_rate)
        return {"roll": piano_roll(self, instruments, window, shape)}

    def module(self, shape: PriorShape) -> nn.Module:
        from .network import PianoRollEncoder
        from .piano_roll import num_rows

        return PianoRollEncoder(
            num_rows(self), self.width, self.depth, self.dilation_growth_rate, shape.width
        )

    def describe(self, song: Song) -> dict[str, str]:
        """`5 notes for electric bass (finger), drums; 12.2 s`."""
        from .notes import are_instruments, summarize_instruments

        instruments = song.get("midi")
        if not instruments or not are_instruments(instruments):
            return super().describe(song)
        return {"midi": summarize_instruments(instruments)}

    def to_options(self, song: Song) -> CommandOptions:
        """`--midi song.mid`, with a file of the stored notes."""
        from .notes import write_midi

        if "midi" not in song:
            return CommandOptions()
        try:
            files = ((FILE_NAME, write_midi(song["midi"])),)
        except (KeyError, TypeError, ValueError):  # not MIDI: a pitch of 200, for instance
            return unavailable_option("midi", FILE_NAME)
        options = CommandOptions((command_option("midi", FILE_NAME),), files)
        return first_equivalent(self, song, [options]) or unavailable_option("midi", FILE_NAME)


def _warn_if_late(instruments: Sequence[Instrument] | None, seconds: float) -> None:
    """Warns if the first note comes after the end of a song of so many seconds."""
    starts = [note[0] for part in instruments or () for note in part["notes"]]
    if starts and (first := min(starts)) >= seconds:
        what = f"the first note is at {first:.1f} s, and the song ends at {seconds:.1f} s"
        warnings.warn(InputWarning(f"midi: {what}"), stacklevel=3)
