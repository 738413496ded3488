"""benchmarks/steering.py and its parts: what is matched with what, and what is compared. What
listens to songs is tested where it is installed: see benchmarks/judges.txt."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import soundfile
import torch

from jukebox_cli.audio.io import read_audio
from jukebox_cli.audio.manifest import Recording
from jukebox_cli.config.schema import SamplingConfig
from jukebox_cli.model.surgery import Addition, add_conditioners
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from support.paths import ROOT
from support.results import Result, refusal

sys.path.insert(0, str(ROOT / "benchmarks"))

import alignment_error
import judges
import lyric_loss
import lyric_reading
import midi_adherence
import paired
import steering
import surgery
import transcription
import whisper
from measure import Row
from renditions import Renditions
from transcription import Note
from word_times import (
    Word,
    normal,
    sung_words,
    with_words_at_times,
    with_words_of,
    without_times,
    without_words,
)

LRC = """[Verse]
[00:01.00]<00:01.00>we <00:01.50>sing<00:02.00>
[00:04.00]<00:04.00>again<00:05.00>
"""
WHISPER = os.environ.get("WHISPER_SMALL")
Command = Callable[..., Result]


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' '.join(modules)}: see judges.txt")


def lyrics(registry: Registry, text: str = LRC) -> dict[str, Any]:
    return registry.make_conditioner("lyrics", {}).read({"lyrics": text}, Path())


def value(rows: list[Row], what: str) -> float:
    (found,) = (row.value for row in rows if row.what == what)
    return found


class TestWords:
    def test_words_have_their_times(self, registry: Registry) -> None:
        words = [Word("we", 1.0, 1.5), Word("sing", 1.5, 2.0), Word("again", 4.0, 5.0)]
        assert sung_words(lyrics(registry)) == words

    def test_words_without_times_are_left_out(self, registry: Registry) -> None:
        song = lyrics(registry, "[00:01.00]we sing\n[00:02.00]again\n")
        assert [word.text for word in sung_words(song)] == ["we", "again"]
        assert sung_words(without_times(lyrics(registry))) == []
        assert sung_words({}) == []

    def test_normal_words_agree_however_they_are_written(self) -> None:
        assert normal("Don't let me go, O'er the SEA.") == normal(
            "don\u2019t let me go oer the sea"
        )
        assert normal(" ... ") == []

    def test_words_of_another_song(self, registry: Registry) -> None:
        mine = {**lyrics(registry), "artist": "Ada Vale"}
        other = {**lyrics(registry, "[00:09.00]never\n"), "artist": "Bo Marsh"}
        told = with_words_of(mine, other)
        assert (told["lyrics"], told["artist"]) == ("never", "Ada Vale")
        assert told["lyrics_times"] == other["lyrics_times"]
        assert without_words(told) == {"artist": "Ada Vale"}

    def test_other_words_at_the_same_times(self, registry: Registry) -> None:
        mine = lyrics(registry)
        told = sung_words(with_words_at_times(mine, ["river", "moon"]))
        assert [word.text for word in told] == ["river", "moon", "river"]
        assert [word[1:] for word in told] == [word[1:] for word in sung_words(mine)]


class TestReading:
    @pytest.mark.parametrize(
        ("wanted", "got", "count"),
        [
            ("a b c", "a b c", 0),
            ("a b c", "", 3),
            ("a b c", "a x c", 1),
            ("a b c", "b c", 1),
            ("a b c", "a b b c d", 2),
            ("a b c", "c b a", 2),
        ],
    )
    def test_fewest_edits(self, wanted: str, got: str, count: int) -> None:
        assert lyric_reading.edits(wanted.split(), got.split()) == count

    def test_rate_is_of_the_words_there_are(self) -> None:
        assert lyric_reading.word_error_rate(["a", "b"], ["x", "y", "z"]) == 1.5

    def test_words_that_begin_in_time(self, registry: Registry) -> None:
        assert lyric_reading.sung_within(lyrics(registry), 4.1) == ["we", "sing"]
        assert lyric_reading.sung_within(lyrics(registry), 5.0) == ["we", "sing", "again"]

    def test_rates_with_own_words_and_with_others(self) -> None:
        texts = [["we", "sing"], ["let", "me", "go", "now"]]
        rows = lyric_reading.reading(texts, {"it": ["We sing!", "let us go now"]})
        assert value(rows, "it: word error rate") == pytest.approx(1 / 6)
        assert value(rows, "it: word error rate with the next song's words") == 1.5
        title = "it: the next song's words over its own: songs with more"
        assert value(rows, title) == 2

    def test_one_song_can_be_compared_with_nothing(self) -> None:
        one = ("one song has no others to compare it with", "name two songs or more")
        assert refusal(lyric_reading.reading, [["we"]], {}) == one
        assert refusal(midi_adherence.adherence, [[]], {}) == one
        assert refusal(lyric_loss.lyric_loss, [[]]) == one


def instrument(notes: list[tuple[float, int]], drum: bool = False) -> dict[str, Any]:
    rows = [[start, start + 0.5, pitch, 100] for start, pitch in notes]
    return {"program": 0, "drum": drum, "name": "", "notes": rows}


class TestAdherence:
    def test_what_is_written(self) -> None:
        piano = instrument([(0.0, 60), (0.5, 64), (1.0, 60), (1.9, 67), (0.2, 12)])
        flute = instrument([(0.51, 64), (0.53, 65)])
        drums = instrument([(0.0, 36)], drum=True)
        notes = midi_adherence.written({"midi": [flute, drums, piano]}, 2.0)
        assert notes == [(0.0, 60), (0.5, 64), (0.53, 65), (1.0, 60)]

    @needs("mir_eval")
    def test_notes_match_in_pitch_and_time(self) -> None:
        written = [Note(0.0, 60), Note(0.5, 64), Note(1.0, 67)]
        assert midi_adherence.onset_f1(written, written) == 1.0
        late = [Note(0.04, 60), Note(0.56, 64), Note(1.0, 68), Note(1.5, 70)]
        assert midi_adherence.onset_f1(written, late) == pytest.approx(2 / 7)
        assert midi_adherence.onset_f1(written, []) == 0.0

    @needs("mir_eval")
    def test_own_files_and_all_others(self) -> None:
        files = [[Note(0.0, 60)], [Note(0.0, 62)], [Note(0.0, 60), Note(1.0, 62)]]
        own, others = midi_adherence.scores(files, [files[0], [], files[2]])
        assert own == [1.0, 0.0, 1.0]
        assert others == pytest.approx([1 / 3, 0.0, 1 / 3])
        rows = midi_adherence.adherence(files, {"it": files})
        assert value(rows, "it: F1 with its MIDI") == 1.0
        assert value(rows, "it: F1 with its MIDI over others: songs with more") == 3


def test_differences_are_of_pairs() -> None:
    rows = paired.compared("it", "s", [3.0, 5.0, 1.0], [1.0, 1.0, 1.0])
    assert value(rows, "it: mean difference") == 2.0
    assert value(rows, "it: its standard error") == pytest.approx(2 / 3**0.5)
    assert value(rows, "it: songs with more") == 2


class TestAlignment:
    TRUTH = (Word("we", 1.0, 1.5), Word("sing", 1.5, 2.0), Word("again", 4.0, 5.0))

    def test_letters_are_spread_evenly(self) -> None:
        words = alignment_error.spread(self.TRUTH, 0.0, 14.0)
        assert [word.start for word in words] == [0.0, 3.0, 8.0]
        assert words[-1].end == 14.0

    def test_controls_know_the_song_or_the_singing(self) -> None:
        guesses = alignment_error.controls([self.TRUTH], [28.0])
        assert [word.start for word in guesses["evenly over the song"][0]] == [0.0, 6.0, 16.0]
        assert guesses["evenly over the singing"][0][0].start == 1.0
        assert guesses["evenly over the singing"][0][-1].end == 5.0

    def test_words_are_matched_though_some_are_missing(self) -> None:
        said = [Word("We,", 1.2, 1.3), Word("oh", 2.0, 2.1), Word("again!", 3.5, 4.0)]
        assert alignment_error.errors(self.TRUTH, said) == pytest.approx([0.2, 0.5])

    def test_rows(self) -> None:
        said = [Word("we", 1.2, 1.3), Word("again", 3.5, 4.0)]
        rows = alignment_error.alignment_error([self.TRUTH], {"it": [said]})
        assert value(rows, "it: error of a word") == pytest.approx(0.35)
        assert value(rows, "it: mean error of a song") == pytest.approx(0.35)
        assert value(rows, "it: words within 0.3 s") == 0.5
        assert value(rows, "it: words within 1 s") == 1.0
        assert value(rows, "it: words not said") == 1

    def test_no_words_in_common(self) -> None:
        message, hint = refusal(
            alignment_error.alignment_error, [self.TRUTH], {"it": [[Word("oh", 0.0, 1.0)]]}
        )
        assert (message, hint) == ("it has none of the words", "look at the run's alignment folder")

    def test_file_of_an_alignment(self, tmp_path: Path) -> None:
        words = [{"word": "we", "start": 1, "end": 1.5}, {"word": "sing", "start": 1.5, "end": 2}]
        words.insert(1, {"word": "\u266a"})
        lines = [{"section": "Verse"}, {"text": "we sing", "start": 1, "end": 2, "words": words}]
        file = tmp_path / "item-00.json"
        file.write_text(json.dumps({"format": 1, "item": 0, "lines": lines}))
        assert alignment_error.aligned_words(file) == list(self.TRUTH[:2])


class TestLoss:
    def test_windows_follow_each_other(self) -> None:
        assert lyric_loss.starts(100, 30, None) == [0, 30, 60]
        assert lyric_loss.starts(100, 30, 2) == [0, 60]
        assert lyric_loss.starts(100, 30, 1) == [0]
        assert lyric_loss.starts(20, 30, None) == []

    def test_rows_are_of_songs_and_of_windows_with_singing(self) -> None:
        def window(sung: bool, own: float, others: float) -> lyric_loss.Measured:
            bits = {lyric_loss.OWN: own, lyric_loss.OTHERS: others}
            return lyric_loss.Measured(sung, {**dict.fromkeys(lyric_loss.TELL, own), **bits})

        songs = [[window(False, 4.0, 4.0), window(True, 5.0, 6.0)], [window(False, 2.0, 2.0)]]
        rows = lyric_loss.lyric_loss(songs)
        assert value(rows, "loss, all windows, own words") == 3.25
        assert (
            value(rows, "loss, all windows, the next song's words over own: mean difference")
            == 0.25
        )
        assert value(rows, "loss, windows with singing, the next song's words") == 6.0
        assert rows[-1].runs == 1


class TestJudges:
    def test_one_that_is_missing(self) -> None:
        hint = "install it as benchmarks/judges.txt says, or leave that part out with --only"
        missing = "there is no judge to listen: no module 'no_such_judge'"
        assert refusal(judges.judge, "no_such_judge") == (missing, hint)

    def test_nothing_is_listened_to_twice(self, tmp_path: Path) -> None:
        listened = []

        def hear(path: Path) -> str:
            listened.append(path.name)
            return path.read_text()

        for name, sound in (("a", "la"), ("b", "lo"), ("c", "la")):
            (tmp_path / name).write_text(sound)
            assert judges.remembered(tmp_path / "heard", tmp_path / name, hear) == sound
        assert listened == ["a", "b"]

    def test_whisper_must_be_the_one_that_figures_are_told_of(self, tmp_path: Path) -> None:
        message, hint = refusal(whisper.check, tmp_path)
        assert message == f"no file {tmp_path / 'tokenizer.json'}"
        assert hint is not None
        assert "--whisper" in hint
        (tmp_path / "onnx").mkdir()
        for name in ("tokenizer.json", "generation_config.json"):
            (tmp_path / name).touch()
        path = tmp_path / "onnx" / "encoder_model_quantized.onnx"
        assert refusal(whisper.check, tmp_path)[0] == f"no file {path}"
        path.touch()
        strange = f"{path} is not the Whisper that figures are told of"
        assert refusal(whisper.check, tmp_path)[0] == strange

    def test_what_whisper_hears(self) -> None:
        filters = torch.zeros(80, 201)
        filters[range(80), range(80)] = 1.0  # a band for each of the lowest frequencies
        time = np.arange(whisper.RATE) / whisper.RATE
        heard = whisper.log_mel(np.sin(2 * np.pi * 800 * time).astype(np.float32), filters)
        assert heard.shape == (80, 3000)
        assert int(heard[:, 50].argmax()) == 20  # bands are 40 Hz apart
        assert heard[20, 50] == heard.max()
        assert heard[20, 200] == pytest.approx(float(heard.max()) - 2.0)  # silence is 80 dB below

    @needs("basic_pitch", "librosa", "onnxruntime", "resampy")
    @pytest.mark.filterwarnings("ignore")
    def test_notes_are_heard(self, tmp_path: Path) -> None:
        sound = np.zeros(3 * 22050, np.float32)
        for start, pitch in ((0.5, 69), (1.5, 72)):
            time = np.arange(15000) / 22050
            partials = sum(
                np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * n * time) / n**3
                for n in (1, 2, 3)
            )
            sound[round(start * 22050) :][:15000] += 0.2 * partials * np.exp(-3 * time)
        soundfile.write(tmp_path / "notes.wav", sound, 22050)
        heard = transcription.transcriber()(tmp_path / "notes.wav")
        assert [pitch for _, pitch in heard] == [69, 72]
        assert [onset for onset, _ in heard] == pytest.approx([0.5, 1.5], abs=0.05)

    @needs("librosa", "onnxruntime", "tokenizers")
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.skipif(not WHISPER, reason="needs WHISPER_SMALL: its folder, see judges.txt")
    @pytest.mark.skipif(not shutil.which("flite"), reason="needs flite, which speaks")
    def test_words_are_read(self, tmp_path: Path) -> None:
        text = "hold my hand and never let me go over the broken window to the winter sea"
        path = tmp_path / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
        assert normal(whisper.reader(Path(str(WHISPER)))(path)) == text.split()


@pytest.fixture
def pieces(tmp_path: Path, tone: Path, registry: Registry) -> list[Recording]:
    """Two recordings with MIDI and words, and a manifest of them beside."""
    rows = []
    for number, word in enumerate(("river", "moon")):
        score = pretty_midi.PrettyMIDI()
        piano = pretty_midi.Instrument(0)
        piano.notes = [pretty_midi.Note(100, 60 + number, 0.1, 0.6)]
        score.instruments = [piano]
        score.write(str(tmp_path / f"{word}.mid"))
        shutil.copy(tone, tmp_path / f"{word}.wav")
        (tmp_path / f"{word}.lrc").write_text(
            f"[00:00.20]<00:00.20>{word} <00:00.70>sings<00:01.50>\n"
        )
        files = {"audio": f"{word}.wav", "midi": f"{word}.mid", "lyrics": f"{word}.lrc"}
        rows.append(json.dumps({**files, "artist": "Ada Vale", "held_out": True}))
    (tmp_path / "held-out.jsonl").write_text("\n".join(rows) + "\n")
    from jukebox_cli.audio.manifest import load_recordings

    return load_recordings(registry, [tmp_path / "held-out.jsonl"])


@pytest.fixture
def singer(tiny: Model, tmp_path: Path, registry: Registry, pieces: list[Recording]) -> Model:
    """The tiny model, whose top prior takes words too."""
    model = Model(tmp_path / "singer")
    songs = [piece.song for piece in pieces]
    knobs = {"letters": 4, "width": 16, "depth": 1, "heads": 2, "blocks": 4}
    add_conditioners(tiny, model, 2, Addition({"lyrics": knobs}), songs, registry)
    return model


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`command("--only", "midi")` runs the benchmark in this process."""

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["steering.py", *map(str, words)])
        code, problem = 0, ""
        try:
            steering.main()
        except SystemExit as stopped:
            code, problem = 1, f"{stopped}\n"
        said = capsys.readouterr()
        return Result(code, said.out, said.err + problem)

    return run


