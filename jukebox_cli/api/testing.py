"""For tests of plugins: a command line with chosen plugins, and a tiny model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.config.schema import (
    ModelConfig,
    Options,
    PriorConfig,
    UpsamplerConditionerConfig,
    VQVAEConfig,
)
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model

__all__ = ["CommandResult", "run_command", "write_tiny_model"]


@dataclass(frozen=True)
class CommandResult:
    """What a command did.

    exit_code: 0 done, 1 failed, 2 an error that a person can fix.
    """

    exit_code: int
    stdout: str
    stderr: str


def run_command(registry: Registry, *words: object) -> CommandResult:
    """Run `jukebox WORDS...` in this process, with the plugins of a registry and no others.

    `Registry({"energy": jukebox_energy})` is a registry of one plugin.
    """
    result = CliRunner().invoke(build_app(registry), [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CommandResult(result.exit_code, result.stdout, result.stderr)


def write_tiny_model(
    folder: Path,
    registry: Registry,
    conditioners: Mapping[str, Options] | None = None,
    *,
    with_priors: bool = True,
) -> Model:
    """Write a model with random weights, the same each time: three levels with hop lengths 4, 8 and
    16 at 8 kHz, and windows of 64 tokens.

    :param conditioners: those of the top level, by name, with their fields.
    :param with_priors: whether there are priors to sample from. Without them the model is ready for
        `jukebox train prior`, which fits the conditioners.
    """
    import torch

    model, config = Model(folder), _tiny_config(dict(conditioners or {}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _write_codec(model, config)
        for level in range(3) if with_priors else ():
            _write_prior(model, config, level, registry)
    model.write_config(config)
    return model


def _tiny_config(conditioners: dict[str, Options]) -> ModelConfig:
    return ModelConfig(
        vqvae=VQVAEConfig(
            sample_rate=8000,
            strides=((4,), (2,), (2,)),
            codebook_size=64,
            embedding_dim=8,
            widths=(8, 8, 8),
            depths=(2, 2, 2),
        ),
        priors=tuple(_tiny_prior(conditioners if level == 2 else {}) for level in range(3)),
    )


def _tiny_prior(conditioners: dict[str, Any]) -> PriorConfig:
    return PriorConfig(
        context_length=64,
        width=32,
        depth=3,
        heads=2,
        rows=8,
        conditioners=conditioners,
        upsampler_conditioner=UpsamplerConditionerConfig(width=16, depth=1),
    )


def _write_codec(model: Model, config: ModelConfig) -> None:
    from jukebox_cli.model.vqvae import VQVAE
    from jukebox_cli.storage.tensors import save_tensors

    vqvae = VQVAE(config.vqvae)
    for level in range(config.vqvae.num_levels):
        autoencoder = vqvae.level(level)
        autoencoder.codebook.vectors.normal_()
        save_tensors(model.weights(f"vqvae-{level}"), autoencoder.state_dict())


def _write_prior(model: Model, config: ModelConfig, level: int, registry: Registry) -> None:
    import torch

    from jukebox_cli.model.loader import build_prior
    from jukebox_cli.storage.tensors import save_tensors

    fields = config.priors[level].conditioners
    parts = {name: registry.make_conditioner(name, each) for name, each in fields.items()}
    prior = build_prior(config, level, parts)
    with torch.no_grad():
        for parameter in prior.parameters():  # with weights of size 0.02 logits would hardly differ
            parameter.mul_(5.0)
    save_tensors(model.weights(f"prior-{level}"), prior.state_dict())
    model.write_fitted_conditioners(level, fields, registry.packages_of(fields))
