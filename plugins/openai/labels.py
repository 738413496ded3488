"""The names of artists and genres behind the ids that a prior was trained with.

The original checkpoints do not contain them: the original program has them in text files
(`v2_artist_ids.txt` and others), the port in JSON files beside the weights. There are two label
sets, 2 and 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jukebox_cli.api import InputError, read_text
from jukebox_cli.api.files import corruption_errors, read_json


@dataclass(frozen=True)
class Labels:
    """Ids by name. Id 0 stands for no artist or genre. Several names can have one id."""

    artists: Mapping[str, int] = field(default_factory=dict)
    genres: Mapping[str, int] = field(default_factory=dict)


def require_labels(folder: Path) -> None:
    """InputError if a folder has no lists of artists and genres."""
    if not folder.is_dir():
        raise InputError(f"no folder {folder}", "name the folder that the lists are in")
    if not any(find_labels([folder], label_set).artists for label_set in (2, 3)):
        hint = "it needs v2_artist_ids.txt and v2_genre_ids.txt, or those of v3, or vocab.json"
        raise InputError(f"{folder} has no lists of artists and genres", hint)


def find_labels(folders: Iterable[Path], label_set: int) -> Labels:
    """The lists of a label set (2 or 3) in the first of the folders that has them."""
    for folder in folders:
        lists = [folder / f"v{label_set}_{kind}_ids.txt" for kind in ("artist", "genre")]
        if all(path.is_file() for path in lists):
            return Labels(*map(_read_list, lists))
        if found := _read_port_labels(folder, label_set):
            return found
    return Labels()


def read_charset(folder: Path) -> str:
    """The characters of the port's tokenizer, from id 1 on; id 0 is any other character.

    Empty if the folder has no vocab.json or lyrics.json.
    """
    path = folder / ("vocab.json" if (folder / "vocab.json").is_file() else "lyrics.json")
    data = read_json(path) if path.is_file() else {}
    ids = data.get("lyrics", {}) if path.name == "vocab.json" else data
    with corruption_errors(path):
        by_id = {number: character for character, number in ids.items() if number != 0}
        charset = [by_id.get(number, "") for number in range(1, len(by_id) + 1)]
        if not all(len(character) == 1 for character in charset):
            raise ValueError(f"its characters do not have the ids 1 to {len(by_id)}")
    return "".join(charset)


def _read_list(path: Path) -> dict[str, int]:
    """Ids by name, from lines of `name;id`."""
    ids: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, _, label_id = line.strip().rpartition(";")
        if not line.strip():
            continue
        if not label_id.isdecimal():
            raise InputError(f"{path}:{number}: can't read '{line}'", "write lines of 'name;id'")
        ids[name] = int(label_id)
    return ids


def _read_port_labels(folder: Path, label_set: int) -> Labels | None:
    """Labels from vocab.json, or from artists.json and genres.json, of the port's tokenizer."""
    data: Mapping[str, Any] = {}
    if (folder / "vocab.json").is_file():
        data = read_json(folder / "vocab.json")
    elif (folder / "artists.json").is_file() and (folder / "genres.json").is_file():
        data = {kind: read_json(folder / f"{kind}.json") for kind in ("artists", "genres")}
    lists = [data.get(kind) for kind in ("artists", "genres")]
    if not all(isinstance(ids, dict) for ids in lists):
        return None
    with corruption_errors(folder):
        return Labels(*(_of_label_set(ids, label_set) for ids in lists if ids is not None))


def _of_label_set(ids: Mapping[str, Any], label_set: int) -> dict[str, int]:
    """Names of set 2 end in `.v2` in the port; a list without such names is of both sets."""
    own = {name: number for name, number in ids.items() if name.endswith(".v2") == (label_set == 2)}
    chosen = own if len(own) > 1 else ids
    return {name.removesuffix(".v2"): int(number) for name, number in chosen.items()}
