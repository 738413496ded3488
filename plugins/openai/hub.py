"""Models from the Hugging Face hub: fetched so that a broken download goes on, checked by hash.

What is fetched stays in the hub library's own cache, which other programs share: HF_HOME moves it,
`hf cache` looks after it.

Files are downloaded one by one, not with the library's `snapshot_download`: that checks no hashes,
fetches weights before config.json can be looked at, and where the hub can't be reached it returns
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
from jukebox_cli.storage.files import atomic_write, disk_errors
from jukebox_cli.storage.model import Model

from . import transformers_port

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

_AGAIN = "run the same command again: it goes on from here"
_OTHER_DISK = "free some space, or set HF_HOME to a folder on another disk"
_SMALL = (".json", ".yaml", ".txt", "card.md")


def fetch(repository: str, revision: str | None = None, quiet: bool = False) -> Path:
    """The folder of a model on the hub, with all of its files in it, whole.

    InputError when there is no such model, when the hub can't be reached, or when what came is not
    what the hub has.
    """
    _need_library()
    import huggingface_hub as hub

    with _hub_errors(repository, revision):
        about = hub.HfApi().model_info(repository, revision=revision, files_metadata=True)
    files = wanted(about.siblings or [])
    if not files:
        raise InputError(f"{repository} holds no model that can be imported", _NEEDS)
    _need_space(repository, files, Path(hub.constants.HF_HUB_CACHE))
    folder = Path()
    with _progress(quiet):
        for file in files:
            with _hub_errors(repository, revision):
                there = Path(hub.hf_hub_download(repository, file.rfilename, revision=about.sha))
            _need_whole(there, file, repository)
            folder = there.parent
            if there.name == "config.json":
                transformers_port.read_config(folder)  # before gigabytes of another model come
    return folder


_NEEDS = "it needs weights with config.json (of the port) or config.yaml (of ours)"


def wanted(files: Iterable[RepoSibling]) -> list[RepoSibling]:
    """Those of a model, small ones first; weights in one format."""
    there = [file for file in files if "/" not in file.rfilename]
    names = {file.rfilename for file in there}
    if not names & {"config.json", "config.yaml", "vqvae.pth.tar"}:
        return []
    safe = any(name.endswith(".safetensors") for name in names)
    weights = (".safetensors",) if safe else (".bin", ".pth.tar")
    small = [file for file in there if file.rfilename.endswith(_SMALL)]
    large = [file for file in there if file.rfilename.endswith(weights)]
    return small + large if large else []


def copy_model(folder: Path, target: Path) -> Model:
    """A model of ours into a folder of its own, config.yaml last: until then it is no model."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in sorted(files, key=lambda path: path.name == "config.yaml"):
        with atomic_write(target / path.name) as part:
            shutil.copyfile(path, part)
    return Model(target)


def _need_library() -> None:
    if find_spec("huggingface_hub") is None:
        hint = "install it: pip install 'jukebox-cli[hub]'"
        raise InputError("pulling models needs huggingface_hub", hint)


@contextmanager
def _hub_errors(repository: str, revision: str | None) -> Iterator[None]:
    """Turns what a person can fix about the hub into an InputError."""
    from huggingface_hub import constants, errors

    # what the library's ways to the net raise, which differ from version to version
    lost: tuple[type[Exception], ...] = (OSError, *errors.HfHubHTTPError.__bases__)
    try:
        with disk_errors(Path(constants.HF_HUB_CACHE)):
            yield
    except InputError as error:
        raise InputError(error.message, _OTHER_DISK) from None
    except errors.HFValidationError:
        what = f"'{repository}' is no name of the hub"
        raise InputError(what, "write it as owner/name, such as openai/jukebox-1b-lyrics") from None
    except errors.GatedRepoError:
        hint = f"ask for it on {constants.ENDPOINT}/{repository}, then `hf auth login`"
        raise InputError(f"{repository} is given only to those who ask", hint) from None
    except errors.RevisionNotFoundError:
        hint = "name a branch, a tag or a whole commit, or leave --revision out"
        raise InputError(f"{repository} has no revision '{revision}'", hint) from None
    except errors.RepositoryNotFoundError:
        hint = "check the name; a private one needs `hf auth login`"
        raise InputError(f"no model {repository} at {constants.ENDPOINT}", hint) from None
    except lost as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"can't fetch {repository}: {reason}", _AGAIN) from None


@contextmanager
def _progress(quiet: bool) -> Iterator[None]:
    """The library's own bars and messages, or none."""
    from huggingface_hub import utils

    if not quiet:
        yield
        return
    bars, verbosity = not utils.are_progress_bars_disabled(), utils.logging.get_verbosity()
    utils.disable_progress_bars()
    utils.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        if bars:  # the environment can forbid them, and the library would complain
            utils.enable_progress_bars()
        utils.logging.set_verbosity(verbosity)


def _need_space(repository: str, files: Iterable[RepoSibling], cache: Path) -> None:
    """InputError when the cache's disk can't hold what is not there yet."""
    there = next(path for path in (cache, *cache.parents) if path.exists())
    blobs = cache / f"models--{repository.replace('/', '--')}" / "blobs"
    missing = sum(file.size or 0 for file in files if not (blobs / _hash(file)).exists())
    free = shutil.disk_usage(there).free
    if missing > free:
        what = f"{repository} takes {missing / 1e9:.1f} GB more, and {cache} has {free / 1e9:.1f}"
        raise InputError(what, _OTHER_DISK)


def _hash(file: RepoSibling) -> str:
    """What the hub says: SHA-256 of a large file, git's SHA-1 of a small one."""
    return str(file.lfs.sha256 if file.lfs else file.blob_id or "")


def _need_whole(path: Path, file: RepoSibling, repository: str) -> None:
    """InputError when a file is not what the hub says, and then it is fetched anew next time."""
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(f"blob {file.size}\0".encode())
    with path.open("rb") as data:
        while block := data.read(1 << 22):
            digest.update(block)
    if digest.hexdigest() == _hash(file):
        return
    for each in {Path(os.path.realpath(path)), path}:
        each.unlink(missing_ok=True)
    begins = f"its hash begins with {digest.hexdigest()[:12]}, not {_hash(file)[:12]}"
    what = f"{file.rfilename} of {repository} came damaged: {begins}"
    raise InputError(what, "run the same command again to fetch it anew")
