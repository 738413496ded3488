"""The examples that come with the package."""

from __future__ import annotations

import pytest

from jukebox_cli.config.examples import example_folders, example_title, find_example
from support.paths import ROOT
from support.results import refusal


def test_every_folder_of_examples_with_a_readme_is_one() -> None:
    folders = {path.parent.name for path in (ROOT / "examples").glob("*/README.md")}
    assert set(example_folders()) == folders >= {"job-array", "mini", "plugin"}


@pytest.mark.parametrize("name", ["job-array", "mini", "plugin"])
def test_an_example_is_found_by_name_and_has_a_title(name: str) -> None:
    folder = find_example(name)
    assert folder.name == name
    assert f"# {example_title(folder)}\n" in (folder / "README.md").read_text(encoding="utf-8")


def test_an_unknown_example_is_refused() -> None:
    assert refusal(find_example, "job") == ("no example 'job'", "did you mean 'job-array'?")
