"""benchmarks/conditioning.py: versions of songs, added conditioners, and the command."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import conditioning
import numpy as np
import pretty_midi
import pytest
import surgery
import torch
from measurements import Row
from song_versions import SongVersions

from jukebox_cli.audio.io import read_audio
from jukebox_cli.audio.manifest import Recording, load_recordings
from jukebox_cli.config.schema import SamplingConfig
from jukebox_cli.model.surgery import Addition, add_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.benchmark_scripts import value_of
from support.results import Result

Command = Callable[..., Result]


@pytest.fixture
def recordings(tmp_path: Path, tone: Path, registry: Registry) -> list[Recording]:
    """Two recordings with MIDI and lyrics, from the manifest held-out.jsonl."""
    rows = []
    for number, word in enumerate(("river", "moon")):
        score = pretty_midi.PrettyMIDI()
        piano = pretty_midi.Instrument(0)
        piano.notes = [pretty_midi.Note(100, 60 + number, 0.1, 0.6)]
        score.instruments = [piano]
        score.write(str(tmp_path / f"{word}.mid"))
        shutil.copy(tone, tmp_path / f"{word}.wav")
        lrc = f"[00:00.20]<00:00.20>{word} <00:00.70>sings<00:01.50>\n"
        (tmp_path / f"{word}.lrc").write_text(lrc)
        files = {"audio": f"{word}.wav", "midi": f"{word}.mid", "lyrics": f"{word}.lrc"}
        rows.append(json.dumps({**files, "artist": "Ada Vale", "held_out": True}))
    (tmp_path / "held-out.jsonl").write_text("\n".join(rows) + "\n")
    return load_recordings(registry, [tmp_path / "held-out.jsonl"])


@pytest.fixture
def singer(tiny: Model, tmp_path: Path, registry: Registry, recordings: list[Recording]) -> Model:
    """The tiny model with a lyrics conditioner at the top."""
    model = Model(tmp_path / "singer")
    songs = [recording.song for recording in recordings]
    options = {"max_characters": 4, "width": 16, "depth": 1, "heads": 2, "rows": 4}
    add_conditioners(tiny, model, 2, Addition({"lyrics": options}), songs, registry)
    return model


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("--only", "notes")` runs the benchmark in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["conditioning.py", *map(str, arguments)])
        code, error = 0, ""
        try:
            conditioning.main()
        except SystemExit as stopped:
            code, error = 1, f"{stopped}\n"
        output = capsys.readouterr()
        return Result(code, output.out, output.err + error)

    return run


class TestSongVersions:
    @pytest.fixture
    def versions(self, tiny: Model, registry: Registry, tmp_path: Path) -> SongVersions:
        return SongVersions(tiny, registry, tmp_path / "work", 0.5, "cpu")

    def test_all_versions_are_equally_long_and_sampled_once(
        self, versions: SongVersions, recordings: list[Recording]
    ) -> None:
        def make() -> list[Path]:
            first = recordings[0]
            generated = versions.generated(recordings, "sung")
            return [versions.recorded(first), *versions.reconstructed(first), *generated]

        files = make()
        assert len(set(files)) == 6
        lengths = [len(read_audio(file, versions.sample_rate)) for file in files]
        assert lengths == [4000] * 6
        times = [file.stat().st_mtime_ns for file in files]
        assert [file.stat().st_mtime_ns for file in make()] == times

    def test_the_recorded_version_is_the_beginning_of_the_recording(
        self, versions: SongVersions, recordings: list[Recording]
    ) -> None:
        recorded = read_audio(versions.recorded(recordings[0]), versions.sample_rate)
        original = read_audio(recordings[0].audio, versions.sample_rate)[: len(recorded)]
        assert recorded == pytest.approx(original, abs=1e-4)

    def test_conditions_that_the_model_does_not_use_are_left_out(
        self, versions: SongVersions, recordings: list[Recording]
    ) -> None:
        song = versions.conditions(recordings[0])
        assert (song["artist"], song["total"]) == ("Ada Vale", 2.0)
        assert "midi" not in song
        assert "lyrics" not in song

    def test_each_model_has_its_own_folder(
        self, versions: SongVersions, singer: Model, registry: Registry
    ) -> None:
        other = SongVersions(singer, registry, versions.work, 0.5, "cpu")
        assert other.model_folder().parent == versions.model_folder().parent
        assert other.model_folder() != versions.model_folder()


class TestSurgery:
    def test_an_added_conditioner_does_not_change_the_logits(
        self, tiny: Model, registry: Registry, recordings: list[Recording]
    ) -> None:
        tokens = np.random.default_rng(0).integers(64, size=256)
        conditions = {"artist": "Ada Vale", "midi": recordings[0].song["midi"]}
        song = surgery.TokenizedSong([tokens, tokens[:128], tokens[:64]], 1024, conditions)
        rows = surgery.surgery_rows(tiny, registry, [song], torch.device("cpu"))
        name = "surgery, level {}, {}: largest logit difference"
        assert {row.name for row in rows} >= {name.format(n, "midi") for n in range(3)}
        assert name.format(2, "genre") not in {row.name for row in rows}
        assert {row.value for row in rows} == {0.0}

    def test_logits_depend_on_the_conditions(self, tiny: Model, registry: Registry) -> None:
        tokens = np.random.default_rng(0).integers(64, size=64)
        songs = [
            surgery.TokenizedSong([tokens] * 3, 1024, {"artist": artist})
            for artist in ("Ada Vale", "Bo Marsh")
        ]
        first, second = surgery.first_window_logits(tiny, registry, 2, songs, torch.device("cpu"))
        assert first.shape == (64, 64)
        assert not torch.equal(first, second)


class TestCommand:
    def test_an_unknown_part_is_refused(self, command: Command, tmp_path: Path) -> None:
        done = command("--songs", "x.jsonl", "--work", tmp_path, "--only", "notes,sound")
        assert done.code == 1
        parts = "notes, words, loss, alignment, surgery"
        assert done.err == f"error: there is no part 'sound'\n\nhint: the parts are {parts}\n"

    def test_songs_without_word_times_are_refused(
        self, command: Command, recordings: list[Recording], tiny: Model, tmp_path: Path
    ) -> None:
        lines = (tmp_path / "held-out.jsonl").read_text().splitlines()
        rows = [{**json.loads(line), "lyrics": "no times"} for line in lines]
        manifest = tmp_path / "untimed.jsonl"
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
        options = ["--songs", manifest, "--work", tmp_path / "work", "--model", tiny.path]
        done = command(*options, "--only", "loss")
        assert done.code == 1
        hint = "name a manifest whose lyrics are .lrc files, or use --only notes,surgery"
        error = "fewer than two songs have words with times"
        assert done.err == f"error: {error}\n\nhint: {hint}\n"

    def test_loss_and_surgery_are_measured(
        self, command: Command, singer: Model, tmp_path: Path
    ) -> None:
        options = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        files = ["--json", tmp_path / "rows.json", "--write", tmp_path / "results" / "singer.md"]
        done = command(*options, *files, "--model", singer.path, "--only", "surgery,loss")
        assert done.code == 0, done.err
        rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
        losses = {row["name"]: row["value"] for row in rows if row["unit"] == "bits/token"}
        selections = {"all windows", "windows with singing"}
        assert {name.split(", ")[1] for name in losses} == selections
        assert all(losses[f"loss, {selection}, own words"] > 0 for selection in selections)
        assert rows[-1]["name"].startswith("surgery, level 2, ")
        assert done.out.strip() in (tmp_path / "results" / "singer.md").read_text()

    @pytest.mark.slow
    def test_alignment_is_measured(self, command: Command, singer: Model, tmp_path: Path) -> None:
        options = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        file = tmp_path / "rows.json"
        done = command(*options, "--json", file, "--model", singer.path, "--only", "alignment")
        assert done.code == 0, done.err
        rows = [Row(**row) for row in json.loads(file.read_text())["rows"]]
        for method in ("align, without times", "align, with times"):
            assert 0 <= value_of(rows, f"{method}: words not aligned") < 4
            assert 0 <= value_of(rows, f"{method}: word onset error") <= 2

    @pytest.mark.slow
    def test_two_models_with_the_same_codec_share_a_work_folder(
        self, command: Command, singer: Model, tmp_path: Path
    ) -> None:
        options = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        second = Model(tmp_path / "second" / "singer")
        shutil.copytree(singer.path, second.path)
        sampling = SamplingConfig(options=({"temperature": 0.5},) * 3)
        second.write_config(replace(second.config, sampling=sampling))
        for model in (singer, second):
            done = command(*options, "--model", model.path, "--only", "alignment")
            assert done.code == 0, done.err

    def test_a_conditioner_that_the_model_lacks_is_noted(
        self, command: Command, tiny: Model, recordings: list[Recording], tmp_path: Path
    ) -> None:
        options = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        page = tmp_path / "tiny.md"
        done = command(*options, "--model", tiny.path, "--only", "alignment", "--write", page)
        assert done.code == 0, done.err
        note = "model 'tiny' has no lyrics conditioner, so its use is not measured"
        assert f"note: {note}\n" in done.err
        assert f"* not measured: {note}\n" in page.read_text()
        assert "baseline, words spread over the song: word onset error" in done.out
