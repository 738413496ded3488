"""Wrong files are refused or read, and never taken for the whole ones: the fuzzer, shortly."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import fuzz
import pytest
from fuzz_reader import Reader
from mutations import MUTATIONS, mutate

from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry

#: Inputs of each reader here; the whole run has 20,000: `make fuzz`.
INPUTS = 150
NAMES = (
    *("token file", "slice file", "weights", "weights and checksums.txt", "checkpoint", "corpus"),
    *("item", "run.yaml", "model config", "fitted conditioners", "log", "alignment", "preset"),
    *("recipe", "manifest, CSV", "manifest, JSON Lines", "lyrics, LRC", "lyrics, text", "MIDI"),
    *("audio, wav", "audio, flac", "audio, mp3", "audio, ogg", "settings of the port"),
    *("checkpoint of OpenAI, zip", "checkpoint of OpenAI, plain"),
)


def test_every_reader_is_here(registry: Registry) -> None:
    assert set(NAMES) == set(fuzz.readers(registry))


@pytest.mark.parametrize("name", NAMES)
def test_wrong_files_do_no_harm(name: str, registry: Registry, tmp_path: Path) -> None:
    outcome = fuzz.fuzz(name, fuzz.readers(registry)[name], 0, INPUTS, tmp_path)
    assert outcome.problems == []
    assert sum(outcome.counts[kind] for kind in fuzz.GOOD) == INPUTS


def test_an_input_is_known_by_its_number() -> None:
    whole = bytes(range(256)) * 4

    def inputs() -> list[bytes]:
        return [mutate(whole, [whole, b"12, -3.5"], random.Random(n)) for n in range(200)]

    assert inputs() == inputs()
    assert len(set(inputs())) > 190


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_takes_any_data(mutation: object, tmp_path: Path) -> None:
    assert callable(mutation)
    for number, data in enumerate((b"", b"1", b"seed: 3\n", bytes(100))):
        assert isinstance(mutation(data, b"", random.Random(number)), bytes)


def reader_of(read: object) -> Reader:
    def make(folder: Path) -> list[Path]:
        (folder / "x").write_bytes(b"whole file")
        return [folder / "x"]

    assert callable(read)
    return Reader(make, read, exact=True)


def test_what_becomes_of_an_input_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(folder: Path) -> object:
        data = (folder / "x").read_bytes()
        if data == b"whole file":
            return "whole"
        if len(data) < 5:
            raise InputError("no")
        if len(data) > 100:
            raise KeyError("word")
        while data[0] != ord("w"):
            time.process_time()
        return "whole" if data[-1] == ord("e") else "other"

    monkeypatch.setattr(fuzz, "HANG_SECONDS", 0.05)
    outcome = fuzz.fuzz("x", reader_of(read), 0, 200, tmp_path)
    assert set(outcome.counts) == {"same", "refused", "changed", "unexpected", "hang"}
    assert outcome.counts.total() == 200
    assert len(outcome.problems) == 5
    assert outcome.peak_mb > 10


def test_a_table_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(["--reader", "log", "--inputs", "5", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert sum(data["counts"].values()) == 5
    fuzz.main(["--reader", "log", "--inputs", "5"])
    assert "| log | 5 | " in capsys.readouterr().out


def test_each_reader_runs_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fuzz.readers
    monkeypatch.setattr(fuzz, "readers", lambda registry: {"log": whole(registry)["log"]})
    assert fuzz.main(["--inputs", "3", "--out", str(tmp_path / "fuzz.md")]) == 0
    assert "| log | 3 | " in (tmp_path / "fuzz.md").read_text()


def test_an_interpreter_that_crashes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "__file__", "/no/such/file")
    outcome = fuzz.run_apart("log", 3)
    assert outcome.counts == {"unexpected": 1}
    assert outcome.problems == ["the interpreter ended with 2"]
