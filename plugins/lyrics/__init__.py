"""lyrics: the text to sing, one embedding per character, with the time of each where it is known.

Source: Dhariwal et al. 2020, "Lyrics Conditioning".

    text         text and LRC files -> characters, section names and times
    lrc          the way back, and alignments as LRC files
    timed_text   the lyrics of an item as a report shows them
    charset      characters -> ids, and the part of the text that one window sees
    conditioner  the plugin's class, which joins these
    network      the text encoder, and the prefix of a single encoder-decoder
    hmm          attention weights -> the onset of each character (forced alignment)
    alignment    a run -> attention weights -> lines and words with times
    command      `jukebox align`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jukebox_cli.api import Conditioner, hookimpl

from .conditioner import Lyrics

if TYPE_CHECKING:
    import typer


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Lyrics]


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    from .command import add_align

    add_align(app)