class TestRenditions:
    @pytest.fixture
    def renditions(self, tiny: Model, registry: Registry, tmp_path: Path) -> Renditions:
        return Renditions(tiny, registry, tmp_path / "work", 0.5, "cpu")

    def test_all_are_as_long_and_made_once(
        self, renditions: Renditions, pieces: list[Recording]
    ) -> None:
        def make() -> list[Path]:
            coded = renditions.coded(pieces[0])
            return [renditions.recorded(pieces[0]), *coded, *renditions.generated(pieces, "sung")]

        files = make()
        assert len(set(files)) == 6
        assert [len(read_audio(file, renditions.rate)) for file in files] == [4000] * 6
        made = [file.stat().st_mtime_ns for file in files]
        assert [file.stat().st_mtime_ns for file in make()] == made

    def test_the_recording_is_what_is_kept(
        self, renditions: Renditions, pieces: list[Recording]
    ) -> None:
        kept = read_audio(renditions.recorded(pieces[0]), renditions.rate)
        original = read_audio(pieces[0].audio, renditions.rate)[: len(kept)]
        assert kept == pytest.approx(original, abs=1e-4)

    def test_a_model_is_told_what_it_takes(
        self, renditions: Renditions, pieces: list[Recording]
    ) -> None:
        told = renditions.told(pieces[0])
        assert (told["artist"], told["total"]) == ("Ada Vale", 2.0)
        assert "midi" not in told
        assert "lyrics" not in told

    def test_another_model_has_another_folder(
        self, renditions: Renditions, singer: Model, registry: Registry
    ) -> None:
        other = Renditions(singer, registry, renditions.work, 0.5, "cpu")
        assert other.of_model().parent == renditions.of_model().parent
        assert other.of_model() != renditions.of_model()


