"""train vqvae, train prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jukebox_cli.cli.console import print_note, progress
from jukebox_cli.cli.options import Device, DeviceFlag, Quiet
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    from jukebox_cli.config.schema import ModelConfig
    from jukebox_cli.sampling.job import Advance, StartProgress
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.task import Task
    from jukebox_cli.train.trainer import TrainingConfig, TrainingProgress

Steps = Annotated[int, typer.Option(min=1, help="Steps in all; a larger number goes on.")]
Rate = Annotated[float, typer.Option(min=0, help="Learning rate.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Examples per step.")]
Save = Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")]
TrainSeed = Annotated[int, typer.Option(min=0, help="Of the weights' start and the batches.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.", metavar="NAME")]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Processes that prepare examples; none on a CPU, up to 4 elsewhere.",
        metavar="N",
    ),
]


def add(app: typer.Typer, registry: Registry) -> None:
    """Puts the commands on the app."""
    train = typer.Typer(no_args_is_help=True, help="Train a codec or a prior on your own music.")
    app.add_typer(train, name="train")

    @train.command()
    def vqvae(
        sources: Annotated[
            list[Path], typer.Argument(metavar="AUDIO...", help="Files, folders, manifests.")
        ],
        model: Annotated[Path, typer.Option(help="Folder of the model, made if it is not there.")],
        preset: Annotated[str, typer.Option(help="The shape of a new model.")] = "mini-recipe",
        level: Annotated[
            list[int] | None, typer.Option(help="Only this level; may be given again.")
        ] = None,
        steps: Steps = 4000,
        rate: Rate = 1e-3,
        batch: BatchSize = 4,
        crop: Annotated[float, typer.Option(min=0.1, help="Seconds per example.")] = 1.5,
        mel: Annotated[
            float, typer.Option(min=0, help="Weight of the log-mel loss; 0 is the paper's.")
        ] = 0.2,
        save_every: Save = 250,
        seed: TrainSeed = 0,
        precision: Precision = "auto",
        device: DeviceFlag = Device.auto,
        workers: Workers = None,
        quiet: Quiet = False,
    ) -> None:
        """Train the autoencoders that turn audio into tokens, level by level.

        Rows of a manifest with held_out=true are not trained on, but measured.
        """
        from jukebox_cli.audio.manifest import load_recordings, validate_audio
        from jukebox_cli.sampling.request import validate_seed

        pieces = load_recordings(registry, sources)
        validate_audio(pieces)
        plan = _plan(steps, rate, save_every, precision, decay=0.0, second=0.99)
        validate_seed(seed)
        folder, shape = _new_model(model, preset)
        top = shape.vqvae.num_levels - 1
        if strange := [n for n in level or () if not 0 <= n <= top]:
            raise InputError(f"there is no level {strange[0]}", f"the top level is {top}")

        from jukebox_cli.model.devices import pick_device
        from jukebox_cli.train.crops import Crops
        from jukebox_cli.train.data import num_workers_for
        from jukebox_cli.train.vqvae import VQVAETask

        where = pick_device(device.value)
        plan = replace(plan, num_workers=num_workers_for(where, workers))
        config = shape.vqvae
        length = (
            -(-round(crop * config.sample_rate) // config.hop_lengths[-1]) * config.hop_lengths[-1]
        )
        held = [p.audio for p in pieces if p.held_out]
        known = [p.audio for p in pieces if not p.held_out]
        crops = Crops.from_files(known, length, config.sample_rate, seed)
        if not folder.exists:
            folder.write_config(shape)
        for number in level or range(config.num_levels):
            task = VQVAETask(
                config,
                number,
                crops,
                Crops.from_files(held, length, config.sample_rate, seed + 1) if held else None,
                batch_size=batch,
                mel_weight=mel,
                device=where,
            )
            _train(task, folder, plan, quiet)

    @train.command()
    def prior(
        corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="From `tokenize`.")],
        model: Annotated[Path, typer.Option(help="Folder of the model.")],
        level: Annotated[int, typer.Option(min=0, help="The level; the top is the last.")],
        steps: Steps = 4000,
        rate: Rate = 6e-4,
        batch: BatchSize = 8,
        save_every: Save = 250,
        seed: TrainSeed = 0,
        precision: Precision = "auto",
        device: DeviceFlag = Device.auto,
        workers: Workers = None,
        from_: Annotated[
            str | None,
            typer.Option("--from", help="A trained model, to which --add adds.", metavar="MODEL"),
        ] = None,
        add: Annotated[
            list[str] | None,
            typer.Option(help="A conditioner it does not have; may be given again."),
        ] = None,
        set_: Annotated[
            list[str] | None,
            typer.Option("--set", help="A setting of it: lyrics.letters=128", metavar="K=V"),
        ] = None,
        memory_layers: Annotated[
            int, typer.Option(min=1, help="New layers that look at what --add brings to look at.")
        ] = 1,
        freeze: Annotated[
            bool, typer.Option("--freeze", help="Train only what was added.")
        ] = False,
        quiet: Quiet = False,
    ) -> None:
        """Train the transformer of one level on a corpus of tokens.

        With --from and --add, --model is made from a trained model and learns one more conditioner.
        """
        from jukebox_cli.sampling.request import validate_seed
        from jukebox_cli.storage.corpus import Corpus
        from jukebox_cli.storage.model import Model, find_model

        if (from_ is None) != (not add) or (set_ and not add):
            raise InputError("--from, --add and --set go together", "see --help")
        plan = _plan(steps, rate, save_every, precision, decay=0.05, second=0.95)
        validate_seed(seed)
        source = Corpus(corpus)
        source.config  # noqa: B018 - says so now if it is not a corpus
        found = find_model(str(model)) if from_ is None else Model(model)
        knobs = _knobs(registry, add or [], set_ or [])

        from jukebox_cli.model.devices import pick_device
        from jukebox_cli.model.surgery import Addition
        from jukebox_cli.train.data import num_workers_for
        from jukebox_cli.train.prior import add_conditioners_from_corpus, prepare_prior_task

        where = pick_device(device.value)
        plan = replace(plan, num_workers=num_workers_for(where, workers))
        if from_ is not None:
            addition = Addition(knobs, memory_layers)
            add_conditioners_from_corpus(
                find_model(from_), found, level, addition, source, registry, seed
            )
        task = prepare_prior_task(
            found, level, source, registry, batch_size=batch, seed=seed, freeze=freeze, device=where
        )
        _train(task, found, plan, quiet)


def _knobs(
    registry: Registry, names: Sequence[str], settings: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The settings of conditioners that are to be added, by name; checked."""
    from jukebox_cli.config.suggest import unknown_name
    from jukebox_cli.config.yaml_files import apply_override

    knobs: dict[str, Any] = {name: {} for name in names}
    for setting in settings:
        apply_override(knobs, setting)
    for name, mine in knobs.items():
        if name not in names:
            raise unknown_name("conditioner", name, names, " with --add")
        if not isinstance(mine, dict):
            what = f"--set {name}={mine} sets no setting of a conditioner"
            raise InputError(what, f"write it as {name}.NAME=VALUE")
        registry.make_conditioner(name, mine)
    return knobs


