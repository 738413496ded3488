"""The examples that come with the package: folders with a README."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from jukebox_cli.config.suggest import unknown_name


def example_folders() -> dict[str, Path]:
    """The folders of the examples by name, sorted."""
    top = Path(str(resources.files("jukebox_examples")))
    return {path.parent.name: path.parent for path in sorted(top.glob("*/README.md"))}


def find_example(name: str) -> Path:
    """The folder of an example. Raises InputError for a name that is none."""
    folders = example_folders()
    if name not in folders:
        raise unknown_name("example", name, list(folders))
    return folders[name]


def example_title(folder: Path) -> str:
    """The first heading of an example's README."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    return text.partition("\n")[0].lstrip("# ")
