"""A fixture for the tests of the composed songs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.mini_modules import Modules, mini_modules


@pytest.fixture(scope="module")
def mini() -> Iterator[Modules]:
    """The modules of examples/mini by name."""
    with mini_modules() as modules:
        yield modules
