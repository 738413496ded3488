"""Runs on disk: settings, items, tokens and audio."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import soundfile

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.interfaces.errors import InputWarning
from jukebox_cli.storage.run import Run, RunConfig
from jukebox_cli.storage.segments import ItemSpec, Prompt, Segment
from support.results import refusal

CODEC = VQVAEConfig(8000, ((4,), (2,), (2,)), 64, 8, (8, 8, 8), (2, 2, 2))
SEGMENT = Segment(0, 3, {"genre": ["ü"]}, ({}, {}), (0.5, 1.0), (None, None))
SPEC = ItemSpec(100, (SEGMENT,))


def test_settings_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    assert not run.exists
    config = RunConfig(model="tiny", seed=3, hop_fraction=(0.5, 1.0), sampling=({"top_k": 3}, {}))
    run.write_config(config)
    again = Run(tmp_path / "run")
    assert again.exists
    assert again.config == config


def test_a_folder_that_is_not_a_run_is_an_error(tmp_path: Path) -> None:
    hint = "make one with `jukebox generate --out`"
    assert refusal(lambda: Run(tmp_path / "x").config) == (f"{tmp_path}/x does not exist", hint)
    message = f"{tmp_path} is not a run: it has no run.yaml"
    assert refusal(lambda: Run(tmp_path).config) == (message, hint)


def test_a_run_of_format_1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("format: 1\nhop: [0.5]\n")
    message, _ = refusal(lambda: Run(tmp_path).config)
    assert message == f"{tmp_path}/run.yaml: format 1 cannot be read, only format 2"


def test_items_are_those_that_have_a_file(tmp_path: Path) -> None:
    run, longer = Run(tmp_path), SPEC.extended(200)
    run.write_item(12, longer)
    run.write_item(3, SPEC)
    (run.item_file(4).with_name(".item-04.json.0123abcd.part")).touch()
    assert run.items() == [3, 12]
    assert Run(tmp_path).read_items([12, 3]) == {12: longer, 3: SPEC}
    assert (run.has_item(3), run.has_item(4)) == (True, False)
    assert refusal(run.item, 4) == (f"no file {run.item_file(4)}", "check the path")


def test_an_item_that_another_process_changed_is_read_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_item(0, SPEC)
    assert run.item(0) == SPEC
    Run(tmp_path).write_item(0, SPEC.extended(200))
    assert run.item(0) == SPEC.extended(200)


def test_items_are_selected(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert refusal(run.select_items, [0]) == (f"{tmp_path} has no item 0", "it has none")
    for item in (0, 3):
        run.write_item(item, SPEC)
    assert run.select_items(None) == (0, 3)
    assert run.select_items([3]) == (3,)
    assert refusal(run.select_items, [0, 5, 4]) == (f"{tmp_path} has no item 4", "it has 0, 3")


def test_tokens_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert (run.read_tokens(1, 3), run.num_tokens(1, 3)) == (None, 0)
    run.write_tokens(1, 3, np.array([5, 63, 0]), CODEC)
    run.write_tokens(2, 12, np.zeros(0, np.int64), CODEC)
    found = run.read_tokens(1, 3)
    assert found is not None
    assert (found.tolist(), run.num_tokens(1, 3)) == ([5, 63, 0], 3)
    assert (run.levels_with_tokens(3), run.levels_with_tokens(12)) == ([1], [2])
    Run(tmp_path).write_tokens(1, 3, np.array([5]), CODEC)
    assert run.num_tokens(1, 3) == 1


def test_fewer_sampled_tokens_do_not_replace_more(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_tokens(1, 3, np.array([5, 63, 0]), CODEC)
    Run(tmp_path).save_sampled_tokens(1, 3, np.array([5]), CODEC)
    assert run.num_tokens(1, 3) == 3
    run.shorten_tokens(1, 3, 4, CODEC)
    run.shorten_tokens(1, 4, 1, CODEC)  # which has none
    assert run.num_tokens(1, 3) == 3
    run.shorten_tokens(1, 3, 2, CODEC)
    found = run.read_tokens(1, 3)
    assert found is not None
    assert found.tolist() == [5, 63]


def test_a_file_in_place_of_a_folder_means_no_tokens(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert Run(tmp_path / "x" / "run").num_tokens(0, 0) == 0


def test_tokens_and_items_are_deleted(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for item in (0, 1):
        run.write_item(item, SPEC)
        for level in (0, 1):
            run.write_tokens(level, item, np.array([5]), CODEC)
    run.delete_tokens(0)
    assert [run.levels_with_tokens(item) for item in (0, 1)] == [[], [0, 1]]
    run.delete_items()
    assert (run.items(), run.levels_with_tokens(1)) == ([], [])


def test_the_error_of_damaged_tokens_says_how_to_replace_them(tmp_path: Path) -> None:
    run, prompt = Run(tmp_path), Prompt("abc", 100)
    run.write_item(0, SPEC)
    run.write_item(1, ItemSpec(100, (replace(SEGMENT, prompt=prompt),)))
    hints = []
    for item in (0, 1):
        path = run.token_file(0, item)
        run.write_tokens(0, item, np.array([5, 6]), CODEC)
        path.write_bytes(path.read_bytes()[:-2] + b"\1\0")
        for read in (run.read_tokens, run.num_tokens):
            message, hint = refusal(read, 0, item)
            assert message == f"{path} is damaged: its checksum does not match"
        hints.append(hint)
    again = "delete that file and run `jukebox upsample` or `jukebox generate` again"
    assert hints == [
        f"restore it from a copy; or {again}",
        "restore it from a copy, or create the run again from its recording",
    ]


def test_missing_tokens_of_a_recording_are_an_error(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_item(0, SPEC)
    run.write_item(1, ItemSpec(100, (replace(SEGMENT, prompt=Prompt("abc", 100)),)))
    run.require_recorded_tokens(0, [0])
    message, hint = refusal(run.require_recorded_tokens, 0, [0, 1])
    assert message == f"{run.token_file(0, 1)}, with the tokens of a recording, is missing"
    assert hint == "restore it from a copy, or create the run again from its recording"


def test_audio_exists_only_if_it_is_as_long_as_its_item(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_item(0, SPEC)
    assert (run.has_audio(0, 0), run.is_longer_than_audio(0)) == (False, False)
    audio = run.audio_file(0)
    audio.parent.mkdir()
    soundfile.write(audio, np.zeros(100), 8000)
    assert (run.has_audio(0, 0), run.is_longer_than_audio(0)) == (True, False)
    run.write_item(0, SPEC.extended(101))
    assert (run.has_audio(0, 0), run.is_longer_than_audio(0)) == (False, True)


OPENED: list[str] = []
_recording = False


def _record_opened(event: str, arguments: tuple[Any, ...]) -> None:
    if _recording and event == "open":
        OPENED.append(str(arguments[0]))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files that are opened: by Python, and by safetensors, which is not Python."""
    global _recording
    if not _recording:
        sys.addaudithook(_record_opened)  # there is no way to remove one
    usual = safetensors.safe_open

    def safe_open(path: str, *arguments: Any) -> Any:
        OPENED.append(path)
        return usual(path, *arguments)

    monkeypatch.setattr(safetensors, "safe_open", safe_open)
    OPENED.clear()
    _recording = True
    yield OPENED
    _recording = False


