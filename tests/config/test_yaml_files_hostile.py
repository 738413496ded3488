"""YAML files that are too large, too deep, or would run code are refused in bounded time."""

from __future__ import annotations

from pathlib import Path

import pytest

from jukebox_cli.config.schema import ModelConfig
from jukebox_cli.config.yaml_files import load_config, read_yaml
from support.results import refusal

DEEP = "more than 32 lists within each other"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: " + "[" * 40 + "]" * 40, f":1: bad YAML: {DEEP}"),
        ("a: " + "[" * 5000 + "]" * 5000, f": bad YAML: {DEEP}"),
        ("a: &x [*x]", f":1: bad YAML: {DEEP}"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)),
            f":31: bad YAML: {DEEP}",
        ),
        (
            "a0: &a0 [x, x]\n"
            + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25)),
            ":1: bad YAML: too many aliases",
        ),
        ("a: !!python/object/apply:os.system [ls]", ":1: bad YAML: could not determine a constr"),
        ("? [1, 2]\n: 3", ":1: bad YAML: found unhashable key"),
        ("? {a: 1}\n: 3", ":1: bad YAML: found unhashable key"),
    ],
)
def test_yaml_that_could_do_harm_is_refused(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    message, hint = refusal(read_yaml, path)
    assert message.startswith(f"{path}{problem}")
    assert hint == "check the indentation and the quotes around that line"


def test_a_yaml_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("# comment\n" * 20_000)
    message = f"{path} is too large: 200,000 characters, of at most 100,000"
    assert refusal(read_yaml, path) == (message, "check the path")


def test_the_config_of_a_model_serves_as_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("description: mine\nchecksum: '123'\n")
    assert load_config(ModelConfig, path).description == "mine"
