"""lyrics: the words that are sung, letter by letter (paper, section 4.4)."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from jukebox_cli.config import read_text
from jukebox_cli.plugin import Conditioner, InputError, Shape, Song, Values, Window, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self

FILES = (".txt", ".lrc")


@dataclass(frozen=True)
class Lyrics(Conditioner):
    """The `letters` letters around the middle of a window, as if words were sung evenly.

    As `memory` an encoder reads them, and the prior's memory layers attend to it (the paper's
    encoder-decoder); as `prefix` they go before the music in one sequence, and its prefix layers
    attend to them (the single encoder-decoder). Either way the letters are learned to be
    predicted too, and count `share` of what a token counts.
    """

    name: ClassVar[str] = "lyrics"
    form: Literal["memory", "prefix"] = "memory"
    letters: int = 512
    share: float = 0.4
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
        lyrics: Annotated[str | None, "Words to sing, or a text file of them."] = None

    def read(self, given: Mapping[str, Any], folder: Path) -> Values:
        said = given.get("lyrics")
        if not isinstance(said, str):
            raise InputError(f"can't read lyrics {said!r}", "write them in quotes, or name a file")
        named = said.strip()
        if "\n" not in named and named.lower().endswith(FILES):
            said = read_text(folder / named)
        return {"lyrics": unicodedata.normalize("NFC", said).replace("\r\n", "\n").strip("\n")}

    def fit(self, songs: Sequence[Song]) -> Self:
        used = {letter for song in songs for letter in song.get("lyrics") or ""}
        return replace(self, alphabet="".join(sorted(used)))

    def encode(self, song: Song, window: Window, shape: Shape) -> dict[str, np.ndarray]:
        import numpy as np

        ids = self.spell(song.get("lyrics") or "")
        total = max(window.total, round((song.get("total") or 0) * shape.sample_rate))
        middle = int(len(ids) * (window.start + window.length / 2) / total)
        start, end = around(len(ids), self.letters, middle)
        row = np.zeros(self.letters, dtype=np.int64)
        row[self.letters - (end - start) :] = ids[start:end]
        return {"ids": row}

    def spell(self, text: str) -> list[int]:
        """The ids of a text. A letter that is not known is spelled in letters that are, as near
        as can be, and left out where there are none."""
        ids = {letter: number for number, letter in enumerate(self.alphabet, 1)}
        known = {letter: _nearest(letter, ids) for letter in set(text)}
        return [ids[part] for letter in text for part in known[letter]]

    def module(self, shape: Shape) -> nn.Module:
        return _prefix(self, shape) if self.form == "prefix" else _encoder(self, shape)


def _nearest(letter: str, known: Mapping[str, int]) -> str:
    """A letter in known ones: itself, without its accents, or in those of English."""
    if letter in known:
        return letter
    from anyascii import anyascii

    plain = unicodedata.normalize("NFKD", letter)
    picture = unicodedata.category(letter) == "So"  # it would be spelled `:smile:`
    line = "\n" if letter == "\\" else ""  # a backslash ends a line, as in Jukebox
    for spelling in (plain, line, "" if picture else anyascii(letter)):
        if kept := "".join(part for part in spelling if part in known):
            return kept
    return ""


def around(length: int, size: int, middle: int) -> tuple[int, int]:
    """The `size` of `length` letters around one of them: all of them if they are fewer."""
    if length < size:
        return 0, length
    half = size // 2
    middle = min(max(middle, half), length - half)
    return middle - half, middle + half


def _encoder(lyrics: Lyrics, shape: Shape) -> nn.Module:
    from math import log

    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    from jukebox_cli.conditioning import Conditioning
    from jukebox_cli.linear import Linear
    from jukebox_cli.transformer import Transformer

    known, width = 1 + len(lyrics.alphabet), lyrics.width

    class Encoder(nn.Module):
        """Reads from left to right, so that each place can foretell its letter."""

        def __init__(self) -> None:
            super().__init__()
            self.letters = nn.Embedding(known, width)
            nn.init.normal_(self.letters.weight, std=0.02)
            self.positions = nn.Parameter(torch.randn(lyrics.letters, width) * 0.01)
            self.start = nn.Parameter(torch.randn(width) * 0.02)
            self.transformer = Transformer(
                frames=lyrics.letters,
                blocks=lyrics.blocks,
                width=width,
                depth=lyrics.depth,
                heads=lyrics.heads,
                inner=int(lyrics.attention * width),
                hidden=int(lyrics.mlp * width),
                patterns=lyrics.patterns,
                scaled=lyrics.scale,
            )
            self.project = Linear(width, shape.width)
            self.norm = nn.LayerNorm(shape.width)
            self.out = nn.Parameter(torch.randn(known, shape.width) * 0.02)

        def forward(self, ids: Tensor) -> Conditioning:  # (B, S)
            first = self.start.expand(len(ids), 1, -1)
            x = torch.cat([first, self.letters(ids[:, :-1])], dim=1) + self.positions
            memory = self.norm(self.project(self.transformer(x)))  # (B, S, W)
            logits = F.linear(memory, self.out).flatten(0, 1)
            bits = F.cross_entropy(logits.float(), ids.flatten()) / log(2)
            per_token = ids.shape[1] / shape.frames
            return Conditioning(memory=memory, loss=lyrics.share * per_token * bits)

    return Encoder()


def _prefix(lyrics: Lyrics, shape: Shape) -> nn.Module:
    import torch
    from torch import Tensor, nn

    from jukebox_cli.conditioning import Conditioning, Prefix

    known, width = 1 + len(lyrics.alphabet), shape.width

    class Letters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.letters = nn.Embedding(known, width)
            nn.init.normal_(self.letters.weight, std=0.02)
            self.out = None if lyrics.tied else nn.Parameter(torch.randn(known, width) * 0.02)

        def forward(self, ids: Tensor) -> Conditioning:  # (B, P)
            table = self.letters.weight
            share = table.new_full((lyrics.letters,), lyrics.share)
            return Conditioning(prefix=Prefix(ids, table, share, self.out))

    return Letters()


@hookimpl
def jukebox_conditioners() -> list[type[Conditioner]]:
    return [Lyrics]
