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

from jukebox_cli.config.yaml_files import read_text
from jukebox_cli.interfaces.conditioner import Conditioner, Shape, Song, Values, Window
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.hooks import hookimpl

if TYPE_CHECKING:
    import numpy as np
    import typer
    from torch import nn
    from typing_extensions import Self

    from .spelling import Place, Spelled

FILES = (".txt", ".lrc")
#: Where a song's times are put, in training, of which only the guide is to know.
HEARD = "lyrics_heard"
#: How often a song is told its times in training, where they are known.
TOLD = 0.25

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
    form: Literal["memory", "prefix"] = "memory"
    letters: int = 512
    share: float = 0.4
    #: how much it counts in training, where a token counts 1, that the first head of a memory layer
    #: looks at the letters that are sung, where it is known when they are
    guide: float = 0.25
    #: the middle letter stands in the middle; if not, as in Jukebox, no place is left empty for
    #: letters before the first or after the last
    centred: bool = True
    #: whether attention is told where in the words a frame stands: by the times, and as if words
    #: were sung evenly
    hints: bool = True
    # of the encoder
    width: int = 256
    depth: int = 6
    heads: int = 4
    blocks: int = 32
    patterns: tuple[str, ...] = ("row", "column", "previous")
    attention: float = 0.25
    mlp: float = 1.0
    scale: bool = False
    # of the prefix: whether the letters' embeddings are their output layer
    tied: bool = True
    #: layer and head of the prior that follow the words best, where they are known
    align: tuple[int, int] | None = None
    alphabet: str = ""  # learned; letter i has id i + 1, and 0 is no letter

    @dataclass(frozen=True)
    class Input:
        lyrics: Annotated[
            str | None, "Words to sing, or a file of them; .lrc files say when, too."
        ] = None

    def __post_init__(self) -> None:
        if self.form == "memory" and self.letters % self.blocks:
            raise ValueError(
                f"letters ({self.letters}) must be a multiple of blocks ({self.blocks})"
            )
        if self.form == "memory" and int(self.attention * self.width) % self.heads:
            raise ValueError(f"attention * width must be a multiple of heads ({self.heads})")

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        from .words import words

        said = given.get("lyrics")
        if not isinstance(said, str):
            raise InputError(f"can't read lyrics {said!r}", "write them in quotes, or name a file")
        named = said.strip()
        if "\n" not in named and (named.lower().endswith(FILES) or _is_file(folder, named)):
            said = read_text(folder / named)
        values = words(said)
        if said.strip() and not values["lyrics"].strip():
            warnings.warn(
                InputWarning(f"lyrics: there is nothing to sing in {named}"), stacklevel=2
            )
        return values

    def fit(self, songs: Sequence[Song]) -> Self:
        used = {letter for song in songs for letter in song.get("lyrics") or ""}
        return replace(self, alphabet="".join(sorted(used)))

    def vary(self, song: Song, random: np.random.Generator) -> Song:
        """Mostly nobody says when words are sung, though the heads are still guided there: so they
        learn to hear it, which takes far longer than to follow times."""
        if not song.get("lyrics_times") or random.random() < TOLD:
            return song
        return {**song, "lyrics_times": [], HEARD: song["lyrics_times"]}

    def encode(self, song: Song, window: Window, shape: Shape) -> dict[str, np.ndarray]:
        import numpy as np

        from .spelling import is_sung

        spelled = self.spell(song)
        if lost := "".join(letter for letter in spelled.lost if is_sung(letter)):
            message = f"lyrics: left out {lost}, which the model has no letters for"
            warnings.warn(InputWarning(message), stacklevel=2)
        start, end, slot = self.place(song, spelled, window, shape)
        row = np.zeros(self.letters, dtype=np.int64)
        row[slot : slot + end - start] = spelled.ids[start:end]
        first = slot - start  # the slot of the text's first letter, were there one
        told = song.get("lyrics_times")
        return {
            "ids": row,
            "sung": first + self.sung(told, spelled, window, shape),
            "evenly": self.evenly(song, spelled, window, shape),
            "guide": first + self.sung(told or song.get(HEARD), spelled, window, shape),
        }

    def evenly(self, song: Song, spelled: Spelled, window: Window, shape: Shape) -> np.ndarray:
        """The slot of every frame if words were sung evenly around the middle of the window,
        float32 (frames,)."""
        import numpy as np

        samples = window.length * (np.arange(shape.frames) / shape.frames - 0.5)
        pace = len(spelled.ids) / self.total(song, window, shape)
        slots: np.ndarray = (self.letters // 2 + samples * pace).astype(np.float32)
        return slots

    def total(self, song: Song, window: Window, shape: Shape) -> int:
        """The length of the song in samples."""
        return max(window.total, round((song.get("total") or 0) * shape.sample_rate))

    def sung(
        self, times: Times | None, spelled: Spelled, window: Window, shape: Shape
    ) -> np.ndarray:
        """The letter that is sung at every frame, float32 (frames,); nan where nobody knows."""
        import numpy as np

        frames = np.arange(shape.frames, dtype=np.float32)
        if not times:
            return np.full_like(frames, np.nan)
        letters, seconds = zip(*times, strict=True)
        places = np.searchsorted(spelled.origins, letters)
        at = (window.start + frames * (window.length / shape.frames)) / shape.sample_rate
        known: np.ndarray = np.interp(at, seconds, places, np.nan, np.nan).astype(np.float32)
        return known

    def spell(self, song: Song) -> Spelled:
        """A song's words in the letters of this model."""
        from .spelling import spell

        return spell(song.get("lyrics") or "", self.alphabet)

    def place(self, song: Song, spelled: Spelled, window: Window, shape: Shape) -> Place:
        """Which letters a window is told, and where they stand in what it is told."""
        from .spelling import centred, letter_at, moved

        half = window.start + window.length / 2
        if times := song.get("lyrics_times"):
            middle = letter_at(half / shape.sample_rate, times, spelled.origins)
        else:
            middle = int(len(spelled.ids) * half / self.total(song, window, shape))
        choose = centred if self.centred else moved
        return choose(len(spelled.ids), self.letters, middle)

    def module(self, shape: Shape) -> nn.Module:
        from .network import Encoder, Letters

        return Letters(self, shape) if self.form == "prefix" else Encoder(self, shape)


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
