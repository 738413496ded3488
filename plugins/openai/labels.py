"""The names of artists and genres behind the ids that a prior was trained with.

They are not in the original checkpoints: its program has them in text files of its own, the port
in JSON files beside the weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukebox_cli.api import InputError, read_text
from jukebox_cli.storage.files import corruption_errors, read_json


@dataclass(frozen=True)
class Labels:
    """Ids by name; id 0 is what was not said. Several names can have one id."""

    artists: Mapping[str, int] = field(default_factory=dict)
    genres: Mapping[str, int] = field(default_factory=dict)


def need(folder: Path) -> None:
    """InputError for a folder that was named for its lists and has none."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "name the folder that the lists are in")
    if not any(find([folder], version).artists for version in (2, 3)):
        hint = "it needs v2_artist_ids.txt and v2_genre_ids.txt, or those of v3, or vocab.json"
        raise InputError(f"{folder} has no lists of artists and genres", hint)


def find(folders: Iterable[Path], version: int) -> Labels:
    """The lists of a label set (2 or 3) in the first of some folders that has them."""
    for folder in folders:
        lists = [folder / f"v{version}_{kind}_ids.txt" for kind in ("artist", "genre")]
        if all(path.is_file() for path in lists):
            return Labels(*map(_list, lists))
        if found := _json(folder, version):
            return found
    return Labels()


def alphabet(folder: Path) -> str:
    """The letters of the port's tokenizer, from id 1 on; id 0 is what is no letter. Empty where
    there is no vocab.json or lyrics.json."""
    path = folder / ("vocab.json" if (folder / "vocab.json").is_file() else "lyrics.json")
    found = read_json(path) if path.is_file() else {}
    ids = found.get("lyrics", {}) if path.name == "vocab.json" else found
    with corruption_errors(path):
        letters = {number: letter for letter, number in ids.items() if number != 0}
        spelled = [letters.get(number, "") for number in range(1, len(letters) + 1)]
        if not all(len(letter) == 1 for letter in spelled):
            raise ValueError(f"its letters do not have the ids 1 to {len(letters)}")
    return "".join(spelled)


def _list(path: Path) -> dict[str, int]:
    """Lines of `name;id`."""
    ids: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, _, identity = line.strip().rpartition(";")
        if not line.strip():
            continue
        if not identity.isdecimal():
            raise InputError(f"{path}:{number}: can't read '{line}'", "write lines of 'name;id'")
        ids[name] = int(identity)
    return ids


def _json(folder: Path, version: int) -> Labels | None:
    """vocab.json, or artists.json and genres.json, of the port's tokenizer."""
    parts = {}
    if (folder / "vocab.json").is_file():
        parts = read_json(folder / "vocab.json")
    elif (folder / "artists.json").is_file() and (folder / "genres.json").is_file():
        parts = {kind: read_json(folder / f"{kind}.json") for kind in ("artists", "genres")}
    kinds = [parts.get(kind) for kind in ("artists", "genres")]
    if not all(isinstance(kind, dict) for kind in kinds):
        return None
    with corruption_errors(folder):
        return Labels(*(_of_version(kind, version) for kind in kinds if kind is not None))


def _of_version(ids: Mapping[str, Any], version: int) -> dict[str, int]:
    """Names of label set 2 end in .v2 there; what has no such end is of both or of set 3."""
    mine = {name: number for name, number in ids.items() if name.endswith(".v2") == (version == 2)}
    chosen = mine if len(mine) > 1 else ids
    return {name.removesuffix(".v2"): int(number) for name, number in chosen.items()}