class TestSurgery:
    def test_what_is_added_says_nothing_at_first(
        self, tiny: Model, registry: Registry, pieces: list[Recording]
    ) -> None:
        tokens = np.random.default_rng(0).integers(64, size=256)
        levels = [tokens, tokens[:128], tokens[:64]]
        songs = [
            surgery.Heard(levels, 1024, {"artist": "Ada Vale", "midi": pieces[0].song["midi"]})
        ]
        rows = surgery.surgery(tiny, registry, songs, torch.device("cpu"))
        title = "surgery, level {}, {}: largest difference of logits"
        assert {row.what for row in rows} >= {title.format(n, "midi") for n in range(3)}
        assert title.format(2, "genre") not in {row.what for row in rows}
        assert {row.value for row in rows} == {0.0}

    def test_logits_follow_what_is_told(self, tiny: Model, registry: Registry) -> None:
        tokens = np.random.default_rng(0).integers(64, size=64)
        songs = [surgery.Heard([tokens] * 3, 1024, {"artist": a}) for a in ("Ada Vale", "Bo Marsh")]
        one, other = surgery.logits(tiny, registry, 2, songs, torch.device("cpu"))
        assert one.shape == (64, 64)
        assert not torch.equal(one, other)


class TestCommand:
    def test_a_part_that_is_not_there(self, command: Command, tmp_path: Path) -> None:
        done = command("--songs", "x.jsonl", "--work", tmp_path, "--only", "midi,sound")
        assert done.code == 1
        parts = "midi, reading, loss, alignment, surgery"
        assert done.err == f"error: there is no part 'sound'\n\nhint: the parts are {parts}\n"

    def test_songs_without_words(
        self, command: Command, pieces: list[Recording], tiny: Model, tmp_path: Path
    ) -> None:
        manifest = tmp_path / "held-out.jsonl"
        rows = [json.loads(line) for line in manifest.read_text().splitlines()]
        plain = tmp_path / "plain.jsonl"
        for row in rows:
            row["lyrics"] = "no times"
        plain.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words = ["--songs", plain, "--work", tmp_path / "work", "--model", tiny.path]
        done = command(*words, "--only", "loss")
        assert done.code == 1
        hint = "name a manifest whose lyrics are .lrc files, or use --only midi,surgery"
        what = "fewer than two songs have words with times"
        assert done.err == f"error: {what}\n\nhint: {hint}\n"

    def test_loss_and_surgery(self, command: Command, singer: Model, tmp_path: Path) -> None:
        words = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        files = ["--json", tmp_path / "rows.json", "--write", tmp_path / "results" / "singer.md"]
        done = command(*words, *files, "--model", singer.path, "--only", "surgery,loss")
        assert done.code == 0, done.err
        rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
        kinds = {"all windows", "windows with singing"}
        assert {row["what"].split(", ")[1] for row in rows if row["unit"] == "bits/token"} == kinds
        bits = [row["value"] for row in rows if row["what"].endswith("own words")]
        assert all(value > 0 for value in bits)
        assert rows[-1]["what"].startswith("surgery, level 2, ")
        assert done.out.strip() in (tmp_path / "results" / "singer.md").read_text()

    def test_alignment(self, command: Command, singer: Model, tmp_path: Path) -> None:
        words = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        files = ["--json", tmp_path / "rows.json"]
        done = command(*words, *files, "--model", singer.path, "--only", "alignment")
        assert done.code == 0, done.err
        rows = [Row(**row) for row in json.loads((tmp_path / "rows.json").read_text())["rows"]]
        for how in ("no times", "the times"):
            assert 0 <= value(rows, f"aligned, told {how}: words not said") < 4
            assert 0 <= value(rows, f"aligned, told {how}: error of a word") <= 2

    def test_alignment_of_a_second_model_with_the_same_codec(
        self, command: Command, singer: Model, tmp_path: Path
    ) -> None:
        words = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        second = Model(tmp_path / "second" / "singer")
        shutil.copytree(singer.path, second.path)
        knobs = ({"temperature": 0.5},) * 3
        second.write_config(replace(second.config, sampling=SamplingConfig(options=knobs)))
        for model in (singer, second):
            done = command(*words, "--model", model.path, "--only", "alignment")
            assert done.code == 0, done.err

    def test_what_a_model_does_not_take_is_noted(
        self, command: Command, tiny: Model, pieces: list[Recording], tmp_path: Path
    ) -> None:
        words = ["--songs", tmp_path / "held-out.jsonl", "--work", tmp_path / "work"]
        page = tmp_path / "tiny.md"
        done = command(*words, "--model", tiny.path, "--only", "alignment", "--write", page)
        assert done.code == 0, done.err
        note = "model 'tiny' takes no lyrics, so nothing it makes was judged by it"
        assert f"note: {note}\n" in done.err
        assert f"* not measured: {note}\n" in page.read_text()
        assert "words evenly over the song: error of a word" in done.out
