"""Calls of a plugin's hooks, with checks of what they return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.contract import describe_plugin, hook_error
from jukebox_cli.interfaces.errors import FULL_DISK_HINT, InputError, is_full_disk
from jukebox_cli.interfaces.sampler import Sampler

#: The base class of what each hook returns.
BASE_CLASSES: Mapping[str, type] = {
    "jukebox_conditioners": Conditioner,
    "jukebox_samplers": Sampler,
}


def call_hook(impl: pluggy.HookImpl, hook: str, package: str | None, **arguments: object) -> Any:
    """What a hook returns, called with those of the arguments that it declares.

    package: the one that the plugin comes from, if known.
    Raises PluginError if the hook raises anything but an InputError or the error of a full disk.
    """
    try:
        return impl.function(*(arguments[name] for name in impl.argnames))
    except InputError:
        raise
    except Exception as error:
        if is_full_disk(error):
            file = getattr(error, "filename", None) or "a file"
            what = f"{hook} can't write {file}: No space left on device"
            plugin = describe_plugin(impl.plugin_name, package)
            raise InputError(f"plugin {plugin}: {what}", FULL_DISK_HINT) from error
        raised = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise hook_error(impl.plugin_name, package, f"{hook} raised {raised}") from error


def hook_classes(impl: pluggy.HookImpl, hook: str, package: str | None) -> list[Any]:
    """The classes that a hook returns. PluginError for anything else."""
    base = BASE_CLASSES[hook]
    returned = call_hook(impl, hook, package)
    classes = list(returned) if isinstance(returned, Iterable) else [returned]
    for kind in classes:
        if not (isinstance(kind, type) and issubclass(kind, base) and hasattr(kind, "name")):
            what = f"{hook} returned {kind!r}, not a {base.__name__} class with a name"
            raise hook_error(impl.plugin_name, package, what)
    return classes
