"""The registry finds plugins, refuses clashes and skips broken plugins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from jukebox_cli import registry as registry_module
from jukebox_cli.cli import app as app_module
from jukebox_cli.cli import build_app
from jukebox_cli.cli.console import print_warning
from jukebox_cli.interfaces.contract import PluginError
from jukebox_cli.registry import CORE_FLAGS, PluginInfo, Registry, load_installed
from jukebox_cli.sampling.request import build_request
from support.plugins import Mood, Noise, Plain, block_hint, plugin_with
from support.results import refusal

# collecting


def test_conditioners_are_sorted_by_name_and_samplers_by_order() -> None:
    @dataclass(frozen=True)
    class Age(Plain):
        name: ClassVar[str] = "age"

    @dataclass(frozen=True)
    class Early(Noise):
        name: ClassVar[str] = "z-early"
        order: ClassVar[int] = 1
        noise: ClassVar[None] = None  # type: ignore[misc]

    @dataclass(frozen=True)
    class Same(Noise):
        name: ClassVar[str] = "another"
        noise: ClassVar[None] = None  # type: ignore[misc]

    @dataclass(frozen=True)
    class Zest(Plain):
        name: ClassVar[str] = "zest"

    registry = Registry({"b": plugin_with(Mood, Noise, Same), "a": plugin_with(Zest, Age, Early)})
    assert list(registry.conditioners) == ["age", "mood", "zest"]
    assert list(registry.samplers) == ["z-early", "another", "noise"]


def test_first_party_plugins_are_found_by_entry_point(registry: Registry) -> None:
    assert {"artist", "genre", "timing"} <= set(registry.conditioners)
    assert [*registry.samplers][:2] == ["guidance", "temperature"]
    assert [*registry.samplers][-1] == "greedy"
    assert registry.versions["jukebox-cli"]
    assert registry.package_of("artist") == "jukebox-cli"
    assert registry.package_of("nosuch") is None
    assert registry.plugin_of(registry.samplers["top-k"]) == "samplers"
    assert {"lyrics", "report"} <= set(registry.plugins_with("jukebox_commands"))


def test_two_conditioners_of_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Other(Plain):
        name: ClassVar[str] = "mood"

    message, hint = refusal(
        lambda: Registry({"acme": plugin_with(Mood), "bolt": plugin_with(Other)})
    )
    assert set(message.split("'")) >= {"acme", "bolt", "mood"}
    assert message.startswith("plugins '")
    assert message.endswith(" both define 'mood'")
    assert hint in (block_hint("acme"), block_hint("bolt"))


def test_two_plugins_with_one_option_are_refused() -> None:
    @dataclass(frozen=True)
    class Feeling(Plain):
        name: ClassVar[str] = "feeling"

        @dataclass(frozen=True)
        class Input:
            mood: Annotated[str | None, "The same flag."] = None

    @dataclass(frozen=True)
    class Moody(Noise):
        name: ClassVar[str] = "moody"
        mood: Annotated[float | None, "The same flag."] = None

    for other in (Feeling, Moody):
        message, hint = refusal(
            lambda kind=other: Registry({"acme": plugin_with(Mood), "bolt": plugin_with(kind)})
        )
        assert message in (
            "plugins 'acme' and 'bolt' both define the option --mood",
            "plugins 'bolt' and 'acme' both define the option --mood",
        )
        assert hint in (block_hint("acme"), block_hint("bolt"))


@pytest.mark.parametrize("name", ["acme", "zest"])  # before and after the name of the other
def test_a_clash_with_a_first_party_plugin_asks_to_switch_off_the_other(name: str) -> None:
    @dataclass(frozen=True)
    class Louder(Noise):
        name: ClassVar[str] = "louder"

    names = {"samplers": "jukebox-cli", name: "acme-music"}
    found = [PluginInfo(plugin, plugin, package, "1") for plugin, package in names.items()]
    plugins = {"samplers": plugin_with(Noise), name: plugin_with(Louder)}
    message, hint = refusal(lambda: Registry(plugins, found))
    assert message in (
        f"plugins 'samplers' (package jukebox-cli) and '{name}' (package acme-music) "
        "both define the option --noise",
        f"plugins '{name}' (package acme-music) and 'samplers' (package jukebox-cli) "
        "both define the option --noise",
    )
    assert hint == block_hint(name)
    message, hint = refusal(lambda: Registry(plugins | {name: plugin_with(Noise)}, found))
    assert message.endswith(" both define 'noise'")
    assert hint == block_hint(name)


def test_an_option_of_the_core_is_refused() -> None:
    @dataclass(frozen=True)
    class Greedy(Noise):
        name: ClassVar[str] = "seeded"
        seed: Annotated[int | None, "A core flag."] = None

    assert refusal(lambda: Registry({"acme": plugin_with(Greedy)})) == (
        "plugins 'acme' and jukebox itself both define the option --seed",
        block_hint("acme"),
    )


def test_core_flags_cover_the_commands_with_plugin_options() -> None:
    app: Any = typer.main.get_command(build_app(Registry({})))
    commands = [app.commands[name] for name in ("generate", "continue")]
    names = {p.name for command in commands for p in command.params}
    words = {
        o.lstrip("-") for c in commands for p in c.params for o in p.opts if o.startswith("--")
    }
    assert names | words <= CORE_FLAGS


def test_conditioners_are_listed_with_their_packages(registry: Registry) -> None:
    package = f"jukebox-cli {registry.versions['jukebox-cli']}"
    assert registry.packages_of(["artist", "nosuch"]) == {"artist": package}
    assert Registry({"acme": plugin_with(Mood)}).packages_of(["mood"]) == {}


def test_a_clash_is_an_error_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raise_clash(warn: Callable[[str], None]) -> Registry:
        raise PluginError("plugins 'a' and 'b' both define 'mood'", "b")

    monkeypatch.setattr(app_module, "load_installed", raise_clash)
    monkeypatch.setattr("sys.argv", ["jukebox", "--help"])
    with pytest.raises(SystemExit) as caught:
        app_module.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        f"error: plugins 'a' and 'b' both define 'mood'\n\nhint: {block_hint('b')}\n"
    )


# entry points


@dataclass(frozen=True)
class Package:
    """The attributes of importlib's Distribution that the registry reads."""

    name: str
    version: str = "1.0"


