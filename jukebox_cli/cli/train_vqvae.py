"""train vqvae: the autoencoders of a model, on audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.completion import complete_presets
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import MAX_NUMBER, AudioSources, choose_levels
from jukebox_cli.cli.training import LearningRate, TrainingOptions, run_training, training_lock
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    import torch

    from jukebox_cli.audio.manifest import Recording
    from jukebox_cli.config.schema import ModelConfig, VQVAEConfig
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.crops import Crops
    from jukebox_cli.train.vqvae import VQVAETask

DEFAULT_RECIPE = "mini-recipe"
WEIGHT_DECAY = 0.0
BETA2 = 0.99


@dataclass(frozen=True)
class VQVAEOptions:
    """What to train, and the settings that only codecs have."""

    model: Annotated[
        Path, typer.Option(help="Folder of the model; created if missing.", metavar="FOLDER")
    ]
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Training recipe: the shape of a new model. Default: {DEFAULT_RECIPE}.",
            metavar="NAME",
            autocompletion=complete_presets,
        ),
    ] = None
    level: Annotated[list[int] | None, typer.Option(help="Train only this level. Repeatable.")] = (
        None
    )
    learning_rate: LearningRate = 1e-3
    batch: Annotated[int, typer.Option(min=1, help="Crops per step.")] = 4
    crop: Annotated[
        float,
        typer.Option(min=0.1, max=3600, help="Length of a crop, in seconds."),
    ] = 1.5
    mel_weight: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_NUMBER,
            help="Weight of the log-mel loss. 0 is the paper's loss.",
        ),
    ] = 0.2


def add(group: typer.Typer, registry: Registry) -> None:
    """Adds the command to the group `train`."""
    group.command()(with_option_groups(registry)(vqvae))


def vqvae(
    ctx: typer.Context,
    *,
    sources: AudioSources,
    options: VQVAEOptions,
    training: TrainingOptions,
) -> None:
    """Train the autoencoders that turn audio into tokens, level by level.

    Rows of a manifest with held_out=true are used for evaluation only.
    """
    from jukebox_cli.audio.manifest import load_recordings, unique_recordings, validate_audio
    from jukebox_cli.sampling.request import validate_seed

    recordings = unique_recordings(load_recordings(ctx.obj, sources))
    validate_audio(recordings)
    validate_seed(training.seed)
    model, config = _open_or_plan(options)
    levels = choose_levels(options.level, config.vqvae.num_levels)

    from jukebox_cli.model.devices import pick_device

    device = pick_device(training.device.value)
    tasks = _Tasks(recordings, config.vqvae, options, training.seed, device)
    settings = {n: getattr(options, n) for n in ("batch", "crop", "mel_weight")}
    trainer = training.trainer_config(
        device, options.learning_rate, WEIGHT_DECAY, BETA2, **settings
    )
    model.create_config(config)
    for level in levels:
        with training_lock(model, f"vqvae-{level}"):
            run_training(tasks.task(level), model, trainer, training.quiet)


def _open_or_plan(options: VQVAEOptions) -> tuple[Model, ModelConfig]:
    """The model and its config. A model that does not exist yet gets that of the recipe.

    Raises InputError for the recipe of another codec than the model has.
    """
    from jukebox_cli.config.presets import find_preset
    from jukebox_cli.config.schema import ModelConfig
    from jukebox_cli.config.yaml_files import load_config
    from jukebox_cli.storage.model import Model, require_trainable

    model = Model(options.model)
    require_trainable(model)
    if model.exists and options.preset is None:
        return model, model.config
    recipe = load_config(ModelConfig, find_preset(options.preset or DEFAULT_RECIPE))
    if model.exists and model.config.vqvae != recipe.vqvae:
        message = f"{model.path} is a model with another codec than preset '{options.preset}'"
        raise InputError(message, "leave out --preset, or choose another folder with --model")
    return model, model.config if model.exists else recipe


class _Tasks:
    """The training tasks of a codec's levels, on the same crops."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        config: VQVAEConfig,
        options: VQVAEOptions,
        seed: int,
        device: torch.device,
    ) -> None:
        self.config, self.options, self.device = config, options, device
        training = [r.audio for r in recordings if not r.held_out]
        held_out = [r.audio for r in recordings if r.held_out]
        self.crops = self._crops(training, seed)
        self.held_out_crops = self._crops(held_out, seed + 1) if held_out else None

    def _crops(self, files: Sequence[Path], seed: int) -> Crops:
        """Crops of whole tokens of the top level."""
        from jukebox_cli.train.crops import Crops

        hop_length, rate = self.config.hop_lengths[-1], self.config.sample_rate
        length = -(-round(self.options.crop * rate) // hop_length) * hop_length
        return Crops.from_files(files, length, rate, seed)

    def task(self, level: int) -> VQVAETask:
        """The task of a level, with new weights."""
        from jukebox_cli.train.vqvae import VQVAETask

        return VQVAETask(
            self.config,
            level,
            self.crops,
            self.held_out_crops,
            batch_size=self.options.batch,
            mel_weight=self.options.mel_weight,
            device=self.device,
        )
