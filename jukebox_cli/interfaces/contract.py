"""What the core checks when it calls a plugin: an error names the plugin, its method, and what was
wrong, so that a person knows whom to ask and how to go on without it.

Exceptions become a `PluginError`, except those about input and those about the machine (no
permission, no memory), which are shown as they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox_cli.interfaces.errors import InputError, is_out_of_memory

if TYPE_CHECKING:
    from jukebox_cli.interfaces.conditioner import Conditioner, Values

#: The group of entry points that plugins are found by.
ENTRY_POINT_GROUP = "jukebox"

#: The package of the first-party plugins.
CORE_PACKAGE = "jukebox-cli"


class PluginError(InputError):
    """An error inside a plugin, or between two: a person can switch the plugin off.

    plugin: the name of its entry point.
    hint: what else to do.
    """

    def __init__(self, message: str, plugin: str, hint: str | None = None) -> None:
        switch = f"uninstall it, or switch it off with JUKEBOX_BLOCK={plugin}"
        super().__init__(message, f"{hint}; or {switch}" if hint else switch)


@contextmanager
def plugin_errors(part: object, method: str, name: str | None = None) -> Iterator[None]:
    """Raise an exception inside the block as a `PluginError` about a method of `part`.

    part: a conditioner, a sampler, or the network of a conditioner, whose `name` is needed then.
    """
    try:
        yield
    except (InputError, PermissionError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raised = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise method_error(part, method, f"raised {raised}", name) from error


def read_values(conditioner: Conditioner, inputs: Mapping[str, Any], folder: Path) -> Values:
    """What a conditioner reads from inputs. PluginError if that is not a dict of JSON values.

    inputs, folder: as for `Conditioner.read`.
    """
    with plugin_errors(conditioner, "read"):
        values = conditioner.read(inputs, folder)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise method_error(conditioner, "read", f"returned {values!r}, not a dict of JSON values")
    try:
        json.dumps(values)
    except (TypeError, ValueError) as error:
        what = f"returned values that are not JSON: {error}"
        raise method_error(conditioner, "read", what) from None
    return values


def method_error(part: object, method: str, problem: str, name: str | None = None) -> PluginError:
    """The error for a method that broke the contract: `plugin 'energy' (package jukebox-energy):
    encode() returned None, not a dict of numpy arrays`."""
    name = name or str(getattr(part, "name", type(part).__name__))
    point = find_entry_point(type(part).__module__, name)
    plugin = point.name if point else name
    package = point.dist.name if point and point.dist else None
    called = method if plugin == name else f"{name}.{method}"
    return hook_error(plugin, package, f"{called}() {problem}")


def hook_error(plugin: str, package: str | None, problem: str) -> PluginError:
    """The error for a plugin that broke the contract, of a package if that is known."""
    source = describe_plugin(plugin, package)
    return PluginError(f"plugin {source}: {problem}", plugin, _advice(package))


def describe_plugin(plugin: str, package: str | None) -> str:
    """`'energy' (package jukebox-energy)`, or `'energy'` if no package is known."""
    return f"'{plugin}' (package {package})" if package else f"'{plugin}'"


def _advice(package: str | None) -> str | None:
    if package is None:
        return None
    if package == CORE_PACKAGE:
        return "please report it; `jukebox --traceback ...` shows where"
    return f"report it to the authors of {package}; `jukebox --traceback ...` shows where"


def load_failure(point: EntryPoint, error: Exception) -> str:
    """The warning about a plugin that could not be imported."""
    package = point.dist.name if point.dist else point.value
    return (
        f"plugin '{point.name}' of {package} cannot be loaded and is left out: "
        f"{type(error).__name__}: {error}"
    )


def blocked_plugins() -> set[str]:
    """The plugins that the environment switches off."""
    names = os.environ.get("JUKEBOX_BLOCK", "").split(",")
    return {name.strip() for name in names if name.strip()}


def blocked_hint(name: str) -> str:
    """What to do about a plugin that is needed and switched off."""
    return f"JUKEBOX_BLOCK={name} switches it off: leave that out"


def find_entry_point(module: str, name: str) -> EntryPoint | None:
    """The entry point of the plugin that a module belongs to, or else the one called `name`."""
    points = list(entry_points(group=ENTRY_POINT_GROUP))
    around = [point for point in points if f"{module}.".startswith(f"{point.module}.")]
    around.sort(key=lambda point: len(point.module), reverse=True)
    return next(iter([*around, *(point for point in points if point.name == name)]), None)
