"""The networks that read the letters; a module of its own, since it imports torch."""

from __future__ import annotations

from math import log, pi
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jukebox_cli.interfaces.conditioner import Shape
from jukebox_cli.model.conditioning import Conditioning, Prefix
from jukebox_cli.model.linear import Linear
from jukebox_cli.model.transformer import Transformer

if TYPE_CHECKING:
    from . import Lyrics


#: Letters; how near to what is sung heads are guided to.
NEAR = 0.7

#: Letters that waves of hints are long.
WAVES = tuple(4.0 * 1.5**n for n in range(12))


class Encoder(nn.Module):
    """Reads from left to right, so that each place can foretell its letter."""

    def __init__(self, lyrics: Lyrics, shape: Shape) -> None:
        super().__init__()
        known, width = 1 + len(lyrics.alphabet), lyrics.width
        self.share, self.guide = lyrics.share, lyrics.guide
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
        self.hints = Hints(shape.width) if lyrics.hints else None

    def forward(self, ids: Tensor, sung: Tensor, evenly: Tensor, guide: Tensor) -> Conditioning:
        """ids (B, S), and slots of the letters for every frame (B, T): those that are sung as far
        as it is told, those if words were sung evenly, those where heads are guided to."""
        first = self.start.expand(len(ids), 1, -1)
        x = torch.cat([first, self.letters(ids[:, :-1])], dim=1) + self.positions
        memory: Tensor = self.norm(self.project(self.transformer(x)))  # (B, S, W)
        logits = F.linear(memory, self.out).flatten(0, 1)
        bits = F.cross_entropy(logits.float(), ids.flatten()) / log(2)
        shares = self.guide * near(guide, ids.shape[1]) if self.training and self.guide else None
        loss = self.share * self.per_token * bits
        places = None
        if self.hints is not None:
            memory = memory + self.hints.slots(ids.shape[1])
            places = self.hints(sung, evenly)
        return Conditioning(memory=memory, memory_places=places, memory_guide=shares, loss=loss)


class Hints(nn.Module):
    """What leads attention: slots of letters as waves that both sides of it know, the memory and
    what asks it. (B, T), (B, T) -> (B, T, W); nan where nobody knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sung = Linear(2 * len(WAVES), width, std=1.0)
        self.evenly = Linear(2 * len(WAVES), width, std=1.0)
        self.each = Linear(2 * len(WAVES), width, std=1.0)

    def slots(self, count: int) -> Tensor:
        """What the memory's slots have of their place: (count, W)."""
        numbers = torch.arange(count, device=self.each.weight.device)
        places: Tensor = self.each(waves(numbers))
        return places

    def forward(self, sung: Tensor, evenly: Tensor) -> Tensor:
        known = ~sung.isnan()
        told = self.sung(waves(sung.nan_to_num())) * known[..., None]
        places: Tensor = told + self.evenly(waves(evenly))
        return places


def waves(slots: Tensor) -> Tensor:
    """Sines and cosines (..., 2 K) of slots (...) (Vaswani et al. 2017, section 3.5)."""
    angles = slots[..., None] * torch.tensor(WAVES, device=slots.device).reciprocal() * 2 * pi
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def near(sung: Tensor, slots: int) -> Tensor:
    """Shares of slots around the one that is sung (B, T), a bell: (B, T, slots); 0 all over where
    nobody knows, or it isn't told (guided attention, Tachibana et al. 2018, section 4.1)."""
    away = (torch.arange(slots, device=sung.device) - sung[..., None]) / NEAR
    told = (sung >= 0) & (sung <= slots - 1)
    bell = (-0.5 * away**2).softmax(2)
    return torch.where(told[..., None], bell, 0.0)


class Letters(nn.Module):
    """Letters that go before the music, read by the prior itself."""

    def __init__(self, lyrics: Lyrics, shape: Shape) -> None:
        super().__init__()
        known, width = 1 + len(lyrics.alphabet), shape.width
        self.share = lyrics.share
        self.letters = nn.Embedding(known, width)
        nn.init.normal_(self.letters.weight, std=0.02)
        self.out = None if lyrics.tied else nn.Parameter(torch.randn(known, width) * 0.02)

    def forward(self, ids: Tensor, sung: Tensor, evenly: Tensor, guide: Tensor) -> Conditioning:
        """ids (B, P); a prefix is not guided."""
        table = self.letters.weight
        share = table.new_full((ids.shape[1],), self.share)
        return Conditioning(prefix=Prefix(ids, table, share, self.out))
