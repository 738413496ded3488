"""The metrics of benchmarks/conditioning.py on small examples, and the models that transcribe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import alignment_error
import evaluators
import lyric_loss
import measurements
import note_f1
import note_transcription
import numpy as np
import pytest
import soundfile
import torch
import whisper
import word_error_rate
from note_transcription import Note
from word_times import (
    Word,
    normalized_words,
    sung_words,
    with_lyrics_of,
    with_words_at_own_times,
    without_lyrics,
    without_times,
)

from jukebox_cli.registry import Registry
from support.benchmark_scripts import needs, song_with_lyrics, value_of
from support.results import refusal

WHISPER = os.environ.get("WHISPER_SMALL")
NO_OTHERS = ("one song has no others to compare it with", "name two songs or more")


class TestWordTimes:
    def test_words_have_the_times_of_the_lrc_file(self, registry: Registry) -> None:
        words = [Word("we", 1.0, 1.5), Word("sing", 1.5, 2.0), Word("again", 4.0, 5.0)]
        assert sung_words(song_with_lyrics(registry)) == words

    def test_words_without_times_are_left_out(self, registry: Registry) -> None:
        song = song_with_lyrics(registry, "[00:01.00]we sing\n[00:02.00]again\n")
        assert [word.text for word in sung_words(song)] == ["we", "again"]
        assert sung_words(without_times(song_with_lyrics(registry))) == []
        assert sung_words({}) == []

    def test_normalized_words_have_no_case_or_punctuation(self) -> None:
        words = normalized_words("Don't let me go, O'er the SEA.")
        assert words == ["dont", "let", "me", "go", "oer", "the", "sea"]
        assert words == normalized_words("don\u2019t let me go oer the sea")
        assert normalized_words(" ... ") == []

    def test_lyrics_of_another_song(self, registry: Registry) -> None:
        song = {**song_with_lyrics(registry), "artist": "Ada Vale"}
        other = {**song_with_lyrics(registry, "[00:09.00]never\n"), "artist": "Bo Marsh"}
        mixed = with_lyrics_of(song, other)
        assert (mixed["lyrics"], mixed["artist"]) == ("never", "Ada Vale")
        assert mixed["lyrics_times"] == other["lyrics_times"]
        assert without_lyrics(mixed) == {"artist": "Ada Vale"}

    def test_other_words_at_the_same_times(self, registry: Registry) -> None:
        song = song_with_lyrics(registry)
        words = sung_words(with_words_at_own_times(song, ["river", "moon"]))
        assert [word.text for word in words] == ["river", "moon", "river"]
        assert [word[1:] for word in words] == [word[1:] for word in sung_words(song)]


class TestWordErrorRate:
    @pytest.mark.parametrize(
        ("reference", "hypothesis", "distance"),
        [
            ("a b c", "a b c", 0),
            ("a b c", "", 3),
            ("a b c", "a x c", 1),
            ("a b c", "b c", 1),
            ("a b c", "a b b c d", 2),
            ("a b c", "c b a", 2),
        ],
    )
    def test_edit_distance_counts_the_fewest_edits(
        self, reference: str, hypothesis: str, distance: int
    ) -> None:
        assert word_error_rate.edit_distance(reference.split(), hypothesis.split()) == distance

    def test_the_rate_is_relative_to_the_reference(self) -> None:
        assert word_error_rate.word_error_rate(["a", "b"], ["x", "y", "z"]) == 1.5

    def test_words_that_begin_in_the_first_seconds(self, registry: Registry) -> None:
        song = song_with_lyrics(registry)
        assert word_error_rate.words_within(song, 4.1) == ["we", "sing"]
        assert word_error_rate.words_within(song, 5.0) == ["we", "sing", "again"]

    def test_rows_compare_own_lyrics_with_the_next_song(self) -> None:
        lyrics = [["we", "sing"], ["let", "me", "go", "now"]]
        rows = word_error_rate.word_error_rows(lyrics, {"x": ["We sing!", "let us go now"]})
        assert value_of(rows, "x: word error rate") == pytest.approx(1 / 6)
        assert value_of(rows, "x: word error rate, next song's words") == 1.5
        name = "x: word error rate, next song's words minus own: songs above 0"
        assert value_of(rows, name) == 2

    def test_one_song_is_refused(self) -> None:
        assert refusal(word_error_rate.word_error_rows, [["we"]], {}) == NO_OTHERS
        assert refusal(note_f1.note_f1_rows, [[]], {}) == NO_OTHERS
        assert refusal(lyric_loss.lyric_loss_rows, [[]]) == NO_OTHERS


def instrument(notes: list[tuple[float, int]], drum: bool = False) -> dict[str, Any]:
    rows = [[start, start + 0.5, pitch, 100] for start, pitch in notes]
    return {"program": 0, "drum": drum, "name": "", "notes": rows}


class TestNoteF1:
    def test_midi_notes_are_pitched_distinct_and_in_the_first_seconds(self) -> None:
        piano = instrument([(0.0, 60), (0.5, 64), (1.0, 60), (1.9, 67), (0.2, 12)])
        flute = instrument([(0.51, 64), (0.53, 65)])
        drums = instrument([(0.0, 36)], drum=True)
        notes = note_f1.midi_notes({"midi": [flute, drums, piano]}, 2.0)
        assert notes == [(0.0, 60), (0.5, 64), (0.53, 65), (1.0, 60)]

    @needs("mir_eval")
    def test_notes_match_in_pitch_and_onset(self) -> None:
        reference = [Note(0.0, 60), Note(0.5, 64), Note(1.0, 67)]
        assert note_f1.onset_f1(reference, reference) == 1.0
        estimate = [Note(0.04, 60), Note(0.56, 64), Note(1.0, 68), Note(1.5, 70)]
        assert note_f1.onset_f1(reference, estimate) == pytest.approx(2 / 7)
        assert note_f1.onset_f1(reference, []) == 0.0

    @needs("mir_eval")
    def test_rows_compare_own_files_with_all_others(self) -> None:
        files = [[Note(0.0, 60)], [Note(0.0, 62)], [Note(0.0, 60), Note(1.0, 62)]]
        own, others = note_f1.own_and_other_scores(files, [files[0], [], files[2]])
        assert own == [1.0, 0.0, 1.0]
        assert others == pytest.approx([1 / 3, 0.0, 1 / 3])
        rows = note_f1.note_f1_rows(files, {"x": files})
        assert value_of(rows, "x: F1, own MIDI") == 1.0
        assert value_of(rows, "x: F1, own MIDI minus other songs': songs above 0") == 3


def test_paired_rows_compare_song_by_song() -> None:
    rows = measurements.paired_rows("x", "s", [3.0, 5.0, 1.0], [1.0, 1.0, 1.0])
    assert value_of(rows, "x: mean difference") == 2.0
    assert value_of(rows, "x: standard error") == pytest.approx(2 / 3**0.5)
    assert value_of(rows, "x: songs above 0") == 2


class TestAlignmentError:
    TRUTH = (Word("we", 1.0, 1.5), Word("sing", 1.5, 2.0), Word("again", 4.0, 5.0))

    def test_words_are_spread_by_their_characters(self) -> None:
        words = alignment_error.spread_words(self.TRUTH, 0.0, 14.0)
        assert [word.start for word in words] == [0.0, 3.0, 8.0]
        assert words[-1].end == 14.0

    def test_baselines_spread_words_over_the_song_and_over_the_singing(self) -> None:
        song, singing = alignment_error.baselines([self.TRUTH], [28.0]).values()
        assert [word.start for word in song[0]] == [0.0, 6.0, 16.0]
        assert (singing[0][0].start, singing[0][-1].end) == (1.0, 5.0)

    def test_words_are_matched_although_some_are_missing(self) -> None:
        estimate = [Word("We,", 1.2, 1.3), Word("oh", 2.0, 2.1), Word("again!", 3.5, 4.0)]
        assert alignment_error.onset_errors(self.TRUTH, estimate) == pytest.approx([0.2, 0.5])

    def test_alignment_rows_have_errors_and_baselines(self) -> None:
        estimate = [Word("we", 1.2, 1.3), Word("again", 3.5, 4.0)]
        rows = alignment_error.alignment_error_rows([self.TRUTH], {"x": [estimate]})
        assert value_of(rows, "x: word onset error") == pytest.approx(0.35)
        assert value_of(rows, "x: mean word onset error per song") == pytest.approx(0.35)
        assert value_of(rows, "x: words within 0.3 s") == 0.5
        assert value_of(rows, "x: words within 1 s") == 1.0
        assert value_of(rows, "x: words not aligned") == 1

    def test_an_estimate_without_any_of_the_words_is_refused(self) -> None:
        estimates = {"x": [[Word("oh", 0.0, 1.0)]]}
        found = refusal(alignment_error.alignment_error_rows, [self.TRUTH], estimates)
        assert found == ("x has none of the words", "look at the run's alignment folder")

    def test_words_are_read_from_an_alignment_file(self, tmp_path: Path) -> None:
        words: list[dict[str, Any]] = [
            {"word": "we", "start": 1, "end": 1.5},
            {"word": "\u266a"},
            {"word": "sing", "start": 1.5, "end": 2},
        ]
        lines = [{"section": "Verse"}, {"text": "we sing", "start": 1, "end": 2, "words": words}]
        file = tmp_path / "item-00.json"
        file.write_text(json.dumps({"format": 2, "item": 0, "lines": lines}))
        assert alignment_error.aligned_words(file) == list(self.TRUTH[:2])


class TestLyricLoss:
    def test_windows_are_consecutive_or_evenly_spaced(self) -> None:
        assert lyric_loss.window_starts(100, 30, None) == [0, 30, 60]
        assert lyric_loss.window_starts(100, 30, 2) == [0, 60]
        assert lyric_loss.window_starts(100, 30, 1) == [0]
        assert lyric_loss.window_starts(20, 30, None) == []

    def test_rows_are_over_all_windows_and_over_those_with_singing(self) -> None:
        def window(has_singing: bool, own: float, other: float) -> lyric_loss.WindowLoss:
            bits = dict.fromkeys(lyric_loss.VARIANTS, own) | {lyric_loss.OTHER: other}
            return lyric_loss.WindowLoss(has_singing, bits)

        songs = [[window(False, 4.0, 4.0), window(True, 5.0, 6.0)], [window(False, 2.0, 2.0)]]
        rows = lyric_loss.lyric_loss_rows(songs)
        assert value_of(rows, "loss, all windows, own words") == 3.25
        name = "loss, all windows, next song's words minus own words: mean difference"
        assert value_of(rows, name) == 0.25
        assert value_of(rows, "loss, windows with singing, next song's words") == 6.0
        assert rows[-1].count == 1


class TestEvaluators:
    def test_a_missing_library_is_refused(self) -> None:
        assert refusal(evaluators.import_evaluator, "no_such_library") == (
            "an evaluation library is missing: no_such_library",
            "install it as benchmarks/evaluators.txt says, or leave that part out with --only",
        )

    def test_equal_audio_is_transcribed_once(self, tmp_path: Path) -> None:
        transcribed = []

        def transcribe(path: Path) -> str:
            transcribed.append(path.name)
            return path.read_text()

        for name, audio in (("a", "la"), ("b", "lo"), ("c", "la")):
            (tmp_path / name).write_text(audio)
            found = evaluators.cached_transcript(tmp_path / "kept", tmp_path / name, transcribe)
            assert found == audio
        assert transcribed == ["a", "b"]

    def test_other_weights_of_whisper_are_refused(self, tmp_path: Path) -> None:
        message, hint = refusal(whisper.require_weights, tmp_path)
        assert message == f"no file {tmp_path / 'tokenizer.json'}"
        assert hint is not None
        assert "--whisper" in hint
        (tmp_path / "onnx").mkdir()
        for name in ("tokenizer.json", "generation_config.json"):
            (tmp_path / name).touch()
        path = tmp_path / "onnx" / "encoder_model_quantized.onnx"
        assert refusal(whisper.require_weights, tmp_path)[0] == f"no file {path}"
        path.touch()
        other = f"{path} has other weights than expected"
        assert refusal(whisper.require_weights, tmp_path)[0] == other

    def test_the_input_of_whisper_is_a_log_mel_spectrogram(self) -> None:
        filterbank = torch.zeros(80, 201)
        filterbank[range(80), range(80)] = 1.0  # each of the lowest frequencies is a band
        time = np.arange(whisper.SAMPLE_RATE) / whisper.SAMPLE_RATE
        sine = np.sin(2 * np.pi * 800 * time).astype(np.float32)
        features = whisper.log_mel(sine, filterbank)
        assert features.shape == (80, 3000)
        assert int(features[:, 50].argmax()) == 20  # bands are 40 Hz apart
        assert features[20, 50] == features.max()
        silence = float(features[20, 200])
        assert silence == pytest.approx(float(features.max()) - 2.0)  # 80 dB below the maximum

    @needs("basic_pitch", "librosa", "onnxruntime", "resampy")
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    def test_notes_are_transcribed(self, tmp_path: Path) -> None:
        audio = np.zeros(3 * 22050, np.float32)
        for start, pitch in ((0.5, 69), (1.5, 72)):
            time = np.arange(15000) / 22050
            frequency = 440 * 2 ** ((pitch - 69) / 12)
            partials = sum(np.sin(2 * np.pi * frequency * n * time) / n**3 for n in (1, 2, 3))
            audio[round(start * 22050) :][:15000] += 0.2 * partials * np.exp(-3 * time)
        soundfile.write(tmp_path / "notes.wav", audio, 22050)
        notes = note_transcription.load_note_transcriber()(tmp_path / "notes.wav")
        assert [note.pitch for note in notes] == [69, 72]
        assert [note.onset for note in notes] == pytest.approx([0.5, 1.5], abs=0.05)

    @needs("librosa", "onnxruntime", "tokenizers")
    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.skipif(not WHISPER, reason="needs WHISPER_SMALL: its folder, see evaluators.txt")
    @pytest.mark.skipif(not shutil.which("flite"), reason="needs flite, which speaks")
    def test_words_are_transcribed(self, tmp_path: Path) -> None:
        text = "hold my hand and never let me go over the broken window to the winter sea"
        path = tmp_path / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
        transcribe = whisper.load_word_transcriber(Path(str(WHISPER)))
        assert normalized_words(transcribe(path)) == text.split()