def _new_model(path: Path, preset: str) -> tuple[Model, ModelConfig]:
    """The model of a folder and its shape; one that is not there will have that of a preset."""
    from jukebox_cli.config.presets import find_preset
    from jukebox_cli.config.schema import ModelConfig
    from jukebox_cli.config.yaml_files import load_config
    from jukebox_cli.storage.model import Model

    model = Model(path)
    return model, model.config if model.exists else load_config(ModelConfig, find_preset(preset))


def _plan(
    steps: int, rate: float, save_every: int, precision: str, *, decay: float, second: float
) -> TrainingConfig:
    from jukebox_cli.train.trainer import TrainingConfig

    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"no precision '{precision}'", "use auto, fp32 or bf16")
    return TrainingConfig(
        steps=steps,
        learning_rate=rate,
        save_every=save_every,
        precision=precision,
        weight_decay=decay,
        betas=(0.9, second),
    )


def _train(task: Task, model: Model, plan: TrainingConfig, quiet: bool) -> None:
    from jukebox_cli.train.allocator import keep_freed_memory
    from jukebox_cli.train.trainer import train

    keep_freed_memory()
    with progress(quiet, "steps") as bar:
        metrics = train(task, model, plan, _watch(task, bar, quiet))
    words = ", ".join(f"{k} {v:.3f}" for k, v in metrics.items())
    print_note(f"{task.component}: held out: {words or 'nothing was held out'}", quiet)
    print(model.weights(task.component))


def _watch(task: Task, bar: StartProgress, quiet: bool) -> Callable[[TrainingProgress], None]:
    seen: list[int] = []
    ticks: list[Advance] = []

    def watch(now: TrainingProgress) -> None:
        if not ticks:
            ticks.append(bar(task.component, now.first_step, now.steps))
            seen.append(now.first_step)
        ticks[0](now.step - seen[-1])
        seen.append(now.step)
        words = ", ".join(f"{k} {v:.3f}" for k, v in now.metrics.items())
        print_note(f"{task.component} step {now.step}: loss {now.loss:.4f}, {words}", quiet)

    return watch
