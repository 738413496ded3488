"""Training the prior of one level on a corpus of tokens (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import shape_of
from jukebox_cli.model.conditioning import tensor, tensors
from jukebox_cli.model.loader import new_prior
from jukebox_cli.model.prior import Loss
from jukebox_cli.model.surgery import Addition, is_new, operate
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, Entry
from jukebox_cli.storage.model import Model
from jukebox_cli.train.corpus_windows import Batch, CorpusWindows
from jukebox_cli.train.data import Source
from jukebox_cli.train.task import Metrics


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
