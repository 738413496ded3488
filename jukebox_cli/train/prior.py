"""Training the prior of one level on a corpus of tokens (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import prior_shape
from jukebox_cli.model.conditioning import arrays_to_device, to_device
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.prior_loss import PriorLoss
from jukebox_cli.model.surgery import Addition, add_conditioners, is_added_parameter
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus, CorpusSong
from jukebox_cli.storage.model import Model
from jukebox_cli.train.corpus_windows import Batch, CorpusWindows
from jukebox_cli.train.data import BatchSource
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
        self.module = build_prior(model.config, level, windows.conditioners).to(device)
        config = self.module.config
        for name, parameter in self.module.named_parameters():
            new = is_added_parameter(name, config.added_conditioners, config.added_layers)
            parameter.requires_grad_(new or not freeze)
        self.windows, self.held_out_windows = windows, held_out
        self.source: BatchSource = partial(windows.batch, size=batch)
        self.size, self.device = batch, device

    def loss(self, step: int, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss = self._loss(batch)
        return loss.total, {"bits": loss.bits.detach()}

    def held_out(self, batches: int = 8) -> Metrics:
        """Bits per token on songs held out."""
        if self.held_out_windows is None:
            return {}
        bits = [self._loss(self.held_out_windows.batch(n, self.size)).bits for n in range(batches)]
        return {"bits": float(torch.stack(bits).mean())}

    def export(self) -> dict[str, Tensor]:
        return {k: v.detach().half() for k, v in self.module.state_dict().items()}

    def _loss(self, batch: Batch) -> PriorLoss:
        above = None if batch.upper_tokens is None else to_device(batch.upper_tokens, self.device)
        conditions = self.module.condition(arrays_to_device(batch.arrays, self.device), above)
        return self.module.loss(to_device(batch.tokens, self.device), conditions)


def prepare_prior_task(
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
    config = _prior_config(model, level)
    entries = corpus.songs()
    _require_matching_corpus(model, corpus, entries)
    if freeze and not config.added_conditioners:
        what = f"nothing was added to level {level} of model '{model.name}', so nothing would learn"
        raise InputError(what, "leave out --freeze, or add a conditioner with --from and --add")
    learned = model.fitted_conditioners(level)
    if not learned:
        songs = [e.song for e in entries]
        fresh = {n: registry.make_conditioner(n, knobs) for n, knobs in config.conditioners.items()}
        learned = {name: asdict(part.fit(songs)) for name, part in fresh.items()}
        model.write_fitted_conditioners(level, learned)
    parts = {name: registry.make_conditioner(name, knobs) for name, knobs in learned.items()}
    shape = prior_shape(model.config, level)
    training = tuple(e for e in entries if not e.held_out)
    held_out = tuple(e for e in entries if e.held_out)

    def windows(chosen: tuple[CorpusSong, ...], number: int, varied: bool) -> CorpusWindows:
        return CorpusWindows(corpus, chosen, level, shape, parts, number, augment=varied)

    known = windows(training, seed, varied=True)
    examples = windows(held_out, seed + 1, varied=False) if held_out else None
    return PriorTask(model, level, known, examples, batch=batch, freeze=freeze, device=device)


def add_conditioners_from_corpus(
    old: Model,
    new: Model,
    level: int,
    addition: Addition,
    corpus: Corpus,
    registry: Registry,
    seed: int = 0,
) -> None:
    """Surgery: `new` becomes the model `old` with more conditioners, fitted to the corpus."""
    _prior_config(old, level)
    entries = corpus.songs()
    _require_matching_corpus(old, corpus, entries)
    add_conditioners(old, new, level, addition, [e.song for e in entries], registry, seed)


def _prior_config(model: Model, level: int) -> PriorConfig:
    priors = model.config.priors
    if not 0 <= level < len(priors):
        known = ", ".join(str(n) for n in range(len(priors))) or "none"
        raise InputError(f"model '{model.name}' has no level {level}", f"its levels are {known}")
    return priors[level]


def _require_matching_corpus(model: Model, corpus: Corpus, entries: Sequence[CorpusSong]) -> None:
    if corpus.config.fingerprint != model.fingerprint():
        raise InputError(
            f"{corpus.path} was tokenized with another model than '{model.name}'",
            "tokenize it anew with this one",
        )
    corpus.validate()
    if not any(not e.held_out for e in entries):
        raise InputError(f"{corpus.path} holds no songs to train on", "add some with `tokenize`")
