"""Every hook says when it is called, with what, and what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from jukebox_cli.interfaces import hooks

HOOKS = {name: hook for name, hook in vars(hooks).items() if name.startswith("jukebox_")}


def test_the_hooks_have_these_names() -> None:
    assert sorted(HOOKS) == [
        "jukebox_commands",
        "jukebox_conditioners",
        "jukebox_event",
        "jukebox_samplers",
    ]


@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_a_hook_is_documented(hook: Callable[..., Any]) -> None:
    text = inspect.getdoc(hook) or ""
    signature = inspect.signature(hook)
    assert "Called " in text
    for name in signature.parameters:
        assert f":param {name}:" in text
    assert (":returns:" in text) == (signature.return_annotation != "None")
