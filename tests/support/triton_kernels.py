"""The fused kernels in tests: compiled on a GPU, else run by Triton's interpreter.

Import this before anything of them: without Triton the importing module is skipped.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
interpreter = pytest.importorskip("triton.runtime.interpreter", reason="no Triton here")
_patch_tensor = interpreter._patch_lang_tensor


def _patch(tensor: Any, scope: Any) -> None:
    """As there, but converting to an int in a way that NumPy 2.4 still has."""
    _patch_tensor(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))


interpreter._patch_lang_tensor = _patch
