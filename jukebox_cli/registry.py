"""Finds plugins, refuses clashes, and skips broken ones with a warning."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

import pluggy

from jukebox_cli.config.suggest import unknown_name
from jukebox_cli.interfaces import hooks
from jukebox_cli.interfaces.conditioner import Conditioner
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.interfaces.sampler import Sampler

GROUP = "jukebox"
Warn = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True)
class PluginInfo:
    """An entry point that was loaded."""

    name: str
    module: str
    package: str
    version: str


class Registry:
    """The plugins of this installation, or of a test."""

    def __init__(self, plugins: Mapping[str, object], found: Iterable[PluginInfo] = ()) -> None:
        self.manager = pluggy.PluginManager("jukebox")
        self.manager.add_hookspecs(hooks)
        self.found = tuple(found)
        self._owners: dict[type, str] = {}  # by class, the plugin that brought it
        for name in sorted(plugins):
            try:
                self.manager.register(plugins[name], name)
            except pluggy.PluginValidationError as error:
                raise PluginError(f"plugin '{name}': {str(error).splitlines()[-1]}", name) from None
        self._refuse_unknown_hooks()
        self._refuse_clashing_flags()

    @cached_property
    def conditioners(self) -> dict[str, type[Conditioner]]:
        """By name, sorted."""
        return self._collect("jukebox_conditioners")

    @cached_property
    def samplers(self) -> dict[str, type[Sampler]]:
        """By name, in the order they run in."""
        found: dict[str, type[Sampler]] = self._collect("jukebox_samplers")
        return dict(sorted(found.items(), key=lambda kv: (kv[1].order, kv[0])))

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the packages that plugins came from."""
        return {f.package: f.version for f in self.found}

    def package_of(self, module: str) -> str:
        """The package whose entry point names a module or the package around it, else `-`."""
        mine = (f.package for f in self.found if f"{module}.".startswith(f"{f.module}."))
        return next(mine, "-")

    def make_conditioner(self, name: str, values: Mapping[str, Any]) -> Conditioner:
        """A conditioner with the given fields; InputError names what is unknown."""
        if name not in self.conditioners:
            error = unknown_name("conditioner", name, list(self.conditioners))
            if name in blocked_plugins():
                error.hint = f"JUKEBOX_BLOCK={name} switches it off: leave that out"
            raise error
        return build_dataclass(self.conditioners[name], values, f"conditioner '{name}'")

    def make_samplers(self, knobs: Mapping[str, Any]) -> list[Sampler]:
        """The samplers that the knobs switch on, in order. InputError for unknown knobs."""
        owners = {f.name: s for s in self.samplers.values() for f in fields(s)}
        for knob in knobs:
            if knob not in owners:
                raise unknown_name("sampling knob", knob, list(owners))
        chain = []
        for sampler in self.samplers.values():
            mine = {f.name: knobs.get(f.name) for f in fields(sampler)}
            if any(v is not None for v in mine.values()):
                chain.append(build_dataclass(sampler, mine, f"sampler '{sampler.name}'"))
        return chain

    def _collect(self, hook: str) -> dict[str, Any]:
        classes: dict[str, Any] = {}
        for impl in getattr(self.manager.hook, hook).get_hookimpls():
            plugin = impl.plugin_name
            for kind in _call(impl, hook):
                if kind.name in classes:
                    both = f"'{self._owners[classes[kind.name]]}' and '{plugin}'"
                    raise PluginError(f"plugins {both} both bring a '{kind.name}'", plugin)
                classes[kind.name], self._owners[kind] = kind, plugin
        return dict(sorted(classes.items()))

    def _refuse_unknown_hooks(self) -> None:
        known = [h for h in dir(hooks) if h.startswith("jukebox_")]
        for owner, plugin in self.manager.list_name_plugin():
            for name in dir(plugin):
                function = getattr(plugin, name)
                if not name.startswith("jukebox_") or not inspect.isroutine(function):
                    continue
                if name not in known:
                    error = unknown_name("hook", name, known)
                    raise PluginError(f"plugin '{owner}': {error.message}", owner, error.hint)
                if not hasattr(function, "jukebox_impl"):
                    hint = "write @hookimpl above it"
                    raise PluginError(f"plugin '{owner}': {name} is not marked as one", owner, hint)

    def _refuse_clashing_flags(self) -> None:
        owners: dict[str, str] = {}
        flags: list[tuple[type, Any]] = [(kind, kind.Input) for kind in self.conditioners.values()]
        flags += [(kind, kind) for kind in self.samplers.values()]
        for kind, declared in flags:
            name = self._owners[kind]
            for f in fields(declared):
                if f.name in owners or f.name in CORE_FLAGS:
                    other = f"'{owners[f.name]}'" if f.name in owners else "jukebox itself"
                    flag = "--" + f.name.replace("_", "-")
                    both = f"plugins '{name}' and {other}"
                    raise PluginError(f"{both} both want the flag {flag}", name)
                owners[f.name] = name


