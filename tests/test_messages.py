"""How messages are written: `error: what and where`, no full stop, and a hint of what to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from jukebox_cli.cli.console import print_error, print_note, print_warning
from jukebox_cli.interfaces.errors import InputError, combine_errors
from support.paths import ROOT

FILES = [*(ROOT / "jukebox_cli").rglob("*.py"), *(ROOT / "plugins").glob("*.py")]


def literal(node: ast.expr) -> str | None:
    """The text of a string as it stands in the code, `{}` for what is put in; None for others."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
    return None


def calls(path: Path) -> list[ast.Call]:
    """Where InputErrors are made."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "InputError"]


CALLS = [
    pytest.param(call, id=f"{path.relative_to(ROOT)}:{call.lineno}")
    for path in FILES
    for call in calls(path)
]


@pytest.mark.parametrize("call", CALLS)
def test_every_error_has_a_message_and_a_hint(call: ast.Call) -> None:
    assert len(call.args) == 2
    message, hint = (literal(arg) for arg in call.args)
    if message is not None:
        assert not re.search(r"[.!]$", message)
        assert not re.match(r"[A-Z][a-z]|error|Error", message)
    if hint is not None:
        assert not re.search(r"(?<!\.\.)[.!]$", hint)
        assert not re.match(r"[A-Z][a-z]|hint", hint)


def test_the_sources_have_error_messages() -> None:
    assert len(CALLS) > 50


def test_an_error_is_a_line_a_blank_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(InputError("no file a.wav", "check the path"))
    assert capsys.readouterr() == ("", "error: no file a.wav\n\nhint: check the path\n")
    print_error(InputError("no file a.wav"))
    assert capsys.readouterr() == ("", "error: no file a.wav\n")


def test_several_errors_are_a_line_each_with_each_hint_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    problems = [InputError("no file a", "x"), InputError("no file b", "y"), InputError("c", "x")]
    print_error(combine_errors(problems))
    text = "error: no file a\nerror: no file b\nerror: c\n\nhint: x; y\n"
    assert capsys.readouterr().err == text


def test_warnings_and_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_warning("left out")
    print_note("wrote a.wav")
    print_note("not said", quiet=True)
    assert capsys.readouterr() == ("", "warning: left out\nwrote a.wav\n")