def entry_point(name: str, value: str, package: str = "acme-music") -> EntryPoint:
    point: Any = EntryPoint(name, value, "jukebox")
    entry: EntryPoint = point._for(Package(package))
    return entry


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[EntryPoint]:
    """The installed entry points; tests add to them."""
    found = [entry_point("genre", "jukebox_plugins.genre", "jukebox-cli")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: found)
    monkeypatch.syspath_prepend(str(tmp_path))
    return found


def test_a_plugin_that_fails_to_import_is_skipped_with_a_warning(
    points: list[EntryPoint], tmp_path: Path
) -> None:
    (tmp_path / "acme_broken.py").write_text("import nosuchmodule\n")
    points.append(entry_point("acme", "acme_broken"))
    warnings: list[str] = []
    registry = load_installed(warnings.append)
    assert warnings == [
        "plugin 'acme' of acme-music cannot be loaded and is left out: "
        "ModuleNotFoundError: No module named 'nosuchmodule'"
    ]
    assert list(registry.conditioners) == ["genre"]
    assert list(registry.versions) == ["jukebox-cli"]
    assert CliRunner().invoke(build_app(registry), ["generate", "--help"]).exit_code == 0


def test_a_warning_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_warning("plugin 'acme' is left out")
    assert capsys.readouterr() == ("", "warning: plugin 'acme' is left out\n")


