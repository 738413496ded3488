"""train vqvae: the autoencoders of a model, on audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.completion import complete_presets
from jukebox_cli.cli.option_groups import with_option_groups
from jukebox_cli.cli.options import MAX_NUMBER, AudioSources
from jukebox_cli.cli.train_decoder import (
    ADVERSARIAL_BETAS,
    ADVERSARIAL_LEARNING_RATE,
    ADVERSARIAL_MEL_WEIGHT,
    ADVERSARIAL_WEIGHT_DECAY,
    AdversarialOptions,
    note_first_figures,
    plan_decoders,
    recorded_options,
    start_decoder,
)
from jukebox_cli.cli.training import TrainingOptions, run_training, training_lock
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

if TYPE_CHECKING:
    import torch

    from jukebox_cli.audio.manifest import Recording
    from jukebox_cli.config.schema import DecoderSize, ModelConfig, VQVAEConfig
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.crops import Crops

DEFAULT_RECIPE = "mini-recipe"
WEIGHT_DECAY = 0.0
BETAS = (0.9, 0.99)
LEARNING_RATE = 1e-3
MEL_WEIGHT = 0.2


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
    learning_rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_NUMBER,
            help=f"Peak learning rate. Default: {LEARNING_RATE}, or {ADVERSARIAL_LEARNING_RATE} "
            "with --adversarial.",
        ),
    ] = None
    batch: Annotated[int, typer.Option(min=1, help="Crops per step.")] = 4
    crop: Annotated[
        float,
        typer.Option(min=0.1, max=3600, help="Length of a crop, in seconds."),
    ] = 1.5
    mel_weight: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=MAX_NUMBER,
            help=f"Weight of the log-mel loss. 0 is the paper's loss. Default: {MEL_WEIGHT}, or "
            f"{ADVERSARIAL_MEL_WEIGHT:g} with --adversarial.",
        ),
    ] = None


def add(group: typer.Typer, registry: Registry) -> None:
    """Adds the command to the group `train`."""
    group.command()(with_option_groups(registry)(vqvae))


def vqvae(
    ctx: typer.Context,
    *,
    sources: AudioSources,
    options: VQVAEOptions,
    adversarial: AdversarialOptions,
    training: TrainingOptions,
) -> None:
    """Train the autoencoders that turn audio into tokens, level by level.

    Rows of a manifest with held_out=true are used for evaluation only. With --adversarial, the
    decoders of trained autoencoders are trained on with discriminators: they sound better, and the
    tokens stay those they are.
    """
    from jukebox_cli.audio.manifest import load_recordings, unique_recordings, validate_audio
    from jukebox_cli.sampling.request import validate_seed

    recordings = unique_recordings(load_recordings(ctx.obj, sources))
    validate_audio(recordings)
    validate_seed(training.seed)
    model, config = _open_or_plan(options)
    levels = _levels(options, config.vqvae)

    sizes = plan_decoders(model, levels, adversarial)

    from jukebox_cli.model.devices import pick_device

    tasks = _Tasks(recordings, config.vqvae, options, training, pick_device(training.device.value))
    model.create_config(config)
    for level in levels:
        with training_lock(model, f"vqvae-{level}"):
            if level in sizes:
                tasks.train_decoder(model, level, sizes[level], adversarial)
            else:
                tasks.train(model, level)


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
    if model.exists and not _same_codec(model.config, recipe):
        message = f"{model.path} is a model with another codec than preset '{options.preset}'"
        raise InputError(message, "leave out --preset, or choose another folder with --model")
    return model, model.config if model.exists else recipe


def _same_codec(config: ModelConfig, other: ModelConfig) -> bool:
    """Whether two codecs have encoders and codebooks of the same shape."""
    return config.vqvae.without_decoders() == other.vqvae.without_decoders()


def _levels(options: VQVAEOptions, config: VQVAEConfig) -> Sequence[int]:
    """The levels to train. Raises InputError for one that the codec does not have."""
    top = config.num_levels - 1
    if missing := [level for level in options.level or () if not 0 <= level <= top]:
        raise InputError(f"there is no level {missing[0]}", f"the top level is {top}")
    return options.level or range(config.num_levels)


class _Tasks:
    """The training of a codec's levels, on the same crops."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        config: VQVAEConfig,
        options: VQVAEOptions,
        training: TrainingOptions,
        device: torch.device,
    ) -> None:
        self.config, self.options, self.training = config, options, training
        self.device, seed = device, training.seed
        songs = [r.audio for r in recordings if not r.held_out]
        held_out = [r.audio for r in recordings if r.held_out]
        self.crops = self._crops(songs, seed)
        self.held_out_crops = self._crops(held_out, seed + 1) if held_out else None

    def _crops(self, files: Sequence[Path], seed: int) -> Crops:
        """Crops of whole tokens of the top level."""
        from jukebox_cli.train.crops import Crops

        hop_length, rate = self.config.hop_lengths[-1], self.config.sample_rate
        length = -(-round(self.options.crop * rate) // hop_length) * hop_length
        return Crops.from_files(files, length, rate, seed)

    def train(self, model: Model, level: int) -> None:
        """Trains the autoencoder of a level."""
        from jukebox_cli.train.vqvae import VQVAETask

        options = self.options
        learning_rate = _or_default(options.learning_rate, LEARNING_RATE)
        mel_weight = _or_default(options.mel_weight, MEL_WEIGHT)
        settings = {"batch": options.batch, "crop": options.crop, "mel_weight": mel_weight}
        trainer = self.training.trainer_config(
            self.device, learning_rate, WEIGHT_DECAY, BETAS, **settings
        )
        task = VQVAETask(
            self.config,
            level,
            self.crops,
            self.held_out_crops,
            batch_size=options.batch,
            mel_weight=mel_weight,
            device=self.device,
        )
        run_training(task, model, trainer, self.training.quiet)

    def train_decoder(
        self, model: Model, level: int, size: DecoderSize, adversarial: AdversarialOptions
    ) -> None:
        """Trains the decoder of a level with discriminators."""
        from jukebox_cli.train.adversarial import AdversarialTask

        options, quiet = self.options, self.training.quiet
        settings = adversarial.settings(options.batch, options.mel_weight)
        trainer = self.training.trainer_config(
            self.device,
            _or_default(options.learning_rate, ADVERSARIAL_LEARNING_RATE),
            ADVERSARIAL_WEIGHT_DECAY,
            ADVERSARIAL_BETAS,
            **recorded_options(settings, size, options.crop),
        )
        start_decoder(model, level, size, adversarial, quiet)
        crops, is_new = (self.crops, self.held_out_crops), adversarial.new_decoder
        task = AdversarialTask(
            model, level, *crops, settings, size=size, is_new=is_new, device=self.device
        )
        note_first_figures(task, model, quiet)
        run_training(task, model, trainer, quiet)


def _or_default(value: float | None, default: float) -> float:
    return default if value is None else value
