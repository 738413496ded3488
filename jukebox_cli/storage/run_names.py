"""The names of files in a run's folders.

Files with other names, such as copies that a cloud folder or an editor left there, are left alone.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from jukebox_cli.interfaces.errors import InputWarning

_ITEM = re.compile(r"item-(\d{2}|[1-9]\d{2,8})", re.ASCII)
_LEVEL = re.compile(r"level-(\d|[1-9]\d{1,2})", re.ASCII)

_SLICE = re.compile(r"item-\d+-segment-\d+-(slice|seam)-\d+", re.ASCII)

#: What this program itself leaves beside its files for a while; locks of killed processes stay.
_TEMPORARY = re.compile(r"\..+\.part|\.(item-\d+\.)?(lock|holder)")


def item_number(name: str) -> int | None:
    """The item of a file called `name` but for its suffix; None for any other name."""
    found = _ITEM.fullmatch(name)
    return int(found[1]) if found else None


def item_claim(item: int) -> str:
    """The name of the claim on an item."""
    return f".item-{item:02}"


def level_number(name: str) -> int | None:
    """The level of a folder; None for any other name."""
    found = _LEVEL.fullmatch(name)
    return int(found[1]) if found else None


def item_files(folder: Path, suffix: str) -> dict[int, Path]:
    """The files of items in a folder, by number and in order; none if there is no folder.

    Warns of files with other names, which are left alone.
    """
    found, strange = {}, []
    for path in _entries(folder):
        number = item_number(path.name.removesuffix(suffix)) if path.suffix == suffix else None
        if number is not None:
            found[number] = path
        elif not _TEMPORARY.fullmatch(path.name):
            strange.append(path.name)
    _warn_of_strange_names(folder, strange)
    return dict(sorted(found.items()))


def token_files(folder: Path) -> list[Path]:
    """The files of items, and of slices of them, in the folder of a level."""
    return [
        path
        for path in _entries(folder)
        if path.suffix == ".safetensors"
        and (item_number(path.stem) is not None or _SLICE.fullmatch(path.stem))
    ]


def level_folders(folder: Path) -> dict[int, Path]:
    """The folders of levels in a folder, by number and in order; none if there is no folder."""
    found = ((level_number(path.name), path) for path in _entries(folder))
    return dict(sorted((level, path) for level, path in found if level is not None))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _warn_of_strange_names(folder: Path, names: Iterable[str]) -> None:
    shown = sorted(names)
    if shown:
        more = f" and {len(shown) - 3:,} more" if len(shown) > 3 else ""
        names = ", ".join(shown[:3]) + more
        what = f"{folder} holds what is not the run's, and is left alone: {names}"
        warnings.warn(InputWarning(what), stacklevel=2)
