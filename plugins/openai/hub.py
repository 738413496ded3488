"""Models from the Hugging Face Hub: downloads that can be resumed, verified by their hashes.

Files stay in the hub library's own cache, which other programs share: HF_HOME moves it, `hf cache`
manages it.

Files are downloaded one by one, not with the library's `snapshot_download`: that does not verify
hashes, downloads weights before config.json can be checked, and if the Hub can't be reached returns
whatever part of a model the cache has.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox_cli.api import InputError
from jukebox_cli.api.files import atomic_write, disk_errors, new_folder
from jukebox_cli.api.models import Model

from .transformers_config import read_config

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_RESUME = "run the same command again: it continues the download"
_OTHER_DISK = "free some space, or set HF_HOME to a folder on another disk"
_NEEDED_FILES = "it needs weights with config.json (transformers port) or config.yaml (jukebox)"
_SMALL_SUFFIXES = (".json", ".yaml", ".txt", "card.md")


def download(repository: str, revision: str | None = None, quiet: bool = False) -> Path:
    """The folder of a model on the Hub, with all of its files, complete and verified.

    :raises InputError: if there is no such model, if the Hub can't be reached, or if a file that
        was downloaded is not the one on the Hub.
    """
    _require_hub_library()
    import huggingface_hub as hub

    with _hub_errors(repository, revision):
        info = hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
    files = model_files(info.siblings or [])
    if not files:
        raise InputError(f"{repository} holds no model that can be imported", _NEEDED_FILES)
    _require_space(repository, files, Path(hub.constants.HF_HUB_CACHE))
    folder = Path()
    with _progress_bars(quiet):
        for file in files:
            with _hub_errors(repository, revision):
                path = Path(hub.hf_hub_download(repository, file.rfilename, revision=info.sha))
            _verify(path, file, repository)
            folder = path.parent
            if path.name == "config.json":
                read_config(folder)  # before gigabytes of another kind of model are downloaded
    return folder


def model_files(files: Iterable[RepoSibling]) -> list[RepoSibling]:
    """The files of a model, small ones first, with weights in one format; none if there is no
    model."""
    top = [file for file in files if "/" not in file.rfilename]
    names = {file.rfilename for file in top}
    if not names & {"config.json", "config.yaml", "vqvae.pth.tar"}:
        return []
    has_safetensors = any(name.endswith(".safetensors") for name in names)
    suffixes = (".safetensors",) if has_safetensors else (".bin", ".pth.tar")
    small = [file for file in top if file.rfilename.endswith(_SMALL_SUFFIXES)]
    weights = [file for file in top if file.rfilename.endswith(suffixes)]
    return small + weights if weights else []


def copy_model(folder: Path, target: Path) -> Model:
    """Copy a model of this program, as a whole or not at all."""
    with new_folder(target) as new:
        for path in sorted(path for path in folder.iterdir() if path.is_file()):
            with atomic_write(new / path.name) as part:
                shutil.copyfile(path, part)
    return Model(target)


def _require_hub_library() -> None:
    if find_spec("huggingface_hub") is None:
        hint = "install it: pip install 'jukebox-cli[hub]'"
        raise InputError("pulling models needs huggingface_hub", hint)


@contextmanager
def _hub_errors(repository: str, revision: str | None) -> Iterator[None]:
    """Turn the hub library's errors that a person can fix into an InputError."""
    from huggingface_hub import constants, errors

    # the exceptions of the library's HTTP client, which differs from version to version
    connection_errors: tuple[type[Exception], ...] = (OSError, *errors.HfHubHTTPError.__bases__)
    try:
        with disk_errors(Path(constants.HF_HUB_CACHE)):
            yield
    except InputError as error:
        raise InputError(error.message, _OTHER_DISK) from None
    except errors.HFValidationError:
        hint = "write it as owner/name, such as openai/jukebox-1b-lyrics"
        raise InputError(f"'{repository}' is not a name on the Hub", hint) from None
    except errors.GatedRepoError:
        hint = f"accept its terms on {constants.ENDPOINT}/{repository}, then run `hf auth login`"
        raise InputError(f"{repository} is gated", hint) from None
    except errors.RevisionNotFoundError:
        hint = "name a branch, a tag or a full commit hash, or leave --revision out"
        raise InputError(f"{repository} has no revision '{revision}'", hint) from None
    except errors.RepositoryNotFoundError:
        hint = "check the name; a private one needs `hf auth login`"
        raise InputError(f"no model {repository} at {constants.ENDPOINT}", hint) from None
    except connection_errors as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"can't download {repository}: {reason}", _RESUME) from None


@contextmanager
def _progress_bars(quiet: bool) -> Iterator[None]:
    """The library's own bars and messages, or none if `quiet`."""
    from huggingface_hub import utils

    if not quiet:
        yield
        return
    had_bars, verbosity = not utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    utils.disable_progress_bars()
    utils.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        if had_bars:  # the environment can disable them, and then the library would warn
            utils.enable_progress_bars()
        utils.logging.set_verbosity(verbosity)


def _require_space(repository: str, files: Iterable[RepoSibling], cache: Path) -> None:
    """InputError if the cache's disk can't hold the files that are not in it yet."""
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    blobs = cache / f"models--{repository.replace('/', '--')}" / "blobs"
    missing = sum(file.size or 0 for file in files if not (blobs / _expected_hash(file)).exists())
    free = shutil.disk_usage(existing).free
    if missing > free:
        needed = f"{repository} needs {missing / 1e9:.1f} GB more"
        raise InputError(f"{needed}, and {cache} has {free / 1e9:.1f}", _OTHER_DISK)


def _expected_hash(file: RepoSibling) -> str:
    """The hash that the Hub states: SHA-256 of a large file, git's SHA-1 of a small one."""
    return str(file.lfs.sha256 if file.lfs else file.blob_id or "")


def _verify(path: Path, file: RepoSibling, repository: str) -> None:
    """InputError if a file is not the one on the Hub; it is removed, to be downloaded again."""
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(f"blob {file.size}\0".encode())
    with path.open("rb") as data:
        while block := data.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() == _expected_hash(file):
        return
    for each in {Path(os.path.realpath(path)), path}:
        each.unlink(missing_ok=True)
    begins = f"its hash begins with {digest.hexdigest()[:12]}, not {_expected_hash(file)[:12]}"
    what = f"{file.rfilename} of {repository} was damaged in the download: {begins}"
    raise InputError(what, "run the same command again to download it anew")