@pytest.mark.parametrize("blocked", ["genre", " genre ,, "])
def test_plugins_can_be_blocked_by_name(
    blocked: str, points: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    points.append(entry_point("timing", "jukebox_plugins.timing", "jukebox-cli"))
    assert list(load_installed(pytest.fail).conditioners) == ["genre", "timing"]
    monkeypatch.setenv("JUKEBOX_BLOCK", blocked)
    registry = load_installed(pytest.fail)
    assert list(registry.conditioners) == ["timing"]
    assert refusal(registry.make_conditioner, "genre", {}) == (
        "no conditioner 'genre'",
        "JUKEBOX_BLOCK=genre switches it off: leave that out",
    )


def test_blocking_a_plugin_that_is_not_there_is_a_warning(
    points: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    points.append(entry_point("timing", "jukebox_plugins.timing", "jukebox-cli"))
    monkeypatch.setenv("JUKEBOX_BLOCK", "timing,gerne,x")
    warnings: list[str] = []
    assert list(load_installed(warnings.append).conditioners) == ["genre"]
    assert warnings == [
        "JUKEBOX_BLOCK: no plugin 'gerne'; did you mean 'genre'?",
        "JUKEBOX_BLOCK: no plugin 'x'; known are: genre, timing",
    ]


def test_a_blocked_plugin_is_not_imported(
    points: list[EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    points.append(entry_point("acme", "nosuchmodule"))
    monkeypatch.setenv("JUKEBOX_BLOCK", "acme")
    load_installed(pytest.fail)


def test_two_packages_with_one_plugin_name_are_refused(points: list[EntryPoint]) -> None:
    points.append(entry_point("genre", "jukebox_plugins.timing", "acme-music"))
    assert refusal(lambda: load_installed(pytest.fail)) == (
        "packages jukebox-cli and acme-music both have a plugin 'genre'",
        block_hint("genre"),
    )


# settings and options


def test_a_conditioner_gets_its_fields() -> None:
    registry = Registry({"acme": plugin_with(Mood)})
    assert registry.make_conditioner("mood", {"most": 2, "names": ["a", "b"]}) == Mood(
        2, ("a", "b")
    )


@pytest.mark.parametrize(
    ("name", "values", "message", "hint"),
    [
        ("moody", {}, "no conditioner 'moody'", "did you mean 'mood'?"),
        ("mood", {"mots": 2}, "no setting 'mots' of conditioner 'mood'", "did you mean 'most'?"),
        (
            "mood",
            {"most": 0},
            "conditioner 'mood': most must be 1 or more, not 0",
            "correct that value",
        ),
        (
            "mood",
            {"most": "x"},
            "conditioner 'mood': most: must be a whole number (got 'x')",
            "correct that value",
        ),
        (
            "mood",
            {"names": [1]},
            "conditioner 'mood': names.0: must be a text (got 1)",
            "correct that value",
        ),
    ],
)
def test_an_invalid_setting_is_refused(
    name: str, values: dict[str, Any], message: str, hint: str
) -> None:
    registry = Registry({"acme": plugin_with(Mood)})
    assert refusal(lambda: registry.make_conditioner(name, values)) == (message, hint)


def test_the_vocabulary_is_that_of_the_conditioners_with_their_fields() -> None:
    class Feeling(Mood):
        def vocabulary(self) -> dict[str, Sequence[str]]:
            return {"mood": self.names}

    class Other(Plain):
        name = "other"

    registry = Registry({"acme": plugin_with(Feeling, Other)})
    assert registry.vocabulary({"mood": {"names": ["calm"]}, "other": {}, "absent": {}}) == {
        "mood": ["calm"]
    }
    assert registry.vocabulary({"mood": {}}) == {"mood": []}
    assert registry.vocabulary({}) == {}


def test_a_vocabulary_that_fails_names_its_plugin() -> None:
    class Broken(Mood):
        def vocabulary(self) -> dict[str, Sequence[str]]:
            raise KeyError("calm")

    registry = Registry({"acme": plugin_with(Broken)})
    assert refusal(registry.vocabulary, {"mood": {}}) == (
        "plugin 'mood': vocabulary() raised KeyError: 'calm'",
        "uninstall it, or switch it off with JUKEBOX_BLOCK=mood",
    )


def test_options_select_samplers_in_order(registry: Registry) -> None:
    chain = registry.make_samplers({"greedy": True, "temperature": 0.5, "top_p": None})
    assert [sampler.name for sampler in chain] == ["temperature", "greedy"]
    assert registry.make_samplers({}) == []


def test_an_invalid_sampler_option_is_refused(registry: Registry) -> None:
    assert refusal(lambda: registry.make_samplers({"temprature": 1})) == (
        "no sampling option 'temprature'",
        "did you mean 'temperature'?",
    )
    assert refusal(lambda: registry.make_samplers({"top_k": "many"})) == (
        "top_k: must be a whole number (got 'many')",
        "see `jukebox generate --help`",
    )


def test_paths_of_a_preset_are_relative_to_it_and_those_of_options_to_the_working_folder(
    tmp_path: Path,
) -> None:
    @dataclass(frozen=True)
    class Words(Plain):
        name: ClassVar[str] = "words"

        @dataclass(frozen=True)
        class Input:
            words: Annotated[str | None, "A file."] = None
            tune: Annotated[str | None, "A file."] = None

        def read(self, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
            return {key: str(folder / value) for key, value in given.items()}

    (tmp_path / "p.yaml").write_text("song: {words: w.txt, tune: t.mid}\n")
    registry = Registry({"acme": plugin_with(Words)})
    options = {"tune": "mine.mid"}
    request = build_request(
        registry, str(tmp_path / "p.yaml"), [], conditions=options, sampler_options={}
    )
    assert request.song == {"words": str(tmp_path / "w.txt"), "tune": "mine.mid"}
