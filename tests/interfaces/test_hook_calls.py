"""Hooks get the arguments they declare, and may return classes only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.hook_calls import call_hook, hook_classes
from support.plugins import Mood, Noise, block_hint
from support.results import refusal

REPORT = "report it to the authors of acme-music; `jukebox --traceback ...` shows where; or "


def impl(function: Any, *argnames: str) -> Any:
    """What pluggy keeps of the hook of a plugin."""
    return SimpleNamespace(function=function, argnames=argnames, plugin_name="acme")


def test_a_hook_gets_the_arguments_that_it_declares() -> None:
    assert call_hook(impl(lambda b: b, "b"), "jukebox_event", None, a=1, b=2) == 2


def test_exceptions_name_plugin_package_and_hook() -> None:
    hook = impl(lambda: 1 / 0)
    assert refusal(call_hook, hook, "jukebox_event", "acme-music") == (
        "plugin 'acme' (package acme-music): jukebox_event raised ZeroDivisionError: "
        "division by zero",
        REPORT + block_hint("acme"),
    )


def test_errors_about_input_pass_through() -> None:
    error = InputError("no space", "free some")

    def fail() -> None:
        raise error

    with pytest.raises(InputError) as caught:
        call_hook(impl(fail), "jukebox_event", None)
    assert caught.value is error


def test_classes_must_be_of_the_kind_of_the_hook() -> None:
    assert hook_classes(impl(lambda: [Noise]), "jukebox_samplers", None) == [Noise]
    for returned in ([Mood], Mood, None):
        message, hint = refusal(hook_classes, impl(lambda r=returned: r), "jukebox_samplers", None)
        shown = Mood if returned else None
        assert message == (
            f"plugin 'acme': jukebox_samplers returned {shown!r}, not a Sampler class with a name"
        )
        assert hint == block_hint("acme")
