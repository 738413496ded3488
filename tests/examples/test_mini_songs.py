"""The composed songs that `mini` is trained on, and its recipe."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.mini_modules import Modules

pretty_midi = pytest.importorskip("pretty_midi", reason="the composer writes pretty_midi objects")
np = pytest.importorskip("numpy")
pytest.importorskip("soxr", reason="the renderer resamples with soxr")


def notes_of(midi: Any) -> list[tuple[object, ...]]:
    """Every note of a song, comparable."""
    return [
        (i.name, n.pitch, n.velocity, n.start, n.end) for i in midi.instruments for n in i.notes
    ]


def test_there_are_three_artists_in_each_of_four_genres(mini: Modules) -> None:
    genres = [artist.genre for artist in mini["artists"].ARTISTS.values()]
    assert {g: genres.count(g) for g in genres} == {
        "rock": 3, "jazz": 3, "classical": 3, "electronic": 3,
    }  # fmt: skip


def test_a_seed_determines_every_note(mini: Modules, tmp_path: Path) -> None:
    compose = mini["compose"].compose
    for artist in mini["artists"].ARTISTS:
        first, again, other = compose(artist, 3), compose(artist, 3), compose(artist, 4)
        assert notes_of(first) == notes_of(again)
        assert notes_of(first) != notes_of(other)
        first.write(str(tmp_path / "first.mid"))
        again.write(str(tmp_path / "again.mid"))
        assert (tmp_path / "first.mid").read_bytes() == (tmp_path / "again.mid").read_bytes()


def test_notes_stay_in_the_range_of_their_instrument(mini: Modules) -> None:
    for name, artist in mini["artists"].ARTISTS.items():
        parts = {part.name: part for part in artist.parts}
        for seed in range(4):
            for instrument in mini["compose"].compose(name, seed).instruments:
                part = parts[instrument.name]
                assert instrument.notes or seed, f"{name}: {part.name} never plays"
                for note in instrument.notes:
                    assert part.low <= note.pitch <= part.high, (name, part.name, note)
                    assert 1 <= note.velocity <= 127
                    assert note.end > note.start >= 0


def test_no_note_is_cut_by_the_same_pitch_starting_again(mini: Modules) -> None:
    for name in mini["artists"].ARTISTS:
        for instrument in mini["compose"].compose(name, 1).instruments:
            sounding: dict[int, float] = {}
            for note in sorted(instrument.notes, key=lambda n: n.start):
                assert sounding.get(note.pitch, 0.0) <= note.start
                sounding[note.pitch] = note.end


def test_only_artists_with_a_drummer_have_drums(mini: Modules) -> None:
    for name, artist in mini["artists"].ARTISTS.items():
        drums = [i for i in mini["compose"].compose(name, 0).instruments if i.is_drum]
        assert bool(drums) == any(part.role == "drums" for part in artist.parts)
        assert bool(drums) == (artist.genre != "classical")


def test_every_form_returns_to_a_section_and_leaves_it(mini: Modules) -> None:
    for artist in mini["artists"].ARTISTS.values():
        for form in artist.forms:
            kinds = form.split()
            assert len(set(kinds)) >= 2
            assert any(kinds.count(kind) >= 2 for kind in kinds) or "last" in kinds


def test_a_section_that_returns_has_the_same_chords_and_patterns(mini: Modules) -> None:
    for artist in mini["artists"].ARTISTS.values():
        plan = mini["song_plan"].plan_song(artist, 2)
        first: dict[str, Any] = {}
        for placed in plan.sections:
            known = first.setdefault(placed.kind, placed)
            assert placed.spans == known.spans
            assert placed.patterns == known.patterns


def test_songs_last_between_one_and_two_minutes(mini: Modules) -> None:
    tail = mini["render"].TAIL_SECONDS
    for name in mini["artists"].ARTISTS:
        for seed in range(4):
            assert 60 <= mini["compose"].compose(name, seed).get_end_time() + tail <= 121


def test_songs_begin_without_silence(mini: Modules) -> None:
    for name in mini["artists"].ARTISTS:
        midi = mini["compose"].compose(name, 5)
        assert min(n.start for i in midi.instruments for n in i.notes) < 0.1


def test_chord_symbols_are_parsed(mini: Modules) -> None:
    parse, scale = mini["theory"].parse_chord, mini["theory"].chord_scale
    assert parse("V7").classes(0) == (7, 11, 2, 5)
    assert parse("bVI").classes(9) == (5, 9, 0)
    assert parse("V7_3").bass_class(0) == 11
    assert scale(0, "major", parse("i")) == (0, 2, 3, 5, 7, 9, 11)
    with pytest.raises(ValueError, match="not a chord"):
        parse("H7")


def test_voice_leading_moves_little(mini: Modules) -> None:
    lead, parse = mini["theory"].voice_lead, mini["theory"].parse_chord
    first = lead(None, parse("I").classes(0), 48, 72, 3)
    second = lead(first, parse("vi").classes(0), 48, 72, 3)
    assert {p % 12 for p in second} == {9, 0, 4}
    assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) <= 4


def test_mastering_limits_peaks_and_sets_the_loudness(mini: Modules) -> None:
    render = mini["render"]
    rng = np.random.default_rng(0)
    clicks = rng.normal(0, 0.02, render.SAMPLE_RATE * 4)
    clicks[:: render.SAMPLE_RATE // 2] = 1.0
    mastered = render.master(clicks)
    assert np.abs(mastered).max() <= render.CEILING + 1e-6
    assert mastered.dtype == np.float32
    tone = 0.01 * np.sin(np.arange(render.SAMPLE_RATE * 8) * 0.1)
    level = 20 * np.log10(np.sqrt(np.mean(render.master(tone) ** 2)))
    assert abs(level - render.LOUDNESS_DB) < 1


def test_a_missing_soundfont_is_one_error_line(
    mini: Modules, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent.sf2"
    code = mini["make_songs"].main(["--out", str(tmp_path / "o"), "--soundfont", str(absent)])
    error = capsys.readouterr().err.strip()
    assert code == 1
    assert "\n" not in error
    assert str(absent) in error
    assert "--soundfont" in error


def test_artists_take_turns_and_held_out_songs_are_other_songs(mini: Modules) -> None:
    train, held = mini["make_songs"].choose_songs(minutes=30, held_out=12, seed=1)
    assert {song.artist for song in held} == set(mini["artists"].ARTISTS)
    assert not set(train) & set(held)
    assert len({song.artist for song in train[:12]}) == 12


def test_songs_and_manifests_are_written(mini: Modules, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    if importlib.util.find_spec("tinysoundfont") is None:
        pytest.skip("tinysoundfont is not installed")
    try:
        soundfont = mini["render"].find_soundfont()
    except mini["render"].RenderError as error:
        pytest.skip(str(error))
    arguments = ["--out", str(tmp_path), "--minutes", "0.5", "--held-out", "1"]
    arguments += ["--soundfont", str(soundfont)]
    assert mini["make_songs"].main(arguments) == 0
    entry = json.loads((tmp_path / "songs.jsonl").read_text().splitlines()[0])
    samples, rate = soundfile.read(tmp_path / entry["audio"])
    assert rate == 22050
    assert samples.ndim == 1
    assert abs(len(samples) / rate - entry["seconds"]) < 0.01
    assert np.abs(samples).max() < 0.9
    assert np.abs(samples[: rate // 10]).max() > 0.001
    assert np.abs(samples[-rate // 100 :]).max() < 0.001
    assert abs(20 * np.log10(np.sqrt(np.mean(samples**2))) + 17) < 1
    assert pretty_midi.PrettyMIDI(str(tmp_path / entry["midi"])).get_end_time() < entry["seconds"]
    assert len((tmp_path / "held-out.jsonl").read_text().splitlines()) == 1
    os.utime(tmp_path / entry["audio"], (1, 1))
    assert mini["make_songs"].main(arguments) == 0
    assert (tmp_path / entry["audio"]).stat().st_mtime == 1, "a finished song was written again"
