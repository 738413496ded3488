"""The native engine in tests."""

from __future__ import annotations

import pytest

from jukebox_cli.engine import library

#: Marks a test that needs the compiled kernels.
needs_native_engine = pytest.mark.skipif(
    library.load() is None, reason="the native engine is not installed: there was no compiler"
)
