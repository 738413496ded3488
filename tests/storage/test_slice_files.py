"""The files of slices that are sampled at the same time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jukebox_cli.config.schema import VQVAEConfig
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.slice_files import SliceFiles
from support.results import refusal

CODEC = VQVAEConfig()


def test_tokens_are_kept_until_they_are_deleted(tmp_path: Path) -> None:
    files = Run(tmp_path).slice_files(1, 3, 0)
    assert files.path("slice", 2).name == "item-03-segment-0-slice-02.safetensors"
    assert not files.exist()
    assert files.read("slice", 2) is None
    files.write("slice", 2, CODEC, np.arange(5))
    files.write("seam", 2, CODEC, np.arange(7))
    assert files.exist()
    assert files.read("slice", 2).tolist() == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    assert (files.num_tokens("seam", 2), files.num_tokens("seam", 1)) == (7, 0)
    files.delete()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_items_and_segments_have_files_of_their_own(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for item, segment in ((1, 1), (1, 11), (11, 1)):
        run.slice_files(0, item, segment).write("slice", 0, CODEC, np.arange(2))
    assert not run.slice_files(0, 1, 0).exist()
    run.slice_files(0, 1, 1).delete()
    assert run.slice_files(0, 1, 11).exist()
    run.delete_tokens(1)
    assert not run.slice_files(0, 1, 11).exist()
    assert run.slice_files(0, 11, 1).exist()
    run.delete_items()
    assert not run.slice_files(0, 11, 1).exist()


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    files = SliceFiles(tmp_path, 0, 0, 0)
    files.write("slice", 1, CODEC, np.arange(5))
    path = files.path("slice", 1)
    path.write_bytes(path.read_bytes()[:-1])
    message, hint = refusal(files.read, "slice", 1)
    assert message.startswith(f"{path} is damaged: ")
    assert hint == "restore it from a copy; or delete that file and run the same command again"
