"""The checkpoints of a model in a folder or several, whoever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jukebox_cli.api import InputError

from . import original, transformers_port
from .weight_files import Parts, about, load_original


def read_parts(folders: Sequence[Path]) -> Parts:
    """The checkpoints of one model. A file that is in several folders is taken from the first."""
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"no folder {folder}", "name the folder that the checkpoints are in")
    ported = [folder for folder in folders if (folder / "config.json").is_file()]
    if ported and len(folders) == 1:
        return transformers_port.parts(ported[0])
    if ported:
        raise InputError(f"{ported[0]} is of the port, which has it all", "name that folder alone")
    if not any(any(folder.glob("*.pth.tar")) for folder in folders):
        hint = "it needs vqvae.pth.tar and prior_level_N.pth.tar, or config.json and weights"
        raise InputError(f"{folders[0]} holds no model that can be imported", hint)
    return originals(folders)


def originals(folders: Sequence[Path]) -> Parts:
    """vqvae.pth.tar, and a prior_level_N.pth.tar for every level or for none.

    The published models share a VQ-VAE and what is below the top, which are kept in one of them.
    """
    vqvae = load_original(_file(folders, "vqvae.pth.tar"))
    with about("vqvae"):
        levels = original.vqvae_config(vqvae).num_levels
    names = [f"prior_level_{level}.pth.tar" for level in range(levels)]
    if not any((folder / name).is_file() for folder in folders for name in names):
        return Parts(vqvae, ())
    return Parts(vqvae, tuple(load_original(_file(folders, name)) for name in names))


def _file(folders: Sequence[Path], name: str) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    beside = (other for folder in folders for other in sorted(folder.absolute().parent.iterdir()))
    found = next((str(other) for other in beside if (other / name).is_file()), "another folder")
    raise InputError(
        f"no file {folders[0] / name}", f"name {found} too, if it is of the same model"
    )
