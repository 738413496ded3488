"""Training the prior of one level on a corpus of tokens (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from jukebox_cli.config.schema import PriorConfig
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.model.condition_inputs import fit_conditioner, load_conditioners, prior_shape
from jukebox_cli.model.conditioning import arrays_to_device, to_device
from jukebox_cli.model.loader import build_prior
from jukebox_cli.model.prior_loss import PriorLoss
from jukebox_cli.model.surgery import Addition, add_conditioners, is_added_parameter
from jukebox_cli.registry import Registry
from jukebox_cli.storage.corpus import Corpus
from jukebox_cli.storage.corpus_songs import CorpusSong
from jukebox_cli.storage.model import Model
from jukebox_cli.train.corpus_windows import Batch, CorpusWindows
from jukebox_cli.train.data import BatchSource
from jukebox_cli.train.task import Metrics, OneLossTask

#: Batches of held-out windows that an evaluation measures.
NUM_EVALUATION_BATCHES = 8


class PriorTask(OneLossTask):
    """A `Task` that trains the transformer of one level together with its conditioners.

    The loss is the cross-entropy of the tokens, in bits, plus the auxiliary losses of conditioners
    (paper, section 4). `freeze` trains only what surgery added to the prior.
    """

    def __init__(
        self,
        model: Model,
        level: int,
        windows: CorpusWindows,
        held_out_windows: CorpusWindows | None,
        *,
        batch_size: int = 8,
        freeze: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(windows.seed)
        self.component = f"prior-{level}"
        self.module = build_prior(model.config, level, windows.conditioners).to(device)
        config = self.module.config
        for name, parameter in self.module.named_parameters():
            added = is_added_parameter(name, config.added_conditioners, config.added_layers)
            parameter.requires_grad_(added or not freeze)
        self.windows, self.held_out_windows = windows, held_out_windows
        self.batch_source: BatchSource = partial(windows.batch, batch_size=batch_size)
        self.batch_size, self.device = batch_size, device

    def loss(self, step: int, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch of windows, and its cross-entropy in bits per token."""
        loss = self._loss(batch)
        return loss.total, {"bits_per_token": loss.bits.detach()}

    def evaluate(self) -> Metrics:
        """Bits per token on held-out songs; empty without any."""
        if self.held_out_windows is None:
            return {}
        bits = [
            self._loss(self.held_out_windows.batch(step, self.batch_size)).bits
            for step in range(NUM_EVALUATION_BATCHES)
        ]
        return {"bits_per_token": float(torch.stack(bits).mean())}

    def export(self) -> dict[str, Tensor]:
        """The weights in fp16."""
        return {k: v.detach().half() for k, v in self.module.state_dict().items()}

    def _loss(self, batch: Batch) -> PriorLoss:
        upper = None if batch.upper_tokens is None else to_device(batch.upper_tokens, self.device)
        arrays = arrays_to_device(batch.conditions, self.device)
        conditioning = self.module.condition(arrays, upper)
        return self.module.loss(to_device(batch.tokens, self.device), conditioning)


def prepare_prior_task(
    model: Model,
    level: int,
    corpus: Corpus,
    registry: Registry,
    *,
    batch_size: int = 8,
    seed: int = 0,
    freeze: bool = False,
    device: torch.device | str = "cpu",
) -> PriorTask:
    """The task that trains a level of a model on a corpus.

    The level's conditioners are fitted to the corpus and saved with the model, unless the model has
    fitted ones already: these stay as they are, since the weights depend on them. Raises InputError
    if the level, the corpus or `freeze` does not fit the model.
    """
    songs = corpus.songs()
    config = _prior_config(model, level)
    _require_matching_corpus(model, corpus, songs)
    if freeze and not config.added_conditioners:
        what = f"--freeze leaves nothing to train: level {level} of '{model.name}' has no additions"
        raise InputError(what, "leave out --freeze, or add a conditioner with --from and --add")
    conditioners = _fit_conditioners(model, level, songs, registry)

    shape = prior_shape(model.config, level)

    def windows(held_out: bool) -> CorpusWindows:
        chosen = tuple(song for song in songs if song.held_out == held_out)
        return CorpusWindows(
            corpus, chosen, level, shape, conditioners, seed + held_out, augment=not held_out
        )

    options: dict[str, Any] = {"batch_size": batch_size, "freeze": freeze, "device": device}
    held_out = windows(True)
    return PriorTask(model, level, windows(False), held_out if held_out.songs else None, **options)


def _fit_conditioners(
    model: Model, level: int, songs: Sequence[CorpusSong], registry: Registry
) -> dict[str, Conditioner]:
    """The fitted conditioners of a level; if there are none yet, they are fitted and saved."""
    fitted = model.fitted_conditioners(level)
    if not fitted:
        values = [song.song for song in songs]
        for name, options in model.config.priors[level].conditioners.items():
            conditioner = registry.make_conditioner(name, options)
            fitted[name] = asdict(fit_conditioner(conditioner, values))
        model.write_fitted_conditioners(level, fitted, registry.packages_of(fitted))
    return load_conditioners(model, level, registry)


def add_conditioners_from_corpus(
    old: Model,
    new: Model,
    level: int,
    addition: Addition,
    corpus: Corpus,
    registry: Registry,
    seed: int = 0,
) -> None:
    """Write `new`: the model `old` with conditioners added to a level, fitted to a corpus.

    Raises InputError if the level, the corpus or the addition does not fit `old`.
    """
    _prior_config(old, level)
    songs = corpus.songs()
    _require_matching_corpus(old, corpus, songs)
    add_conditioners(old, new, level, addition, [song.song for song in songs], registry, seed)


def _prior_config(model: Model, level: int) -> PriorConfig:
    priors = model.config.priors
    if not 0 <= level < len(priors):
        levels = ", ".join(str(n) for n in range(len(priors))) or "none"
        raise InputError(f"model '{model.name}' has no level {level}", f"its levels are {levels}")
    return priors[level]


def _require_matching_corpus(model: Model, corpus: Corpus, songs: Sequence[CorpusSong]) -> None:
    """InputError if a corpus is damaged, empty, or from another codec than the model's."""
    if corpus.config.fingerprint != model.fingerprint():
        raise InputError(
            f"{corpus.path} was tokenized with another model than '{model.name}'",
            "tokenize the songs again with this model, into a new corpus",
        )
    corpus.validate()
    if all(song.held_out for song in songs):
        raise InputError(
            f"{corpus.path} holds no songs to train on", "add some with `jukebox tokenize`"
        )
