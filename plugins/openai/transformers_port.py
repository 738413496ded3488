"""A model of the transformers port, as checkpoints of the original program.

The port numbers priors from the top level down, and levels of the VQ-VAE from the finest up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jukebox_cli.api.models import Options

from .labels import read_charset
from .transformers_config import read_settings
from .transformers_names import original_prior_name, original_vqvae_name
from .weight_files import Checkpoint, ModelCheckpoints, TensorLoaders, load_weights_folder


def read_checkpoints(folder: Path) -> ModelCheckpoints:
    """The checkpoints in a folder that `JukeboxModel.save_pretrained` wrote.

    :raises InputError: if the folder is not of a complete model that can be imported.
    """
    settings = read_settings(folder)
    charset = {"alphabet": read_charset(folder)}
    tensors = load_weights_folder(folder)
    priors = [
        _prior(tensors, number, hyperparameters | charset)
        for number, hyperparameters in enumerate(settings.priors)
    ]
    vqvae = _vqvae(tensors, settings.vqvae)
    return ModelCheckpoints(vqvae, tuple(reversed(priors)), settings.hop_fraction)


def _vqvae(tensors: TensorLoaders, hyperparameters: Options) -> Checkpoint:
    downs_t = hyperparameters["downs_t"]
    names = _names_with_prefix("vqvae.", tensors)
    named = {original_vqvae_name(name, downs_t): tensors[name] for name in names}
    return Checkpoint(named, hyperparameters)


def _prior(tensors: TensorLoaders, number: int, hyperparameters: Options) -> Checkpoint:
    prefix = f"priors.{number}."
    own = {name.removeprefix(prefix): tensors[name] for name in _names_with_prefix(prefix, tensors)}
    if not hyperparameters["merged_decoder"]:
        # tied embeddings: one tensor under two names, of which a file may lack one
        output = own.pop("prior.fc_proj_out.weight", None)
        if output:
            own.setdefault("prior.embed_tokens.weight", output)
    named = {original_prior_name(name): load for name, load in own.items()}
    return Checkpoint(named, hyperparameters)


def _names_with_prefix(prefix: str, tensors: TensorLoaders) -> Iterator[str]:
    return (name for name in tensors if name.startswith(prefix))
