"""The networks that read the letters; a module of its own, since it imports torch."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.conditioning import Conditioning, Prefix
from jukebox_cli.linear import Linear
from jukebox_cli.plugin import Shape
from jukebox_cli.transformer import Transformer

if TYPE_CHECKING:
    from . import Lyrics


class Encoder(nn.Module):
    """Reads from left to right, so that each place can foretell its letter."""

    def __init__(self, lyrics: Lyrics, shape: Shape) -> None:
        super().__init__()
        known, width = 1 + len(lyrics.alphabet), lyrics.width
        self.share = lyrics.share
        self.per_token = lyrics.letters / shape.frames
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
            scale=1 / lyrics.depth if lyrics.scale else 1.0,
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
        return Conditioning(memory=memory, loss=self.share * self.per_token * bits)


class Letters(nn.Module):
    """Letters that go before the music, read by the prior itself."""

    def __init__(self, lyrics: Lyrics, shape: Shape) -> None:
        super().__init__()
        known, width = 1 + len(lyrics.alphabet), shape.width
        self.share = lyrics.share
        self.letters = nn.Embedding(known, width)
        nn.init.normal_(self.letters.weight, std=0.02)
        self.out = None if lyrics.tied else nn.Parameter(torch.randn(known, width) * 0.02)

    def forward(self, ids: Tensor) -> Conditioning:  # (B, P)
        table = self.letters.weight
        share = table.new_full((ids.shape[1],), self.share)
        return Conditioning(prefix=Prefix(ids, table, share, self.out))
