"""What presets and models say, as frozen dataclasses, and how YAML is read into them.

A mistake in a file is reported with the file, the line and the key.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.interfaces.errors import InputError


def preset_names() -> list[str]:
    """The built-in presets, without `.yaml`."""
    files = resources.files("jukebox_presets").iterdir()
    return sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml"))


def find_preset(name: str) -> Path:
    """A preset by path, or a built-in one by name with or without `.yaml`."""
    if Path(name).is_file():
        return Path(name)
    known = preset_names()
    bare = name.removesuffix(".yaml")
    if bare in known:
        return Path(str(resources.files("jukebox_presets").joinpath(f"{bare}.yaml")))
    if "/" in name or "\\" in name:
        raise InputError(f"no preset file {name}", "check the path, or see `jukebox preset list`")
    raise unknown_name("preset", bare, known)
