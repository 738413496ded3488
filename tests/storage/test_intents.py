"""Intents are read as they were written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox_cli.storage.intents import Intent, Intents, read_intent
from jukebox_cli.storage.segments import ItemSpec, Segment
from support.results import refusal

SEGMENT = Segment(0, 7, {"artist": "Ada Vale"}, ({"top_p": 0.9},), (0.5,), ("abc",))
ITEMS = {3: ItemSpec(800, (SEGMENT,)), 11: ItemSpec(900, (SEGMENT,))}
EVENT = {"kind": "continue", "items": [3, 11], "seconds": [0.1, 0.1125]}
INTENT = Intent("continue", "audio", "format: 2\n", ITEMS, "../run", event=EVENT)


def test_an_intent_is_read_as_it_was_written(tmp_path: Path) -> None:
    intents = Intents(tmp_path / "intents")
    assert intents.read() == []
    intents.write(INTENT)
    intents.write(INTENT)
    assert intents.read() == [INTENT]
    assert intents.read()[0].name == INTENT.name
    other = replace(INTENT, until="top")
    intents.write(other)
    assert intents.read() == [INTENT, other]
    intents.remove(INTENT)
    intents.remove(INTENT)
    assert intents.read() == [other]
    intents.remove_all()
    assert intents.read() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"until": 3}, "until: Input should be a valid string"),
        ({"until": "end"}, "until must be one of top, tokens, audio"),
        ({"level": 99}, "level must be"),
        ({"audio_format": "../x"}, "audio_format must be the suffix of files"),
        ({"more": 1}, "more: Unexpected keyword argument"),
        ({"items": {"x": {}}}, "items.x.[key]: Input should be a valid integer"),
    ],
)
def test_a_damaged_intent_is_an_error(
    change: dict[str, object], problem: str, tmp_path: Path
) -> None:
    Intents(tmp_path).write(INTENT)
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "checksum": None, **change}))
    message, hint = refusal(read_intent, path)
    assert message.startswith(f"{path} is damaged: {problem}")
    assert hint == "delete that file and repeat the command that was interrupted"


def test_an_intent_that_is_completed_meanwhile_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, read = Intents(tmp_path / "listed"), Intents(tmp_path / "read")
    for intents in (listed, read):
        intents.write(INTENT)
        intents.write(other := replace(INTENT, until="top"))
    paths = [*(tmp_path / "listed").glob("*.json"), tmp_path / "listed" / "gone.json"]
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter(paths))
    assert listed.read() == [INTENT, other]
    monkeypatch.undo()

    def complete_and_read(path: Path) -> Intent:
        read.remove(INTENT)
        return read_intent(path)

    monkeypatch.setattr("jukebox_cli.storage.intents.read_intent", complete_and_read)
    assert read.read() == [other]
