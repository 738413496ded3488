"""lyrics: the words that are sung, letter by letter (paper, section 4.4).

`words` reads a text, `spelling` turns it into the letters of a model, `network` reads these;
`alignment` finds out when they are sung, and `command` is `jukebox align`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from jukebox_cli.api import (
    Conditioner,
    InputError,
    InputWarning,
    PriorShape,
    Song,
    Values,
    Window,
    hookimpl,
    read_text,
)

if TYPE_CHECKING:
    import numpy as np
    import typer
    from torch import nn
    from typing_extensions import Self

    from .charset import EncodedText, TextWindow

FILES = (".txt", ".lrc")
#: Where a song's times are put, in training, of which only the guide is to know.
HIDDEN_TIMES = "lyrics_heard"
#: How often a song is told its times in training, where they are known.
TIMES_PROBABILITY = 0.25

Times = Sequence[tuple[int, float]]  # letters of the text, and the seconds at which they begin


@dataclass(frozen=True)
class Lyrics(Conditioner):
    """The `letters` letters around the middle of a window: around what is sung there, where the
    times of the words are known, and as if words were sung evenly where they are not.

    As `memory` an encoder reads them, and the prior's memory layers attend to it (the paper's
    encoder-decoder); as `prefix` they go before the music in one sequence, and its prefix layers
    attend to them (the single encoder-decoder). Either way the letters are learned to be
    predicted too, and count `share` of what a token counts.
    """

    name: ClassVar[str] = "lyrics"
    form: Literal["cross_attention", "prefix"] = "cross_attention"
    max_characters: int = 512
    prediction_loss_weight: float = 0.4
    #: how much it counts in training, where a token counts 1, that the first head of a memory layer
    #: looks at the letters that are sung, where it is known when they are
    attention_loss_weight: float = 0.25
    #: the middle letter stands in the middle; if not, as in Jukebox, no place is left empty for
    #: letters before the first or after the last
    center_window: bool = True
    #: whether attention is told where in the words a frame stands: by the times, and as if words
    #: were sung evenly
    alignment_encoding: bool = True
    # of the encoder
    width: int = 256
    depth: int = 6
    heads: int = 4
    rows: int = 32
    attention_patterns: tuple[str, ...] = ("row", "column", "previous")
    attention_ratio: float = 0.25
    mlp_ratio: float = 1.0
    residual_scale: bool = False
    # of the prefix: whether the letters' embeddings are their output layer
    tie_embeddings: bool = True
    #: layer and head of the prior that follow the words best, where they are known
    alignment_head: tuple[int, int] | None = None
    charset: str = ""  # learned; letter i has id i + 1, and 0 is no letter

    @dataclass(frozen=True)
    class Input:
        lyrics: Annotated[
            str | None, "Words to sing, or a file of them; .lrc files say when, too."
        ] = None

    def __post_init__(self) -> None:
        if self.form == "cross_attention" and self.max_characters % self.rows:
            raise ValueError(
                f"letters ({self.max_characters}) must be a multiple of blocks ({self.rows})"
            )
        if self.form == "cross_attention" and int(self.attention_ratio * self.width) % self.heads:
            raise ValueError(f"attention * width must be a multiple of heads ({self.heads})")

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        from .text import parse_lyrics

        said = given.get("lyrics")
        if not isinstance(said, str):
            raise InputError(f"can't read lyrics {said!r}", "write them in quotes, or name a file")
        named = said.strip()
        if "\n" not in named and (named.lower().endswith(FILES) or _is_file(folder, named)):
            said = read_text(folder / named)
        values = parse_lyrics(said)
        if said.strip() and not values["lyrics"].strip():
            warnings.warn(
                InputWarning(f"lyrics: there is nothing to sing in {named}"), stacklevel=2
            )
        return values

    def fit(self, songs: Sequence[Song]) -> Self:
        used = {letter for song in songs for letter in song.get("lyrics") or ""}
        return replace(self, charset="".join(sorted(used)))

    def vary(self, song: Song, random: np.random.Generator) -> Song:
        """Mostly nobody says when words are sung, though the heads are still guided there: so they
        learn to hear it, which takes far longer than to follow times."""
        if not song.get("lyrics_times") or random.random() < TIMES_PROBABILITY:
            return song
        return {**song, "lyrics_times": [], HIDDEN_TIMES: song["lyrics_times"]}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        import numpy as np

        from .charset import is_sung

        spelled = self.encode_text(song)
        if lost := "".join(letter for letter in spelled.dropped if is_sung(letter)):
            message = f"lyrics: left out {lost}, which the model has no letters for"
            warnings.warn(InputWarning(message), stacklevel=2)
        start, end, slot = self.text_window(song, spelled, window, shape)
        row = np.zeros(self.max_characters, dtype=np.int64)
        row[slot : slot + end - start] = spelled.ids[start:end]
        first = slot - start  # the slot of the text's first letter, were there one
        told = song.get("lyrics_times")
        return {
            "ids": row,
            "timed_positions": first + self.timed_positions(told, spelled, window, shape),
            "uniform_positions": self.uniform_positions(song, spelled, window, shape),
            "target_positions": first
            + self.timed_positions(told or song.get(HIDDEN_TIMES), spelled, window, shape),
        }

    def uniform_positions(
        self, song: Song, spelled: EncodedText, window: Window, shape: PriorShape
    ) -> np.ndarray:
        """The slot of every frame if words were sung evenly around the middle of the window,
        float32 (frames,)."""
        import numpy as np

        samples = window.length * (np.arange(shape.context_length) / shape.context_length - 0.5)
        pace = len(spelled.ids) / self.total_samples(song, window, shape)
        slots: np.ndarray = (self.max_characters // 2 + samples * pace).astype(np.float32)
        return slots

    def total_samples(self, song: Song, window: Window, shape: PriorShape) -> int:
        """The length of the song in samples."""
        return max(window.total, round((song.get("total") or 0) * shape.sample_rate))

    def timed_positions(
        self, times: Times | None, spelled: EncodedText, window: Window, shape: PriorShape
    ) -> np.ndarray:
        """The letter that is sung at every frame, float32 (frames,); nan where nobody knows."""
        import numpy as np

        frames = np.arange(shape.context_length, dtype=np.float32)
        if not times:
            return np.full_like(frames, np.nan)
        letters, seconds = zip(*times, strict=True)
        places = np.searchsorted(spelled.origins, letters)
        at = (window.start + frames * (window.length / shape.context_length)) / shape.sample_rate
        known: np.ndarray = np.interp(at, seconds, places, np.nan, np.nan).astype(np.float32)
        return known

    def encode_text(self, song: Song) -> EncodedText:
        """A song's words in the letters of this model."""
        from .charset import encode_text

        return encode_text(song.get("lyrics") or "", self.charset)

    def text_window(
        self, song: Song, spelled: EncodedText, window: Window, shape: PriorShape
    ) -> TextWindow:
        """Which letters a window is told, and where they stand in what it is told."""
        from .charset import centered_window, character_at, right_aligned_window

        half = window.start + window.length / 2
        if times := song.get("lyrics_times"):
            middle = character_at(half / shape.sample_rate, times, spelled.origins)
        else:
            middle = int(len(spelled.ids) * half / self.total_samples(song, window, shape))
        choose = centered_window if self.center_window else right_aligned_window
        return choose(len(spelled.ids), self.max_characters, middle)

    def module(self, shape: PriorShape) -> nn.Module:
        from .network import LyricsEncoder, LyricsPrefix

        return LyricsPrefix(self, shape) if self.form == "prefix" else LyricsEncoder(self, shape)


def _is_file(folder: Path, named: str) -> bool:
    """Whether what was said names a text file of any other kind: words have no suffix."""
    return (
        bool(Path(named).suffix[1:].isalnum()) and len(named) < 256 and (folder / named).is_file()
    )


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Lyrics]


@hookimpl
def jukebox_commands(app: typer.Typer) -> None:
    from .command import add

    add(app)
