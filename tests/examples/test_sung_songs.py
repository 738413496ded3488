"""The sung songs that `mini` is trained on: lyrics, notes, word times, audio."""

from __future__ import annotations

import importlib.util
import json
import re
import warnings
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from jukebox_plugins.lyrics.text import parse_lyrics

from support.mini_modules import Modules

pretty_midi = pytest.importorskip("pretty_midi", reason="the composer writes pretty_midi objects")
np = pytest.importorskip("numpy")
pytest.importorskip("soxr", reason="the renderer resamples with soxr")


@pytest.fixture(scope="module")
def voice(mini: Modules) -> ModuleType:
    """The voice, where flite and pyworld are installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mini["voice"].check_voice()
    except mini["render"].RenderError as error:
        pytest.skip(str(error))
    return mini["voice"]


@pytest.fixture(scope="module")
def soundfont(mini: Modules) -> Path:
    """The soundfont, where one and the synthesiser for it are installed."""
    if importlib.util.find_spec("tinysoundfont") is None:
        pytest.skip("tinysoundfont is not installed")
    try:
        found: Path = mini["render"].find_soundfont()
    except mini["render"].RenderError as error:
        pytest.skip(str(error))
    return found


def texts(song: Any, section: str | None = None) -> list[list[str]]:
    """The lines of each sung section of a song."""
    found: list[tuple[str, list[str]]] = []
    for line in song.lines:
        if line.section:
            found.append((line.section, []))
        found[-1][1].append(" ".join(word.text for word in line.words))
    return [lines for name, lines in found if section in (None, name)]


def test_every_artist_sings_sections_of_its_own_songs(mini: Modules) -> None:
    vocals, artists = mini["singing"].VOCALS, mini["artists"].ARTISTS
    assert set(vocals) == set(artists)
    for name, who in vocals.items():
        sung = {*who.verses, *who.choruses}
        assert sung <= set(artists[name].sections), name
        for form in who.forms or artists[name].forms:
            assert set(form.split()) <= set(artists[name].sections), name
            assert sum(kind in sung for kind in form.split()) >= 2, name


def test_a_seed_fixes_words_and_notes(mini: Modules) -> None:
    compose = mini["sung_songs"].compose_sung
    for artist in mini["singing"].VOCALS:
        first, again, other = compose(artist, 3), compose(artist, 3), compose(artist, 4)
        assert first.notes == again.notes
        assert texts(first) == texts(again)
        assert texts(first) != texts(other)


def test_verses_differ_and_choruses_repeat_their_words(mini: Modules) -> None:
    returned = 0
    for artist in mini["singing"].VOCALS:
        song = mini["sung_songs"].compose_sung(artist, 5)
        verses, choruses = texts(song, "Verse"), texts(song, "Chorus")
        assert len({tuple(verse) for verse in verses}) == len(verses) > 0
        assert all(chorus == choruses[0] for chorus in choruses)
        returned += len(choruses) > 1
    assert returned >= 8


def test_lines_use_the_vocabulary_and_have_as_many_syllables_as_allowed(mini: Modules) -> None:
    lyrics = mini["lyrics"]
    known = set(lyrics.vocabulary())
    assert 100 <= len(known) <= 150
    assert sum(lyrics.syllables(word) <= 2 for word in known) > 0.9 * len(known)
    for write in (lyrics.write_verse, lyrics.write_chorus):
        for low, high in ((3, 5), (5, 8), (7, 10)):
            lines = write(lyrics.Random(low), 4, lyrics.SyllableRange(low, high))
            assert {word for line in lines for word in line} <= known
            assert all(low <= sum(map(lyrics.syllables, line)) <= high for line in lines)
            assert len(set(lines)) == 4


def test_most_lines_rhyme_in_pairs(mini: Modules) -> None:
    lyrics = mini["lyrics"]
    family = {word: row for row in lyrics.RHYMES for word in row.split()}
    pairs = []
    for seed in range(40):
        verse = lyrics.write_verse(lyrics.Random(seed), 4, lyrics.SyllableRange(5, 8))
        pairs += list(zip(verse[::2], verse[1::2], strict=True))
    rhymed = sum(
        one[-1] != two[-1] and family[one[-1]] == family.get(two[-1]) for one, two in pairs
    )
    assert rhymed > 0.7 * len(pairs)


def test_rhyming_words_are_in_one_row_and_in_the_vocabulary(mini: Modules) -> None:
    lyrics = mini["lyrics"]
    rhyming = [word for row in lyrics.RHYMES for word in row.split()]
    assert len(rhyming) == len(set(rhyming))
    assert set(rhyming) <= set(lyrics.vocabulary())


def test_there_is_a_note_for_every_syllable_within_the_voices_range(mini: Modules) -> None:
    singing, lyrics = mini["singing"], mini["lyrics"]
    for artist in singing.VOCALS:
        song = mini["sung_songs"].compose_sung(artist, 6)
        for line, notes in zip(song.lines, song.notes, strict=True):
            for word, (spelled, mine) in zip(line.words, notes, strict=True):
                assert spelled == lyrics.spell(word.text)
                assert len(mine) == lyrics.syllables(word.text)
                assert all(singing.LOW <= pitch <= singing.HIGH for _, _, pitch in mine)


def test_notes_do_not_overlap_and_lines_end_with_a_rest(mini: Modules) -> None:
    for artist in mini["singing"].VOCALS:
        song = mini["sung_songs"].compose_sung(artist, 7)
        lines = [[note for _, word in line for note in word] for line in song.notes]
        for line in lines:
            for before, after in pairwise(line):
                assert before[0] < before[1] <= after[0] + 1e-9
        for before, after in pairwise(lines):
            assert after[0][0] - before[-1][1] > 0.3, artist
        assert lines[-1][-1][1] < song.band.get_end_time()


def test_singing_takes_about_half_to_two_thirds_of_the_time(mini: Modules) -> None:
    for artist in mini["singing"].VOCALS:
        for seed in range(3):
            song = mini["sung_songs"].compose_sung(artist, seed)
            seconds = sum(line[-1][1][-1][1] - line[0][1][0][0] for line in song.notes)
            count = sum(map(len, song.notes))
            assert 0.45 < seconds / song.band.get_end_time() < 0.8, artist
            assert 1 < count / seconds < 2, artist


def test_lead_instruments_are_silent_where_the_voice_sings(mini: Modules) -> None:
    roles = mini["players"].LEAD_ROLES
    for artist in mini["singing"].VOCALS:
        vocals = mini["singing"].VOCALS[artist]
        plan = mini["singing"].plan_sung(artist, 1)
        leads = {part.name for part in plan.artist.parts if part.role in roles}
        for placed in plan.sections:
            if mini["singing"].section_of(placed.kind, vocals):
                assert placed.patterns
                assert not leads & set(placed.patterns)


def test_the_voice_is_an_instrument_of_the_midi_file(mini: Modules, tmp_path: Path) -> None:
    song = mini["sung_songs"].compose_sung("Paper Harbour", 1)
    song.midi().write(str(tmp_path / "song.mid"))
    read = pretty_midi.PrettyMIDI(str(tmp_path / "song.mid"))
    (sung,) = [i for i in read.instruments if i.name == "voice"]
    notes = sorted(note for line in song.notes for _, word in line for note in word)
    assert sung.program == 53
    assert [n.pitch for n in sung.notes] == [pitch for _, _, pitch in notes]
    assert [n.start for n in sung.notes] == pytest.approx(
        [start for start, _, _ in notes], abs=0.005
    )
    assert len(read.instruments) == 1 + sum(bool(i.notes) for i in song.band.instruments)


def test_lrc_has_sections_lines_words_and_ends(mini: Modules) -> None:
    sung = mini["sung_songs"]
    first = sung.TimedLine(
        (sung.TimedWord("never", 59.996, 60.5), sung.TimedWord("go", 60.5, 61.25)), "Chorus"
    )
    second = sung.TimedLine((sung.TimedWord("home", 125.0, 126.017),), "Verse")
    assert sung.write_lrc([first, second]) == (
        "[Chorus]\n[01:00.00]<01:00.00>never <01:00.50>go<01:01.25>\n\n"
        "[Verse]\n[02:05.00]<02:05.00>home<02:06.02>\n"
    )


def test_lrc_is_read_back_as_words_times_and_sections(mini: Modules) -> None:
    sung = mini["sung_songs"]
    line = sung.TimedLine(
        (sung.TimedWord("take", 1.0, 1.5), sung.TimedWord("me", 1.5, 2.0)), "Verse"
    )
    read = parse_lyrics(sung.write_lrc([line]))
    assert read["lyrics"] == "take me"
    assert read["lyrics_sections"] == [[0, "Verse"]]
    assert read["lyrics_times"] == [[0, 1.0], [5, 1.5], [7, 2.0]]


@pytest.mark.slow
def test_the_voice_has_a_vowel_for_every_syllable_of_the_vocabulary(
    mini: Modules, voice: ModuleType
) -> None:
    lyrics = mini["lyrics"]
    for word in lyrics.vocabulary():
        assert len(voice.speak(lyrics.spell(word)).vowels) == lyrics.syllables(word), word


def test_a_word_is_audible_at_its_time(voice: ModuleType) -> None:
    line = voice.sing([("my", [(1.0, 1.5, 64)]), ("river", [(1.5, 1.9, 66), (1.9, 2.8, 62)])])
    (first, second), (third, last) = line.words
    assert 0.8 < first < 1.0 < second == third < 1.5
    assert last == 2.8
    assert line.start == pytest.approx(first, abs=0.003)
    power = np.convolve(line.samples**2, np.ones(80) / 80, "same")
    audible = np.flatnonzero(power > power.max() * 10**-3.5) / voice.VOICE_RATE + line.start
    assert audible[0] == pytest.approx(first, abs=0.015)
    assert audible[-1] == pytest.approx(last, abs=0.05)


def test_a_vowel_has_the_pitch_of_its_note(voice: ModuleType) -> None:
    for pitch in (57, 64, 72):
        line = voice.sing([("me", [(1.0, 2.0, pitch)])])
        at = int((1.1 - line.start) * voice.VOICE_RATE)
        piece = line.samples[at : at + 3200] * np.hanning(3200)
        correlation = np.fft.irfft(np.abs(np.fft.rfft(piece, 8192)) ** 2)
        expected = voice.VOICE_RATE / (440 * 2 ** ((pitch - 69) / 12))
        shortest, longest = int(expected / 1.4), int(expected * 1.4)
        period = shortest + int(np.argmax(correlation[shortest:longest]))
        measured = 69 + 12 * np.log2(voice.VOICE_RATE / period / 440)
        assert measured == pytest.approx(pitch, abs=0.6)


def test_the_voice_is_louder_than_the_band(mini: Modules) -> None:
    sung, voice = mini["sung_songs"], mini["voice"]
    rng = np.random.default_rng(0)
    band = rng.normal(0, 0.1, 22050 * 4)
    band[22050 * 2 :] *= 3
    before = band.copy()
    lines = [voice.RenderedLine(rng.normal(0, 0.02, 16000), start, []) for start in (0.5, 2.5)]
    sung.add_voice(band, lines)
    added = band - before
    for start, above in ((0.5, 17.0), (2.5, 7.5)):
        at = slice(int(start * 22050), int((start + 1) * 22050))
        ratio = 20 * np.log10(added[at].std() / before[at].std())
        assert ratio == pytest.approx(above, abs=0.7)
    assert not added[: 22050 // 2].any()


@pytest.mark.parametrize("sung", [False, True])
def test_held_out_songs_are_never_trained_on(mini: Modules, sung: bool) -> None:
    train, held = mini["make_songs"].choose_songs(30, 24, 2, sung)
    assert all(song.sung == sung for song in train + held)
    names = [song.name for song in train + held]
    assert len(set(names)) == len(names)
    assert not {song.seed for song in train} & {song.seed for song in held}


def test_sung_songs_have_names_of_their_own(mini: Modules) -> None:
    song = mini["make_songs"].Song
    assert song("Iron Lantern", 3).name == "iron-lantern-000003"
    assert song("Iron Lantern", 3, sung=True).name == "iron-lantern-sung-000003"


def test_missing_flite_is_one_error_line(
    mini: Modules,
    voice: ModuleType,
    soundfont: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(voice.shutil, "which", lambda name: None)
    arguments = ["--sung", "--out", str(tmp_path), "--soundfont", str(soundfont)]
    assert mini["make_songs"].main(arguments) == 1
    error = capsys.readouterr().err
    assert error == "error: no voice without flite: install it (apt install flite)\n"


def test_missing_pyworld_is_one_error_line(mini: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = mini["voice"]

    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'pkg_resources'")

    voice._world.cache_clear()
    monkeypatch.setattr(voice.importlib, "import_module", missing)
    with pytest.raises(mini["render"].RenderError) as caught:
        voice.check_voice()
    assert str(caught.value) == (
        "no voice without pyworld (No module named 'pkg_resources'): "
        "install it (pip install pyworld 'setuptools<81')"
    )


@pytest.mark.slow
def test_sung_songs_and_manifests_are_written(
    mini: Modules, voice: ModuleType, soundfont: Path, tmp_path: Path
) -> None:
    soundfile = pytest.importorskip("soundfile")
    arguments = ["--sung", "--out", str(tmp_path), "--minutes", "0.5", "--held-out", "1"]
    arguments += ["--soundfont", str(soundfont)]
    assert mini["make_songs"].main(arguments) == 0
    entry = json.loads((tmp_path / "songs.jsonl").read_text().splitlines()[0])
    held = json.loads((tmp_path / "held-out.jsonl").read_text())
    assert entry["lyrics"] == "iron-lantern-sung-000000.lrc"
    assert held["held_out"]
    assert (tmp_path / held["lyrics"]).exists()
    samples, rate = soundfile.read(tmp_path / entry["audio"])
    assert len(samples) / rate == pytest.approx(entry["seconds"], abs=0.01)
    assert 20 * np.log10(np.sqrt(np.mean(samples**2))) == pytest.approx(-17, abs=1)
    lrc = (tmp_path / entry["lyrics"]).read_text()
    stamps = [60 * int(m) + float(s) for m, s in re.findall(r"<(\d\d):(\d\d\.\d\d)>", lrc)]
    assert stamps == sorted(stamps)
    assert 0 <= stamps[0] < stamps[-1] < entry["seconds"]
    song = mini["sung_songs"].compose_sung("Iron Lantern", 0)
    expected = [line for lines in texts(song) for line in lines]
    assert parse_lyrics(lrc)["lyrics"] == "\n".join(expected).replace("-", "")
    starts = dict(map(tuple, parse_lyrics(lrc)["lyrics_times"]))
    vowel = song.notes[0][0][1][0][0]
    assert vowel - 0.17 < starts[0] <= vowel + 0.01
    (tmp_path / entry["audio"]).touch()
    stamp = (tmp_path / entry["audio"]).stat().st_mtime_ns
    assert mini["make_songs"].main(arguments) == 0
    assert (tmp_path / entry["audio"]).stat().st_mtime_ns == stamp, (
        "a finished song was written again"
    )
