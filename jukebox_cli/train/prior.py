"""Training the prior of one level on a corpus of tokens (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jukebox_cli.conditioning import tensor, tensors
from jukebox_cli.config import PriorConfig
from jukebox_cli.folders import Corpus, Entry, Model
from jukebox_cli.loading import new_prior
from jukebox_cli.plugin import Conditioner, InputError, Shape, Song, Window
from jukebox_cli.prior import Loss
from jukebox_cli.registry import Registry
from jukebox_cli.steering import Arrays, encode_window, shape_of
from jukebox_cli.surgery import Addition, is_new, operate
from jukebox_cli.train.feeding import Source
from jukebox_cli.train.loop import Metrics

#: How often a conditioner is told nothing in training, and how often all of them.
UNTOLD = 0.1
ALL_UNTOLD = 0.05


class Batch(NamedTuple):
    """Windows of a level, as arrays or as tensors. Tokens past the end of a song are -1."""

    tokens: np.ndarray  # int64 (B, T)
    above: np.ndarray | None  # int64 (B, T / ratio)
    arrays: Arrays


@dataclass(frozen=True)
class CorpusWindows:
    """Random windows of a corpus: batch `step` is a pure function of `seed` and `step`.

    A tenth of them are the beginning of a song, since that is where every song that is made
    from nothing begins. Where songs are `varied`, each conditioner is told nothing in a share
    UNTOLD of them, so that a prior learns what to do when a person does not say, and else what
    its `vary` makes of the song; all are told nothing in a share ALL_UNTOLD, which guidance needs.
    """

    corpus: Corpus
    entries: tuple[Entry, ...]
    level: int
    shape: Shape
    parts: Mapping[str, Conditioner]
    seed: int = 0
    beginnings: float = 0.1
    varied: bool = False

    @cached_property
    def _share(self) -> np.ndarray:
        lengths = np.array([e.length for e in self.entries], dtype=float)
        return lengths / lengths.sum()

    def batch(self, step: int, size: int) -> Batch:
        random = np.random.default_rng((self.seed, self.level, step))
        picks = random.choice(len(self.entries), size, p=self._share)
        windows = [self._window(self.entries[i], random) for i in picks]
        rows = [
            self._arrays(self.entries[i], start, random)
            for i, (start, _, _) in zip(picks, windows, strict=True)
        ]
        above = [w[2] for w in windows if w[2] is not None]
        return Batch(
            np.stack([w[1] for w in windows]), np.stack(above) if above else None, _together(rows)
        )

    def _window(
        self, entry: Entry, random: np.random.Generator
    ) -> tuple[int, np.ndarray, np.ndarray | None]:
        """Where a window of a song starts, its tokens, and those of the level above."""
        frames, hops = self.shape.frames, self.corpus.config.hops
        top = self.level == len(hops) - 1
        ratio = 1 if top else hops[self.level + 1] // hops[self.level]
        total = entry.length * self.corpus.ratio(self.level)
        first = entry.start * self.corpus.ratio(self.level)
        places = max(0, total - frames) // ratio + 1
        start = 0 if random.random() < self.beginnings else int(random.integers(places)) * ratio
        end = min(start + frames, total)
        tokens = np.full(frames, -1, np.int64)
        tokens[: end - start] = self.corpus.level(self.level)[first + start : first + end]
        if top:
            return start, tokens, None
        codes = self.corpus.level(self.level + 1)[(first + start) // ratio : (first + end) // ratio]
        pad = (0, frames // ratio - len(codes))
        return start, tokens, np.pad(codes.astype(np.int64), pad, "edge")

    def _arrays(self, entry: Entry, start: int, random: np.random.Generator) -> Arrays:
        """What the conditioners make of a window of a song."""
        window = self._samples(entry, start)
        arrays: Arrays = {}
        known = {} if self.varied and random.random() < ALL_UNTOLD else entry.song
        for name, part in self.parts.items():
            song = self._told(part, known, random) if self.varied else known
            arrays |= encode_window({name: part}, [song], window, self.shape)
        return arrays

    def _told(self, part: Conditioner, song: Song, random: np.random.Generator) -> Song:
        return part.vary(song, random) if random.random() >= UNTOLD else {}

    def _samples(self, entry: Entry, start: int) -> Window:
        hop = self.shape.hop
        return Window(start * hop, self.shape.frames * hop, entry.samples)


def _together(rows: Sequence[Arrays]) -> Arrays:
    return {
        name: {key: np.concatenate([row[name][key] for row in rows]) for key in each}
        for name, each in rows[0].items()
    }


class PriorTask:
    """The transformer of one level with its conditioners."""

    def __init__(
        self,
        model: Model,
        level: int,
        windows: CorpusWindows,
        held_out: CorpusWindows | None,
        *,
        batch: int = 8,
        freeze: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(windows.seed)
        self.part = f"prior-{level}"
        self.module = new_prior(model.config, level, windows.parts).to(device)
        config = self.module.config
        for name, parameter in self.module.named_parameters():
            new = is_new(name, config.added, config.added_layers)
            parameter.requires_grad_(new or not freeze)
        self.windows, self.examples = windows, held_out
        self.source: Source = partial(windows.batch, size=batch)
        self.size, self.device = batch, device

    def loss(self, step: int, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss = self._loss(batch)
        return loss.total, {"bits": loss.bits.detach()}

    def held_out(self, batches: int = 8) -> Metrics:
        """Bits per token on songs held out."""
        if self.examples is None:
            return {}
        bits = [self._loss(self.examples.batch(n, self.size)).bits for n in range(batches)]
        return {"bits": float(torch.stack(bits).mean())}

    def export(self) -> dict[str, Tensor]:
        return {k: v.detach().half() for k, v in self.module.state_dict().items()}

    def _loss(self, batch: Batch) -> Loss:
        above = None if batch.above is None else tensor(batch.above, self.device)
        conditions = self.module.condition(tensors(batch.arrays, self.device), above)
        return self.module.loss(tensor(batch.tokens, self.device), conditions)


def prepare(
    model: Model,
    level: int,
    corpus: Corpus,
    registry: Registry,
    *,
    batch: int = 8,
    seed: int = 0,
    freeze: bool = False,
    device: torch.device | str = "cpu",
) -> PriorTask:
    """Fits the level's conditioners to the corpus, saves them with the model, sets up the task.

    Conditioners that the model has already learned are kept, so that training can go on. `freeze`
    trains only what was added to the prior.
    """
    config = _config_of(model, level)
    entries = corpus.entries()
    _refuse_strangers(model, corpus, entries)
    if freeze and not config.added:
        what = f"nothing was added to level {level} of model '{model.name}', so nothing would learn"
        raise InputError(what, "leave out --freeze, or add a conditioner with --from and --add")
    learned = model.learned(level)
    if not learned:
        songs = [e.song for e in entries]
        fresh = {n: registry.conditioner(n, knobs) for n, knobs in config.conditioners.items()}
        learned = {name: asdict(part.fit(songs)) for name, part in fresh.items()}
        model.write_learned(level, learned)
    parts = {name: registry.conditioner(name, knobs) for name, knobs in learned.items()}
    shape = shape_of(model.config, level)
    training = tuple(e for e in entries if not e.held_out)
    held_out = tuple(e for e in entries if e.held_out)

    def windows(chosen: tuple[Entry, ...], number: int, varied: bool) -> CorpusWindows:
        return CorpusWindows(corpus, chosen, level, shape, parts, number, varied=varied)

    known = windows(training, seed, varied=True)
    examples = windows(held_out, seed + 1, varied=False) if held_out else None
    return PriorTask(model, level, known, examples, batch=batch, freeze=freeze, device=device)


def add_to(
    old: Model,
    new: Model,
    level: int,
    addition: Addition,
    corpus: Corpus,
    registry: Registry,
    seed: int = 0,
) -> None:
    """Surgery: `new` becomes the model `old` with more conditioners, fitted to the corpus."""
    _config_of(old, level)
    entries = corpus.entries()
    _refuse_strangers(old, corpus, entries)
    operate(old, new, level, addition, [e.song for e in entries], registry, seed)


def _config_of(model: Model, level: int) -> PriorConfig:
    priors = model.config.priors
    if not 0 <= level < len(priors):
        known = ", ".join(str(n) for n in range(len(priors))) or "none"
        raise InputError(f"model '{model.name}' has no level {level}", f"its levels are {known}")
    return priors[level]


def _refuse_strangers(model: Model, corpus: Corpus, entries: Sequence[Entry]) -> None:
    if corpus.config.fingerprint != model.fingerprint():
        raise InputError(
            f"{corpus.path} was tokenized with another model than '{model.name}'",
            "tokenize it anew with this one",
        )
    corpus.check()
    if not any(not e.held_out for e in entries):
        raise InputError(f"{corpus.path} holds no songs to train on", "add some with `tokenize`")