#: What the commands that take plugin flags call their own.
CORE_FLAGS = frozenset(
    [
        *("preset", "model", "out", "seconds", "items", "seed", "until", "device", "batch"),
        *("precision", "set", "set_", "json", "as_json", "quiet", "audio", "prime", "run"),
        *("help", "said"),
    ]
)


class PluginError(InputError):
    """A plugin that can't be used; switching it off is what a person can do about it."""

    def __init__(self, message: str, plugin: str, hint: str | None = None) -> None:
        switch = f"uninstall it, or switch it off with JUKEBOX_BLOCK={plugin}"
        super().__init__(message, f"{hint}; or {switch}" if hint else switch)


def _call(impl: pluggy.HookImpl, hook: str) -> list[Any]:
    """The classes that a hook hands over; PluginError when it does not."""
    base = {"jukebox_conditioners": Conditioner, "jukebox_samplers": Sampler}[hook]
    try:
        given: Any = impl.function()
        kinds: list[Any] = list(given)
    except Exception as error:
        what = f"{hook} fails: {type(error).__name__}: {error}"
        raise PluginError(f"plugin '{impl.plugin_name}': {what}", impl.plugin_name) from error
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, base) and hasattr(kind, "name")):
            what = f"{hook} gives {kind!r}, which is no {base.__name__} class with a name"
            raise PluginError(f"plugin '{impl.plugin_name}': {what}", impl.plugin_name)
    return kinds


def build_dataclass(kind: type[T], values: Mapping[str, Any], what: str) -> T:
    """A plugin's dataclass from JSON or YAML values, checked against its fields."""
    from pydantic import TypeAdapter, ValidationError

    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            raise unknown_name("setting", key, names, f" of {what}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(p) for p in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        said = f" (got {first['input']!r})" if place else ""
        hint = "see `jukebox plugin list`"
        raise InputError(f"{what}: {place + ': ' if place else ''}{message}{said}", hint) from None


def load_installed(warn: Warn) -> Registry:
    """The registry of all entry points in group `jukebox`.

    `JUKEBOX_BLOCK=a,b` in the environment leaves plugins out. One that fails to import costs a
    warning; everything else works.
    """
    block = blocked_plugins()
    plugins: dict[str, object] = {}
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        if point.name in block:
            continue
        if point.name in plugins:
            both = [p for p in entry_points(group=GROUP) if p.name == point.name]
            names = " and ".join(p.dist.name if p.dist else p.value for p in both)
            raise PluginError(f"packages {names} both bring a plugin '{point.name}'", point.name)
        try:
            plugins[point.name] = point.load()
        except Exception as error:
            warn(_load_failure(point, error))
            continue
        found.append(_plugin_info(point))
    return Registry(plugins, found)


def blocked_plugins() -> set[str]:
    """The plugins that are switched off."""
    names = os.environ.get("JUKEBOX_BLOCK", "").split(",")
    return {name.strip() for name in names if name.strip()}


def _plugin_info(point: EntryPoint) -> PluginInfo:
    dist = point.dist
    package, version = (dist.name, dist.version) if dist else ("-", "-")
    return PluginInfo(point.name, point.module, package, version)


def _load_failure(point: EntryPoint, error: Exception) -> str:
    package = point.dist.name if point.dist else point.value
    return (
        f"plugin '{point.name}' of {package} can't be loaded and is left out: "
        f"{type(error).__name__}: {error}"
    )
