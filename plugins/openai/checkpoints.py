"""The checkpoints of a model in one or more folders: original ones, or those of the port."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jukebox_cli.api import InputError

from . import transformers_port
from .vqvae_layout import vqvae_config
from .weight_files import ModelCheckpoints, load_original, part_errors


def read_checkpoints(folders: Sequence[Path]) -> ModelCheckpoints:
    """The checkpoints of one model. A file that several folders have is taken from the first.

    Reads settings and the places of tensors, not the tensors themselves.

    :raises InputError: if the folders do not hold exactly one complete model.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"no folder {folder}", "name the folder that the checkpoints are in")
    ported = [folder for folder in folders if (folder / "config.json").is_file()]
    if ported and len(folders) == 1:
        return transformers_port.read_checkpoints(ported[0])
    if ported:
        what = f"{ported[0]} is a complete model of the transformers port"
        raise InputError(what, "name that folder alone")
    if not any(any(folder.glob("*.pth.tar")) for folder in folders):
        hint = "it needs vqvae.pth.tar and prior_level_N.pth.tar, or config.json and weights"
        raise InputError(f"{folders[0]} holds no model that can be imported", hint)
    return _read_originals(folders)


def _read_originals(folders: Sequence[Path]) -> ModelCheckpoints:
    """vqvae.pth.tar, and a prior_level_N.pth.tar for every level or for none.

    The published models share a VQ-VAE and upsamplers, which are kept in the folder of one of them.
    """
    vqvae = load_original(_find_file(folders, "vqvae.pth.tar"))
    with part_errors("vqvae"):
        num_levels = vqvae_config(vqvae).num_levels
    names = [f"prior_level_{level}.pth.tar" for level in range(num_levels)]
    if not any((folder / name).is_file() for folder in folders for name in names):
        return ModelCheckpoints(vqvae, ())
    priors = tuple(load_original(_find_file(folders, name)) for name in names)
    return ModelCheckpoints(vqvae, priors)


def _find_file(folders: Sequence[Path], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    siblings = (path for folder in folders for path in sorted(folder.absolute().parent.iterdir()))
    found = next((str(path) for path in siblings if (path / name).is_file()), "another folder")
    hint = f"name {found} too, if it is of the same model"
    raise InputError(f"no file {folders[0] / name}", hint)
