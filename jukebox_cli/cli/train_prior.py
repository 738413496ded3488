"""train prior: the transformer of a level, on a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.completion import complete_models
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.training import LearningRate, TrainingOptions, run_training, training_lock
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    import torch

    from jukebox_cli.config.schema import Options
    from jukebox_cli.storage.corpus import Corpus
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.prior import PriorTask

WEIGHT_DECAY = 0.05
BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class PriorOptions:
    """What to train, and the settings that only priors have."""

    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Corpus that `tokenize` wrote.")]
    model: Annotated[Path, typer.Option(help="Folder of the model.", metavar="FOLDER")]
    level: Annotated[int, typer.Option(min=0, help="Level to train; the last is the top.")]
    learning_rate: LearningRate = 6e-4
    batch: Annotated[int, typer.Option(min=1, help="Windows per step.")] = 8
    source_model: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Trained model to start from; --add names the new conditioners.",
            metavar="MODEL",
            autocompletion=complete_models,
        ),
    ] = None
    additions: Annotated[
        list[str] | None,
        typer.Option(
            "--add", help="Conditioner to add to the model of --from. Repeatable.", metavar="NAME"
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Setting of an added conditioner: lyrics.max_characters=128. Repeatable.",
            metavar="KEY=VALUE",
        ),
    ] = None
    cross_attention_layers: Annotated[
        int, typer.Option(min=1, help="Layers to insert for an added conditioner that needs them.")
    ] = 1
    freeze: Annotated[
        bool, typer.Option("--freeze", help="Train only what --add added to the model.")
    ] = False


def add(group: typer.Typer, registry: Registry) -> None:
    """Adds the command to the group `train`."""
    group.command()(with_option_groups(registry)(prior))


def prior(ctx: typer.Context, *, options: PriorOptions, training: TrainingOptions) -> None:
    """Train the transformer of one level on a corpus of tokens.

    With --from and --add, the new model is a trained one with more conditioners.
    """
    from jukebox_cli.sampling.request import validate_seed
    from jukebox_cli.storage.corpus import Corpus

    conditioners = _added_conditioners(ctx.obj, options)
    validate_seed(training.seed)
    corpus = Corpus(options.corpus)
    _ = corpus.config  # raises InputError if it is not a corpus
    model = _find_model(options)

    from jukebox_cli.model.devices import pick_device

    device = pick_device(training.device.value)
    if options.source_model is not None:
        _add_conditioners(ctx.obj, options, conditioners, model, corpus, training.seed)
    settings = {"batch": options.batch, "freeze": options.freeze}
    trainer = training.trainer_config(
        device, options.learning_rate, WEIGHT_DECAY, BETAS, **settings
    )
    with training_lock(model, f"prior-{options.level}"):
        task = _prepare_task(ctx.obj, options, model, corpus, training.seed, device)
        run_training(task, model, trainer, training.quiet)


def _prepare_task(
    registry: Registry,
    options: PriorOptions,
    model: Model,
    corpus: Corpus,
    seed: int,
    device: torch.device,
) -> PriorTask:
    from jukebox_cli.train.prior import prepare_prior_task

    return prepare_prior_task(
        model,
        options.level,
        corpus,
        registry,
        batch_size=options.batch,
        seed=seed,
        freeze=options.freeze,
        device=device,
    )


def _find_model(options: PriorOptions) -> Model:
    """The model to train; with --from it need not exist yet."""
    from jukebox_cli.storage.model import Model, find_model, require_trainable

    is_new = options.source_model is not None
    model = Model(options.model) if is_new else find_model(str(options.model))
    require_trainable(model)
    return model


def _add_conditioners(
    registry: Registry,
    options: PriorOptions,
    conditioners: Mapping[str, Options],
    model: Model,
    corpus: Corpus,
    seed: int,
) -> None:
    """Writes `model`: that of --from with more conditioners. An existing addition is kept."""
    from jukebox_cli.model.surgery import Addition
    from jukebox_cli.storage.model import find_model
    from jukebox_cli.train.prior import add_conditioners_from_corpus

    source = find_model(str(options.source_model))
    addition = Addition(conditioners, options.cross_attention_layers)
    add_conditioners_from_corpus(source, model, options.level, addition, corpus, registry, seed)


def _added_conditioners(registry: Registry, options: PriorOptions) -> dict[str, Options]:
    """The settings of the conditioners to add, by name. Raises InputError for invalid ones."""
    from jukebox_cli.config.suggest import unknown_name
    from jukebox_cli.config.yaml_files import apply_override

    names = options.additions or []
    if (options.source_model is None) != (not names) or (options.settings and not names):
        raise InputError("--from, --add and --set go together", "see --help")
    settings: dict[str, Any] = {name: {} for name in names}
    for setting in options.settings or []:
        apply_override(settings, setting)
    for name, values in settings.items():
        if name not in names:
            raise unknown_name("conditioner", name, names, " with --add")
        if not isinstance(values, dict):
            what = f"--set {name}={values} is not a setting of a conditioner"
            raise InputError(what, f"write it as {name}.NAME=VALUE")
        _validate_settings(registry, name, values)
    return settings


def _validate_settings(registry: Registry, name: str, values: Options) -> None:
    """Raises InputError for invalid settings of a conditioner; its hint says which --set it is."""
    try:
        registry.make_conditioner(name, values)
    except InputError as error:
        known = {field.name for field in fields(registry.conditioners.get(name, PriorOptions))}
        if not values or not known.issuperset(values):
            raise  # the hint is about the name
        options = " ".join(f"--set {name}.{key}={value}" for key, value in values.items())
        raise InputError(error.message, f"correct {options}") from None
