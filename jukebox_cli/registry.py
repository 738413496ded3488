"""Finds plugins, refuses clashes, and skips broken ones with a warning."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from jukebox_cli.config.plugin_fields import build_dataclass
from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.interfaces import hooks
from jukebox_cli.interfaces.command_options import option_flag
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.contract import (
    CORE_PACKAGE,
    ENTRY_POINT_GROUP,
    PluginError,
    blocked_hint,
    blocked_plugins,
    describe_plugin,
    hook_error,
    load_failure,
    plugin_errors,
)
from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.hook_calls import BASE_CLASSES, call_hook, hook_classes
from jukebox_cli.interfaces.sampler import Sampler

#: Options of the commands that also take the options of plugins.
CORE_FLAGS = frozenset(
    [
        *("preset", "model", "out", "seconds", "items", "only", "seed", "set", "overrides"),
        *("until", "stream", "dry_run", "dry-run", "audio", "prime", "run"),
        *("device", "engine", "precision", "batch", "parallel", "shard", "json"),
        *("as_json", "quiet"),
        *("help", "ctx"),
    ]
)


@dataclass(frozen=True)
class PluginInfo:
    """An entry point that was loaded."""

    name: str
    module: str
    package: str
    version: str


class Registry:
    """The plugins of an installation, or of a test.

    plugins: modules or other objects with hooks, by the names of their entry points.
    found: the entry points that they come from, as far as these are known.
    warn: called with a line about each plugin that is broken, which is left out. Without it such a
        plugin is an error.

    Raises PluginError for a hook that does not exist or fails, without `warn`, and for two plugins
    with the same class name or option.
    """

    def __init__(
        self,
        plugins: Mapping[str, object],
        found: Iterable[PluginInfo] = (),
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.manager = pluggy.PluginManager("jukebox")
        self.manager.add_hookspecs(hooks)
        self._warn = warn
        self._found = {info.name: info for info in found}
        self._classes: dict[str, list[tuple[str, Any]]] = {}  # by hook, with their plugins
        self._owners: dict[type, str] = {}  # by class, the plugin that it comes from
        for name in sorted(plugins):
            try:
                self._add_plugin(name, plugins[name])
            except InputError as error:
                self._found.pop(name, None)
                self._raise_or_warn(error, "the plugin is left out")
        self._require_unique_options()

    @cached_property
    def conditioners(self) -> dict[str, type[Conditioner]]:
        """Conditioner classes by name, sorted by name."""
        return self._collect("jukebox_conditioners")

    @cached_property
    def samplers(self) -> dict[str, type[Sampler]]:
        """Sampler classes by name, in the order in which they run."""
        classes: dict[str, type[Sampler]] = self._collect("jukebox_samplers")
        return dict(sorted(classes.items(), key=lambda item: (item[1].order, item[0])))

    @property
    def found(self) -> tuple[PluginInfo, ...]:
        """The entry points that were loaded."""
        return tuple(self._found.values())

    @property
    def sampling_options(self) -> list[str]:
        """The fields of all samplers."""
        return [f.name for sampler in self.samplers.values() for f in fields(sampler)]

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that the plugins come from, by package."""
        return {info.package: info.version for info in self.found}

    def package_of(self, plugin: str) -> str | None:
        """The package that a plugin comes from, if known."""
        return self._found[plugin].package if plugin in self._found else None

    def plugin_of(self, kind: type) -> str:
        """The plugin that a conditioner or sampler class comes from."""
        return self._owners[kind]

    def plugins_with(self, hook: str) -> list[str]:
        """The plugins that have a hook, sorted."""
        return sorted(impl.plugin_name for impl in self._hook_impls(hook))

    def packages_of(self, names: Iterable[str]) -> dict[str, str]:
        """Package and version, such as `jukebox-energy 0.1`, by the name of the conditioner that
        comes from it; without those of which no package is known."""
        by_plugin = {info.name: f"{info.package} {info.version}" for info in self.found}
        owners = {n: self._owners[self.conditioners[n]] for n in names if n in self.conditioners}
        return {n: by_plugin[owner] for n, owner in owners.items() if owner in by_plugin}

    def make_conditioner(self, name: str, values: Mapping[str, Any]) -> Conditioner:
        """The conditioner `name` with the given fields. InputError for an unknown name or field, or
        a bad value."""
        if name not in self.conditioners:
            error = unknown_name("conditioner", name, list(self.conditioners))
            if name in blocked_plugins():
                error.hint = blocked_hint(name)
            raise error
        return build_dataclass(self.conditioners[name], values, f"conditioner '{name}'")

    def vocabulary(self, fields_by_name: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
        """`Conditioner.vocabulary` of the conditioners with these fields, merged. Those that are
        not installed are left out. InputError as for `make_conditioner`."""
        words: dict[str, list[str]] = {}
        for name in self.conditioners.keys() & fields_by_name.keys():
            conditioner = self.make_conditioner(name, fields_by_name[name])
            with plugin_errors(conditioner, "vocabulary"):
                words |= {key: list(known) for key, known in conditioner.vocabulary().items()}
        return dict(sorted(words.items()))

    def make_samplers(
        self, options: Mapping[str, Any], label: Callable[[str], str] = str
    ) -> list[Sampler]:
        """The samplers that the options switch on, in the order in which they run. InputError for
        an unknown option or a bad value; `label` names an option in it, such as `--top-p`."""
        hint = "see `jukebox generate --help`"
        for name in options:
            if name not in self.sampling_options:
                raise unknown_name("sampling option", name, self.sampling_options)
        chain = []
        for sampler in self.samplers.values():
            values = {f.name: options.get(f.name) for f in fields(sampler)}
            if any(value is not None for value in values.values()):
                what = f"sampler '{sampler.name}'"
                chain.append(build_dataclass(sampler, values, what, label, hint))
        return chain

    def add_commands(self, app: object) -> None:
        """Call the hook `jukebox_commands` of every plugin."""
        for impl in self._hook_impls("jukebox_commands"):
            try:
                call_hook(impl, "jukebox_commands", self.package_of(impl.plugin_name), app=app)
            except InputError as error:
                self._raise_or_warn(error, "its commands are left out")

    def notify(self, run: Path, event: Mapping[str, Any]) -> None:
        """Call the hook `jukebox_event` of every plugin. A bug in one is a warning."""
        for impl in self._hook_impls("jukebox_event"):
            package = self.package_of(impl.plugin_name)
            try:
                call_hook(impl, "jukebox_event", package, run=run, event=event)
            except PluginError as error:
                warnings.warn(InputWarning(f"{error.message}; {error.hint}"), stacklevel=2)

    def _raise_or_warn(self, error: InputError, consequence: str) -> None:
        if self._warn is None:
            raise error
        self._warn(f"{error.message}; {consequence}")

    def _hook_impls(self, hook: str) -> list[pluggy.HookImpl]:
        """The plugins' functions for a hook, in the order in which pluggy calls them."""
        impls: list[pluggy.HookImpl] = getattr(self.manager.hook, hook).get_hookimpls()
        return impls[::-1]

    def _add_plugin(self, name: str, plugin: object) -> None:
        """Register a plugin, and collect its classes. PluginError if it is broken."""
        package = self.package_of(name)
        _require_known_hooks(name, package, plugin)
        try:
            self.manager.register(plugin, name)
        except pluggy.PluginValidationError as error:
            self.manager.unregister(name=name)
            raise hook_error(name, package, str(error).splitlines()[-1]) from None
        try:
            classes = {
                hook: hook_classes(impl, hook, package)
                for hook in BASE_CLASSES
                for impl in self._hook_impls(hook)
                if impl.plugin_name == name
            }
        except InputError:
            self.manager.unregister(name=name)
            raise
        for hook, kinds in classes.items():
            self._classes.setdefault(hook, []).extend((name, kind) for kind in kinds)
            self._owners |= dict.fromkeys(kinds, name)

    def _collect(self, hook: str) -> dict[str, Any]:
        classes: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for plugin, kind in self._classes.get(hook, []):
            if kind.name in classes:
                raise self._clash(owners[kind.name], plugin, f"'{kind.name}'")
            classes[kind.name], owners[kind.name] = kind, plugin
        return dict(sorted(classes.items()))

    def _require_unique_options(self) -> None:
        owners: dict[str, str] = {}
        declared: list[tuple[type, Any]] = [(c, c.Input) for c in self.conditioners.values()]
        declared += [(kind, kind) for kind in self.samplers.values()]
        for kind, options in declared:
            plugin = self._owners[kind]
            for option in (f.name for f in fields(options)):
                if option in owners or option in CORE_FLAGS:
                    what = f"the option {option_flag(option)}"
                    raise self._clash(owners.get(option), plugin, what)
                owners[option] = plugin

    def _clash(self, first: str | None, second: str, what: str) -> PluginError:
        """The error for two plugins that define the same, or for one and the core (None). Its hint
        is about one that others wrote."""
        names = [first, second] if first else [second]
        sources = [describe_plugin(name, self.package_of(name)) for name in names]
        both = " and ".join([*sources, *([] if first else ["jukebox itself"])])
        others = [name for name in names if self.package_of(name) != CORE_PACKAGE]
        return PluginError(f"plugins {both} both define {what}", (others or names)[-1])


def _require_known_hooks(plugin: str, package: str | None, module: object) -> None:
    """PluginError for functions of a plugin that have the name of a hook, but are none."""
    known = [name for name in dir(hooks) if name.startswith("jukebox_")]
    source = describe_plugin(plugin, package)
    for name in dir(module):
        function = getattr(module, name)
        if not name.startswith("jukebox_") or not inspect.isroutine(function):
            continue
        if name not in known:
            error = unknown_name("hook", name, known)
            raise PluginError(f"plugin {source}: {error.message}", plugin, error.hint)
        if not hasattr(function, "jukebox_impl"):
            message = f"plugin {source}: {name} is not marked as a hook"
            raise PluginError(message, plugin, "write @hookimpl above it")


def load_installed(warn: Callable[[str], None]) -> Registry:
    """The registry of all entry points in the group `jukebox`.

    `JUKEBOX_BLOCK=a,b` in the environment leaves plugins out. A plugin that is broken is left out
    too. `warn` is called with a line about it, and about a blocked name that no plugin has.
    """
    blocked = blocked_plugins()
    plugins: dict[str, object] = {}
    found = []
    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    for name in sorted(blocked - {point.name for point in points}):
        error = unknown_name("plugin", name, [point.name for point in points])
        warn(f"JUKEBOX_BLOCK: {error.message}; {error.hint}")
    for point in points:
        if point.name in blocked:
            continue
        if point.name in plugins:
            both = [p for p in entry_points(group=ENTRY_POINT_GROUP) if p.name == point.name]
            names = " and ".join(p.dist.name if p.dist else p.value for p in both)
            raise PluginError(f"packages {names} both have a plugin '{point.name}'", point.name)
        try:
            plugins[point.name] = point.load()
        except Exception as error:
            warn(load_failure(point, error))
            continue
        found.append(_plugin_info(point))
    return Registry(plugins, found, warn)


def _plugin_info(point: EntryPoint) -> PluginInfo:
    package, version = (point.dist.name, point.dist.version) if point.dist else ("-", "-")
    return PluginInfo(point.name, point.module, package, version)
