"""train vqvae --adversarial: the decoders of a model, with discriminators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from jukebox_cli.cli.console import print_note
from jukebox_cli.cli.options import MAX_NUMBER
from jukebox_cli.cli.training import figures_text
from jukebox_cli.config.bounds import MAX_DEPTH, MAX_WIDTH
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.errors import InputError

if TYPE_CHECKING:
    from jukebox_cli.config.schema import DecoderSize
    from jukebox_cli.storage.model import Model
    from jukebox_cli.train.adversarial import AdversarialSettings, AdversarialTask

#: Where training with discriminators differs from that of whole autoencoders.
ADVERSARIAL_LEARNING_RATE = 2e-4
ADVERSARIAL_MEL_WEIGHT = 1.0
ADVERSARIAL_WEIGHT_DECAY = 0.01
ADVERSARIAL_BETAS = (0.8, 0.99)


@dataclass(frozen=True)
class AdversarialOptions:
    """How decoders are trained with discriminators."""

    adversarial: Annotated[
        bool,
        typer.Option(
            "--adversarial",
            help="Train only the decoders of trained levels, with discriminators.",
        ),
    ] = False
    adversarial_start: Annotated[
        int,
        typer.Option(min=0, help="Steps before a decoder learns from discriminators."),
    ] = 1000
    adversarial_weight: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_NUMBER,
            help="Gradient of the discriminators' judgement, relative to that of the other losses.",
        ),
    ] = 0.5
    feature_weight: Annotated[
        float,
        typer.Option(
            min=0, max=MAX_NUMBER, help="The same, of differences in the discriminators' features."
        ),
    ] = 1.0
    spectral_weight: Annotated[
        float,
        typer.Option(
            min=0,
            max=MAX_NUMBER,
            help="Weight of the VQ-VAE's spectral and waveform losses, with --adversarial.",
        ),
    ] = 1.0
    decoder_width: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_WIDTH,
            help="Channels of a decoder. Default: as many as it has.",
            metavar="N",
        ),
    ] = None
    decoder_depth: Annotated[
        int | None,
        typer.Option(
            min=1, max=MAX_DEPTH, help="Residual blocks of a decoder at each rate.", metavar="N"
        ),
    ] = None
    new_decoder: Annotated[
        bool,
        typer.Option(
            "--new-decoder",
            help="Train a decoder from random weights in the place of the trained one.",
        ),
    ] = False

    def settings(self, batch: int, mel_weight: float | None) -> AdversarialSettings:
        """The settings of the task, for crops per step and a weight that may have been given."""
        from jukebox_cli.train.adversarial import AdversarialSettings

        return AdversarialSettings(
            start=self.adversarial_start,
            batch_size=batch,
            mel_weight=ADVERSARIAL_MEL_WEIGHT if mel_weight is None else mel_weight,
            spectral_weight=self.spectral_weight,
            adversarial_weight=self.adversarial_weight,
            feature_weight=self.feature_weight,
        )


def plan_decoders(
    model: Model, levels: Sequence[int], options: AdversarialOptions
) -> dict[int, DecoderSize]:
    """The size of each level's decoder with --adversarial; empty without.

    Raises InputError for levels without a trained autoencoder, for a trained decoder that would be
    lost, and for options that go with others.
    """
    if options.adversarial:
        for level in levels:
            model.require_weights(f"vqvae-{level}")
        return {level: _decoder_size(model, level, options) for level in levels}
    _require_adversarial(options)
    for level in levels:
        if model.checkpoint(f"decoder-{level}").exists():
            raise InputError(
                f"the decoder of level {level} of {model.path} was trained with --adversarial",
                "add --adversarial to train it on",
            )
    return {}


def _require_adversarial(options: AdversarialOptions) -> None:
    default = AdversarialOptions()
    for field in fields(options):
        if getattr(options, field.name) != getattr(default, field.name):
            raise InputError(f"{option_flag(field.name)} goes with --adversarial", "see --help")


def _decoder_size(model: Model, level: int, options: AdversarialOptions) -> DecoderSize:
    """The size of a level's decoder. Raises InputError if a trained one is larger and may not be
    replaced."""
    from jukebox_cli.config.schema import DecoderSize
    from jukebox_cli.model.decoder_growth import can_grow

    trained = _trained_size(model, level)
    size = DecoderSize(
        options.decoder_width or trained.width, options.decoder_depth or trained.depth
    )
    if not can_grow(trained, size) and not options.new_decoder:
        raise InputError(
            f"level {level} of {model.path} has a trained decoder of {_size_text(trained)}",
            f"--new-decoder trains one of {_size_text(size)} from random weights in its place",
        )
    return size


def _trained_size(model: Model, level: int) -> DecoderSize:
    """The size of the decoder in training, or else that of the model."""
    from jukebox_cli.config.schema import DecoderSize
    from jukebox_cli.train.checkpoint import trained_options

    options, size = trained_options(model, f"decoder-{level}"), model.config.vqvae.decoder_sizes
    return DecoderSize(
        int(options.get("decoder_width", size[level].width)),
        int(options.get("decoder_depth", size[level].depth)),
    )


def start_decoder(
    model: Model, level: int, size: DecoderSize, options: AdversarialOptions, quiet: bool
) -> None:
    """Says that a decoder of another size or a new one is trained, if one is, and removes the
    training of the one before."""
    component, trained = f"decoder-{level}", _trained_size(model, level)
    checkpoint = model.checkpoint(component)
    if size == trained and (checkpoint.exists() or not options.new_decoder):
        return
    before, after = _size_text(trained), _size_text(size)
    if options.new_decoder:
        text = f"a new decoder of {after} takes the place of one of {before}"
    else:
        text = f"the decoder grows from {before} to {after}; it computes the same at first"
    print_note(f"{component}: {text}", quiet)
    checkpoint.unlink(missing_ok=True)
    model.drop_log_rows(component, -1)


def note_first_figures(task: AdversarialTask, model: Model, quiet: bool) -> None:
    """Measures held-out songs before the first step, to compare with."""
    from jukebox_cli.train.trainer import evaluate

    if task.held_out_crops is not None and not model.checkpoint(task.component).exists():
        figures = figures_text(evaluate(task, model, 0))
        print_note(f"{task.component}: held out, before training: {figures}", quiet)


def recorded_options(
    settings: AdversarialSettings, size: DecoderSize, crop: float
) -> Mapping[str, float]:
    """What a training that is resumed should have the same, by option."""
    return {
        "batch": settings.batch_size,
        "crop": crop,
        "mel_weight": settings.mel_weight,
        "spectral_weight": settings.spectral_weight,
        "adversarial_weight": settings.adversarial_weight,
        "feature_weight": settings.feature_weight,
        "adversarial_start": settings.start,
        "decoder_width": size.width,
        "decoder_depth": size.depth,
    }


def _size_text(size: DecoderSize) -> str:
    return f"width {size.width} and depth {size.depth}"
