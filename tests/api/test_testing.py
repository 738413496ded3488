"""Helpers for tests of plugins."""

from __future__ import annotations

from pathlib import Path

import pytest

from jukebox_cli.api import Registry
from jukebox_cli.api.testing import CommandResult, run_command, write_tiny_model


def test_a_tiny_model_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = (write_tiny_model(tmp_path / name, Registry({})) for name in ("a", "b"))
    files = sorted(p.name for p in one.path.iterdir())
    assert files == sorted(p.name for p in other.path.iterdir())
    assert all((one.path / f).read_bytes() == (other.path / f).read_bytes() for f in files)


def test_a_tiny_model_without_priors_can_be_trained(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "a", Registry({}), with_priors=False)
    assert [model.has_prior(level) for level in range(3)] == [False] * 3


def test_a_command_runs_with_these_plugins_only(registry: Registry, tmp_path: Path) -> None:
    result = run_command(Registry({}), "generate", "--artist", "Ada Vale")
    assert result.exit_code == 2
    assert "--artist" in result.stderr
    model = write_tiny_model(tmp_path / "a", registry, {"artist": {"names": ["Ada Vale"]}})
    made = ("generate", "--model", model.path, "--seconds", 0.05, "--out", tmp_path / "run", "-q")
    assert run_command(registry, *made, "--artist", "Ada Vale") == CommandResult(
        0, f"{tmp_path / 'run'}\n", ""
    )


def test_an_unexpected_error_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[str]:
        raise RuntimeError("boom")

    monkeypatch.setattr("jukebox_cli.storage.model.model_names", fail)
    result = run_command(Registry({}), "model", "list")
    assert result.exit_code == 1
    assert "RuntimeError: boom" in result.stderr
