"""Built-in presets and those of files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jukebox_cli.config.suggest import did_you_mean, unknown_name
from jukebox_cli.interfaces.errors import InputError


def preset_names() -> list[str]:
    """The names of the built-in presets, sorted, without `.yaml`."""
    files = resources.files("jukebox_presets").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def find_preset(name: str) -> Path:
    """The file of a preset: the path `name`, or a built-in preset with or without `.yaml`.

    Raises InputError if there is neither.
    """
    if Path(name).is_file():
        return Path(name)
    known = preset_names()
    stem = name.removesuffix(".yaml")
    if stem in known:
        return Path(str(resources.files("jukebox_presets").joinpath(f"{stem}.yaml")))
    if name and Path(name).is_dir():
        raise InputError(f"{name} is a folder, not a preset", "name a file in it")
    if not {"/", "\\"} & set(name) and not name.endswith(".yaml"):
        raise unknown_name("preset", name, known)
    hint = did_you_mean(stem, known) or "check the path, or see `jukebox preset list`"
    raise InputError(f"no preset file {name}", hint)
