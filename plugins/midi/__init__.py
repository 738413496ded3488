"""midi: the notes to play, from a MIDI file.

The original has no such conditioner. Here the notes become a piano roll with one column per token,
and a small convolutional network turns it into a vector that is added at every token.

    standardize  MIDI files as they are found -> a form that one parser reads
    notes        a MIDI file <-> instruments and notes in seconds
    piano_roll   notes -> the piano roll of one window
    network      piano roll -> vectors
    conditioner  the plugin's class, which joins these
"""

from __future__ import annotations

from jukebox_cli.api import Conditioner, hookimpl

from .conditioner import Midi


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Midi]