def test_each_file_of_a_large_run_is_read_once(tmp_path: Path, opened: list[str]) -> None:
    count, run = 200, Run(tmp_path)
    run.write_config(RunConfig(hop_fraction=(0.5, 1.0), sampling=({}, {})))
    for item in range(count):
        run.write_item(item, SPEC)
        run.write_tokens(0, item, np.array([5]), CODEC)
    opened.clear()
    again = Run(tmp_path)
    assert again.config.hop_fraction == (0.5, 1.0)
    for _ in range(3):
        specs = again.read_items(again.select_items(None))
        lengths = [again.num_tokens(0, item) for item in specs]
        audible = [again.has_audio(item, 0) for item in specs]
    assert (len(specs), sum(lengths), any(audible)) == (count, count, False)
    times = Counter(path for path in opened if path.startswith(str(tmp_path)))
    read = [times[str(path)] for item in range(count) for path in _files(again, item)]
    assert read == [1] * (2 * count)


def _files(run: Run, item: int) -> tuple[Path, Path]:
    return run.item_file(item), run.token_file(0, item)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"seed": -1}, "seed must be from 0 to 2^63 - 1, not -1"),
        ({"seed": 2**63}, f"seed must be from 0 to 2^63 - 1, not {2**63}"),
        ({"sample_rate": 10**7}, "sample_rate must be from 1 to 1000000, not 1e+07"),
        ({"hop_fraction": (0.5,)}, "hop_fraction and sampling must have one entry for each level"),
        ({"hop_fraction": (0.5, 2.0)}, "hop_fraction must be more than 0 and at most 1"),
    ],
)
def test_settings_that_can_not_be_are_refused(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    fields = {"hop_fraction": (0.5, 1.0), "sampling": ({}, {}), **changes}
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        RunConfig(**fields)


def test_an_item_of_other_levels_than_its_run_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_config(RunConfig(hop_fraction=(0.5,), sampling=({},)))
    run.write_item(0, SPEC)
    message = f"{run.item_file(0)} is damaged: it is of 2 levels, the run of 1"
    assert refusal(run.item, 0) == (message, "restore it from a copy, or make it again")


def test_a_conflicted_copy_of_an_item_is_left_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_item(0, SPEC)
    copies = [tmp_path / "items" / "item-00 (conflicted copy).json"]
    run.write_tokens(0, 0, np.array([5]), CODEC)
    copies.append(tmp_path / "tokens" / "level-0" / "item-00 (1).safetensors")
    for copy in copies:
        copy.write_text("mine")
    with pytest.warns(InputWarning, match="is left alone: item-00 .conflicted copy..json"):
        assert run.items() == [0]
    with pytest.warns(InputWarning):
        run.delete_items()
    assert not run.has_item(0)
    assert run.levels_with_tokens(0) == []
    assert [copy.read_text() for copy in copies] == ["mine", "mine"]
