"""What the tests of the composed songs share."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

import pytest

from support.mini_modules import mini_modules


@pytest.fixture(scope="module")
def mini() -> Iterator[dict[str, ModuleType]]:
    """The modules of examples/mini by name."""
    with mini_modules() as modules:
        yield modules
