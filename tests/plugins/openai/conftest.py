"""A fixture for imports that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from support.results import Result
from support.run_files import contents


@pytest.fixture
def refused(here: Path, jukebox: Callable[..., Result]) -> Callable[..., None]:
    """Checks that `model import` is an error, and changes no file."""

    def run(*words: object, error: str, hint: str) -> None:
        before = contents(here)
        result = jukebox("model", "import", *(words or ("checkpoints",)), "--name", "mine", "-q")
        assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
        assert contents(here) == before

    return run
