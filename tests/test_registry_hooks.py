"""Hooks: invalid ones are refused, valid ones are called."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from jukebox_cli import registry as registry_module
from jukebox_cli.cli import build_app
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.interfaces.hooks import hookimpl
from jukebox_cli.interfaces.sampler import Sampler
from jukebox_cli.registry import PluginInfo, Registry
from jukebox_cli.storage.documents import read_jsonl
from jukebox_cli.storage.model import Model
from support.plugins import Mood, Noise, block_hint, plugin_of, plugin_with
from support.results import refusal

RAISED = "jukebox_samplers raised RuntimeError: no licence"


def raising(error: Exception) -> Callable[[], Any]:
    """A hook that raises an error."""

    def hook() -> Any:
        raise error

    return hook


# invalid hooks


def test_a_misspelt_hook_is_refused_with_a_suggestion() -> None:
    plugin = plugin_of(jukebox_conditoners=lambda: [])
    assert refusal(lambda: Registry({"acme": plugin})) == (
        "plugin 'acme': no hook 'jukebox_conditoners'",
        f"did you mean 'jukebox_conditioners'?; or {block_hint('acme')}",
    )


def test_a_hook_without_hookimpl_is_refused() -> None:
    plugin = SimpleNamespace(jukebox_samplers=lambda: [Noise])
    assert refusal(lambda: Registry({"acme": plugin})) == (
        "plugin 'acme': jukebox_samplers is not marked as a hook",
        f"write @hookimpl above it; or {block_hint('acme')}",
    )


def test_attributes_that_are_not_functions_are_not_hooks() -> None:
    plugin = SimpleNamespace(
        **vars(plugin_with(Mood)), jukebox_cli=registry_module, jukebox_number=3
    )
    assert list(Registry({"acme": plugin}).conditioners) == ["mood"]


def test_a_hook_with_an_unknown_argument_is_refused() -> None:
    plugin = plugin_of(jukebox_event=lambda run, evnet: None)
    message, hint = refusal(lambda: Registry({"acme": plugin}))
    assert message.startswith("plugin 'acme': ")
    assert "{'evnet'}" in message
    assert hint == block_hint("acme")


def test_a_hook_that_raises_is_refused() -> None:
    def broken() -> list[type[Sampler]]:
        raise RuntimeError("no licence")

    assert refusal(lambda: Registry({"acme": plugin_of(jukebox_samplers=broken)})) == (
        "plugin 'acme': jukebox_samplers raised RuntimeError: no licence",
        block_hint("acme"),
    )


@pytest.mark.parametrize("result", [Mood, Sampler, "noise"])
def test_a_hook_that_returns_anything_but_classes_is_refused(result: Any) -> None:
    message, hint = refusal(
        lambda: Registry({"acme": plugin_of(jukebox_samplers=lambda: [result])})
    )
    assert message == (
        f"plugin 'acme': jukebox_samplers returned {result!r}, not a Sampler class with a name"
    )
    assert hint == block_hint("acme")


@pytest.mark.parametrize(
    ("plugin", "problem"),
    [
        (plugin_of(jukebox_samplers=raising(RuntimeError("no licence"))), RAISED),
        (plugin_of(jukebox_conditioners=raising(OSError())), "jukebox_conditioners raised OSError"),
        (
            plugin_of(jukebox_samplers=lambda: ["noise"]),
            "jukebox_samplers returned 'noise', not a Sampler class with a name",
        ),
        (plugin_of(jukebox_samplrs=lambda: []), "no hook 'jukebox_samplrs'"),
        (
            SimpleNamespace(jukebox_samplers=lambda: [Noise]),
            "jukebox_samplers is not marked as a hook",
        ),
    ],
)
def test_a_broken_plugin_is_left_out_with_a_warning(plugin: object, problem: str) -> None:
    warnings: list[str] = []
    found = [PluginInfo(name, name, f"{name}-music", "1") for name in ("acme", "fine")]
    plugins = {"acme": plugin, "fine": plugin_with(Mood, Noise)}
    registry = Registry(plugins, found, warnings.append)
    assert warnings == [f"plugin 'acme' (package acme-music): {problem}; the plugin is left out"]
    assert [*registry.conditioners, *registry.samplers] == ["mood", "noise"]
    assert registry.versions == {"fine-music": "1"}
    assert CliRunner().invoke(build_app(registry), ["plugin", "list"]).exit_code == 0


def test_a_plugin_with_a_wrong_argument_is_left_out_with_a_warning() -> None:
    warnings: list[str] = []
    plugin = plugin_of(jukebox_event=lambda run, evnet: None, jukebox_samplers=lambda: [Noise])
    registry = Registry({"acme": plugin}, (), warnings.append)
    assert len(warnings) == 1
    assert "{'evnet'}" in warnings[0]
    assert registry.samplers == {}
    registry.notify(Path("x"), {"event": "level"})


def test_commands_that_can_not_be_added_are_left_out_with_a_warning() -> None:
    def add(app: typer.Typer) -> None:
        raise KeyError("menu")

    warnings: list[str] = []
    plugin = SimpleNamespace(**vars(plugin_with(Noise)), jukebox_commands=hookimpl(add))
    registry = Registry({"acme": plugin}, (), warnings.append)
    app = build_app(registry)
    assert warnings == [
        "plugin 'acme': jukebox_commands raised KeyError: 'menu'; its commands are left out"
    ]
    assert "noise" in CliRunner().invoke(app, ["plugin", "list"]).stdout


def test_errors_of_hooks_name_the_package() -> None:
    plugin = plugin_of(jukebox_event=raising(RuntimeError("no network")))
    registry = Registry({"acme": plugin}, [PluginInfo("acme", "acme", "acme-music", "1")])
    with pytest.warns(InputWarning) as caught:
        registry.notify(Path("x"), {"event": "level"})
    assert [str(warning.message) for warning in caught] == [
        "plugin 'acme' (package acme-music): jukebox_event raised RuntimeError: no network; "
        "report it to the authors of acme-music; `jukebox --traceback ...` shows where; or "
        + block_hint("acme")
    ]


# calls of hooks


def test_jukebox_commands_adds_a_command() -> None:
    def add(app: typer.Typer) -> None:
        @app.command()
        def hum(times: int = 1) -> None:
            """Hum a tune."""
            print("hm " * times)

    app = build_app(Registry({"acme": plugin_of(jukebox_commands=add)}))
    assert "Hum a tune." in CliRunner().invoke(app, ["--help"]).stdout
    assert CliRunner().invoke(app, ["hum", "--times", "2"]).stdout == "hm hm \n"


def test_jukebox_event_sees_every_line_of_a_runs_log(
    registry: Registry, tiny: Model, tmp_path: Path
) -> None:
    seen: list[tuple[Path, Mapping[str, Any]]] = []
    names = dict(registry.manager.list_name_plugin())
    watcher = plugin_of(jukebox_event=lambda run, event: seen.append((run, event)))
    app, out = build_app(Registry({**names, "watcher": watcher})), tmp_path / "run"
    words = ["--model", tiny.path, "--seconds", 0.02]
    for command in (
        ["generate", *words, "--out", out],
        ["continue", out, "--seconds", 0.02],
        ["decode", out, "--format", "flac"],
    ):
        result = CliRunner().invoke(app, [str(word) for word in command])
        assert result.exit_code == 0, result.stderr
    lines = read_jsonl(out / "log.jsonl")
    assert [event for _, event in seen] == lines
    assert {run for run, _ in seen} == {out}
    assert {line["event"] for line in lines} == {"level", "sampled", "decoded", "continue"}
    assert all(line["time"] > 0 for line in lines)


def test_a_hook_may_omit_arguments() -> None:
    seen = []
    registry = Registry({"acme": plugin_of(jukebox_event=lambda event: seen.append(event))})
    registry.notify(Path("x"), {"event": "level"})
    assert seen == [{"event": "level"}]


@pytest.mark.parametrize("filename", ["run/speed.csv", None])
def test_a_full_disk_in_a_hook_is_not_the_plugins_fault(filename: str | None) -> None:
    def full(event: Mapping[str, Any]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", filename)

    registry = Registry({"acme": plugin_of(jukebox_event=full)})
    message, hint = refusal(registry.notify, Path("x"), {"event": "level"})
    what = f"can't write {filename or 'a file'}: No space left on device"
    assert message == f"plugin 'acme': jukebox_event {what}"
    assert hint == "free some space and run the same command again to resume"


def test_another_error_of_the_system_in_a_hook_is_the_plugins() -> None:
    def missing(event: Mapping[str, Any]) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "data.csv")

    registry = Registry({"acme": plugin_of(jukebox_event=missing)})
    problem = "plugin 'acme': jukebox_event raised FileNotFoundError: "
    with pytest.warns(InputWarning, match=problem):
        registry.notify(Path("x"), {"event": "level"})
