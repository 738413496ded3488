"""`jukebox report`: what is in the page, and what can go wrong."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from jukebox_plugins.report import lyrics, sound
from jukebox_plugins.report.facts import told
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.report_pages import Reader, likeness
from support.results import Result
from support.run_files import chord, contents

Jukebox = Callable[..., Result]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory, tiny: Model, registry: Registry) -> Path:
    """A whole run of two items. Read only: work on a copy."""
    run = tmp_path_factory.mktemp("runs") / "song"
    words = ["generate", "--model", str(tiny.path), "--seconds", "0.5", "--items", "2", "--seed"]
    words += ["7", "--artist", "Ada Vale", "--genre", "rock,jazz", "--out", str(run), "--quiet"]
    result = CliRunner().invoke(build_app(registry), words)
    assert result.exit_code == 0, result.output
    return run


@pytest.fixture
def run(drawn: Path, here: Path) -> Path:
    """A copy of the run, in the working folder."""
    return Path(shutil.copytree(drawn, here / "song"))


@pytest.fixture
def page(run: Path, jukebox: Jukebox) -> Reader:
    assert jukebox("report", run).code == 0
    return Reader(run / "report.html")


def ask(run: Path, **song: Any) -> None:
    """Changes what was asked for."""
    for item, spec in Run(run).read_items(Run(run).items()).items():
        first = spec.segments[0]
        segment = replace(first, conditions={**first.conditions, **song})
        Run(run).write_item(item, spec.with_segment(0, segment))


def cut(run: Path, model: Model, level: int, item: int, tokens: int) -> None:
    """Leaves the first so many tokens of an item, as a stopped command does."""
    there = Run(run).read_tokens(level, item)
    assert there is not None
    Run(run).write_tokens(level, item, there[:tokens], model.config.vqvae)


# what is in it


def test_a_page_tells_what_was_asked_and_how_it_was_made(page: Reader, tiny: Model) -> None:
    assert page.all("html", lang="en")
    for words in ("artist Ada Vale", "genre rock, jazz", "length 0.5 s", "model tiny", "seed 7"):
        assert words in page.text
    assert f"its fingerprint {tiny.fingerprint()}" in page.text
    assert "sample rate 8,000 Hz" in page.text
    assert "Level 0 2,000 0.5 none" in page.text
    assert "Level 2 500 0.5 none" in page.text


def test_a_page_has_a_player_and_a_picture_for_every_level_of_every_item(page: Reader) -> None:
    labels = [f"Item {item}, level {level}" for item in (0, 1) for level in (0, 1, 2)]
    assert [a["aria-label"] for a in page.all("audio")] == labels
    pictures_ = page.all("img")
    assert len(pictures_) == 6
    assert str(pictures_[4]["alt"]).startswith(
        "Mel spectrogram of item 1, level 1: 0 to 0.5 seconds from left to right, "
        "0 to 4 kHz from bottom to top; most of its power is near "
    )
    assert len({a["src"] for a in (*pictures_, *page.all("audio"))}) == 12


def test_a_page_asks_for_nothing_outside_itself(page: Reader) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:")), (tag, name)
    (policy,) = page.all("meta", http_equiv_="x") or page.all(
        "meta", **{"http-equiv": "Content-Security-Policy"}
    )
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:; media-src data:;")
    assert not re.search(r"https?://|url\(|@import", page.words and page.text)


def heard(page: Reader, label: str) -> np.ndarray:
    """What a player plays."""
    (audio,) = page.all("audio", **{"aria-label": label})
    mp3 = base64.b64decode(str(audio["src"]).removeprefix("data:audio/mpeg;base64,"))
    samples, rate = soundfile.read(io.BytesIO(mp3), dtype="float32")
    assert rate == 8000
    return np.asarray(samples)


def test_what_is_heard_is_what_decode_writes(run: Path, page: Reader, jukebox: Jukebox) -> None:
    jukebox("decode", run, "--level", 1)
    for level, folder in ((0, run / "audio"), (1, run / "audio" / "level-1")):
        for item in (0, 1):
            wav, _ = soundfile.read(folder / f"item-0{item}.wav", dtype="float32")
            mine = heard(page, f"Item {item}, level {level}")
            assert len(mine) == len(wav)
            assert likeness(mine, wav) > 0.9  # noise, which MP3 keeps least of
    assert likeness(heard(page, "Item 0, level 0"), heard(page, "Item 1, level 0")) < 0.5


def test_audio_that_is_there_is_taken(run: Path, jukebox: Jukebox) -> None:
    mine = chord(0.5)[:, 0]
    soundfile.write(run / "audio" / "item-00.wav", mine, 8000)
    jukebox("report", run)
    assert likeness(heard(Reader(run / "report.html"), "Item 0, level 0"), mine) > 0.99


def test_audio_older_than_its_tokens_is_not(run: Path, jukebox: Jukebox) -> None:
    soundfile.write(run / "audio" / "item-00.wav", chord(0.5), 8000)
    os.utime(run / "audio" / "item-00.wav", (1, 1))
    jukebox("report", run)
    assert likeness(heard(Reader(run / "report.html"), "Item 0, level 0"), chord(0.5)[:, 0]) < 0.5


def test_the_run_itself_is_left_as_it_is(run: Path, jukebox: Jukebox) -> None:
    before = contents(run)
    jukebox("report", run, "--out", "shared/page.html")
    assert contents(run) == before
    assert Path("shared/page.html").is_file()


def test_some_items_and_levels(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", run, "--only", "1", "--levels", "0,2", "--json")
    report = run / "report.html"
    assert json.loads(result.out) == {
        "report": str(report),
        "items": [1],
        "players": 2,
        "bytes": report.stat().st_size,
    }
    labels = [a["aria-label"] for a in Reader(report).all("audio")]
    assert labels == ["Item 1, level 0", "Item 1, level 2"]


def test_what_is_said(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", run)
    size = (run / "report.html").stat().st_size / 1e6
    assert result.out == f"{run}/report.html\n"
    wrote = f"wrote {run}/report.html: 6 players, {size:.1f} MB"
    assert result.err == f"report: 24,000 samples\n{wrote}\n"
    quiet = jukebox("report", run, "--quiet", "--only", "0", "--levels", "2")
    assert (quiet.out, quiet.err) == (f"{run}/report.html\n", "")


def test_a_large_page_is_told(run: Path, jukebox: Jukebox, monkeypatch: Any) -> None:
    monkeypatch.setattr("jukebox_cli.cli.report.LARGE", 1000)
    text = f"{run}/report.html is large: --only and --levels make it smaller\n"
    assert text in jukebox("report", run).err


def test_many_players_wait_to_be_played(run: Path, jukebox: Jukebox, monkeypatch: Any) -> None:
    assert jukebox("report", run).code == 0
    assert {a["preload"] for a in Reader(run / "report.html").all("audio")} == {"metadata"}
    monkeypatch.setattr("jukebox_plugins.report.page.READY", 5)
    jukebox("report", run)
    assert {a["preload"] for a in Reader(run / "report.html").all("audio")} == {"none"}


def test_unfinished_items_are_shown_as_far_as_they_are(
    run: Path, tiny: Model, jukebox: Jukebox
) -> None:
    cut(run, tiny, 0, 0, 0)
    cut(run, tiny, 1, 0, 400)
    cut(run, tiny, 0, 1, 500)
    assert jukebox("report", run).code == 0
    page = Reader(run / "report.html")
    assert "level 0 not begun level 1 drawn to 0.4 of 0.5 s" in page.text
    assert "level 0 drawn to 0.2 of 0.5 s" in page.text
    labels = [a["aria-label"] for a in page.all("audio")]
    assert labels == ["Item 0, level 2", "Item 1, level 1", "Item 1, level 2"]


def test_an_item_without_sound_is_told_of(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    for level in range(3):
        cut(run, tiny, level, 0, 30)
    assert jukebox("report", run).code == 0
    page = Reader(run / "report.html")
    assert "level 2 drawn to 0.1 of 0.5 s" in page.text
    assert len(page.all("audio")) == 3


def test_what_was_given_is_told(here: Path, tone: Path, tiny: Model, jukebox: Jukebox) -> None:
    jukebox("tokenize", tone, "--model", tiny.path, "--out", "heard")
    jukebox("report", "heard")
    assert "Item 0 2 s all of it given, not drawn" in Reader(Path("heard/report.html")).text
    jukebox("continue", "heard", "--seconds", 0.1)
    jukebox("report", "heard")
    page = Reader(Path("heard/report.html"))
    assert "Item 0 2.1 s the first 2 s given, the rest drawn" in page.text


def test_conditions_of_a_single_item(run: Path, jukebox: Jukebox) -> None:
    jukebox("continue", run, "--only", "1", "--seconds", "0.1", "--artist", "Bo Marsh")
    jukebox("report", run)
    text = Reader(run / "report.html").text
    first, second = text.index("Item 0 0.5 s"), text.index("Item 1 0.6 s")
    assert "Bo Marsh" not in text[first:second]
    assert text[second:].startswith(
        "Item 1 0.6 s the first 0.5 s given, the rest drawn artist Bo Marsh genre rock, jazz"
    )


HOSTILE = "</script><script>alert(1)</script> & \"quotes\" 'n' <b>bold</b> {{ 7 * 7 }} \u202e"


def test_no_text_of_a_person_becomes_markup(run: Path, here: Path, jukebox: Jukebox) -> None:
    run = Path(shutil.move(run, here / "<i>b & \"c\" 'ünï'"))
    instrument = {"program": 0, "drum": False, "name": HOSTILE, "notes": []}
    ask(run, artist=HOSTILE, lyrics=f"{HOSTILE}\nla", midi=[instrument], **{HOSTILE: HOSTILE})
    row = {"text": HOSTILE, "words": [{"word": w, "start": 0, "end": 0.1} for w in HOSTILE.split()]}
    align(run, 0, row, {"section": HOSTILE})
    (run / "log.jsonl").write_text(json.dumps({"event": HOSTILE}) + "\n")
    assert jukebox("report", run).code == 0
    page = Reader(run / "report.html")
    assert len(page.all("script")) == 1
    assert not page.all("b")
    assert not page.all("i")
    assert page.text.count(f"artist {HOSTILE}") == 1
    assert "49" not in page.text
    assert "<i>b & \"c\" 'ünï' · jukebox" in page.text
    assert page.text_of("lyrics.txt") == f"{HOSTILE}\nla"


# lyrics


TEXT = "We sing all night,\nthe river runs\n\nhold on to me"


def align(run: Path, item: int, *lines: dict[str, Any], **more: Any) -> Path:
    """Writes when the words of an item are sung."""
    data = {"format": 2, "item": item, "level": 2, "layer": 3, "head": 1, "lines": lines, **more}
    path = run / "alignment" / f"item-{item:02}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def line(text: str, *times: tuple[str, float, float]) -> dict[str, Any]:
    words = [{"word": word, "start": start, "end": end} for word, start, end in times]
    return {"text": text, "start": times[0][1], "end": times[-1][2], "words": words}


def test_words_with_their_times(run: Path, jukebox: Jukebox) -> None:
    ask(run, lyrics=TEXT)
    sung = line("We sing, all", ("We", 0.0, 0.1), ("sing", 0.125, 0.2), ("all", 0.25, 0.3))
    align(run, 1, {"section": "Chorus"}, sung)
    jukebox("report", run)
    page = Reader(run / "report.html")
    times = [(a["data-start"], a["data-end"]) for a in page.all("span", class_="word")]
    assert times == [("0.0", "0.1"), ("0.125", "0.2"), ("0.25", "0.3")]
    assert "Chorus We sing , all" in page.text
    assert page.text.count("Choose a word to hear the song from there") == 1


def test_words_without_their_times(run: Path, jukebox: Jukebox) -> None:
    ask(run, lyrics=TEXT, lyrics_times=[], lyrics_sections=[[34, "Chorus"]])
    jukebox("report", run, "--only", "0")
    page = Reader(run / "report.html")
    assert "Lyrics When each word is sung is not known yet: jukebox align finds out" in page.text
    assert "We sing all night, the river runs Chorus hold on to me" in page.text
    assert "lyrics 11 words in 3 lines" in page.text


def test_words_with_the_times_that_were_asked_for(run: Path, jukebox: Jukebox) -> None:
    times = [[0, 0.1], [3, 0.2], [12, 0.5], [12, 0.7], [15, 0.8]]
    ask(run, lyrics="We sing all\nno end", lyrics_times=times, lyrics_sections=[[0, "Verse"]])
    jukebox("report", run, "--only", "0")
    page = Reader(run / "report.html")
    found = [(a["data-start"], a["data-end"]) for a in page.all("span", class_="word")]
    starts = [pytest.approx(s) for s in (0.1, 0.2, 0.2 + 5 / 9 * 0.3, 0.7)]
    assert [float(start) for start, _ in found] == starts
    assert float(found[2][1]) == pytest.approx(0.2 + 8 / 9 * 0.3)
    assert "Verse We sing all no end" in page.text
    assert "Words light up when they were asked for: jukebox align finds out" in page.text


def test_a_song_without_words_has_no_lyrics(page: Reader) -> None:
    assert "Lyrics" not in page.text
    assert "jukebox align" not in page.text


def test_lines_whose_text_is_not_their_words() -> None:
    words = [lyrics.Piece("a", 0, 1), lyrics.Piece("b", 1, 2)]
    between = lyrics._between
    assert [p.text for p in between("(a) b!", words)] == ["(", "a", ") ", "b", "!"]
    assert [p.text for p in between("something else", words)] == ["a", " ", "b"]
    assert [p.text for p in between("b a", words)] == ["a", " ", "b"]


def test_a_line_without_words_is_one_word(run: Path) -> None:
    path = align(run, 0, {"text": "oh oh", "start": 1, "end": 2.5})
    assert lyrics.aligned(path) == [lyrics.Line((lyrics.Piece("oh oh", 1.0, 2.5),))]


def test_words_that_are_not_sung_have_no_times(run: Path) -> None:
    row = {"text": "oh my", "words": [{"word": "oh", "start": 1, "end": 2}, {"word": "my"}]}
    pieces = (lyrics.Piece("oh", 1.0, 2.0), lyrics.Piece(" "), lyrics.Piece("my"))
    assert lyrics.aligned(align(run, 0, row)) == [lyrics.Line(pieces)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 2, "lines": [{"text": "a", "words": [{}]}]}', "KeyError: 'word'"),
        ('{"format": 2, "lines": [{}]}', "KeyError: 'text'"),
        ('{"format": 1, "lines": []}', "ValueError: format 1 is not known here, only format 2"),
    ],
)
def test_a_damaged_alignment(run: Path, jukebox: Jukebox, text: str, message: str) -> None:
    path = align(run, 0)
    path.write_text(text)
    result = jukebox("report", run)
    hint = "restore it from a copy, or make it again"
    assert result == Result(2, "", f"error: {path} is damaged: {message}\n\nhint: {hint}\n")
    assert not (run / "report.html").exists()


# words for what was asked


NOTES = [[0.0, 0.5, 60, 90], [0.5, 12.25, 64, 90]]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("artist", "Ada Vale", "Ada Vale"),
        ("genre", [], "none"),
        ("total", 90.0, "the beginning of a song of 90 s"),
        ("lyrics", "la la\nla", "3 words in 2 lines"),
        ("lyrics", "la", "1 word in 1 line"),
        ("lyrics", "", "none"),
        (
            "midi",
            [
                {"program": 0, "drum": False, "name": "", "notes": NOTES},
                {"program": 33, "drum": True, "name": "", "notes": NOTES[:1]},
                {"program": 52, "drum": False, "name": "", "notes": NOTES},
            ],
            "5 notes for acoustic grand piano, drums, choir aahs; 12.2 s",
        ),
        ("midi", {"file": "x"}, "file: x"),
        ("midi", [{"program": 0}], "1 value"),
        ("tempo", 120.5, "120.5"),
        ("swing", True, "yes"),
        ("swing", None, "not said"),
        ("chords", [["C", 1.0], ["G", 2.0]], "2 values"),
        ("mix", {"drums": 0.25, "bass": [1, 2]}, "drums: 0.25; bass: 1, 2"),
        ("curve", list(range(1000)), "1,000 values"),
    ],
)
def test_a_condition_in_words(key: str, value: Any, words: str) -> None:
    assert told({key: value}) == {key: words}


def test_times_of_lyrics_are_told_with_them() -> None:
    song = {"lyrics": "la la", "lyrics_times": [[0, 1.0]], "lyrics_sections": [], "top_k": 3}
    assert told(song) == {
        "lyrics": "2 words in 1 line, with the times of their singing",
        "top k": "3",
    }


# mistakes


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        ("nosuch", "nosuch does not exist", "make one with `jukebox generate --out`"),
        (".", ". is not a run: it has no run.yaml", "make one with `jukebox generate --out`"),
        ("song --only 5", "song has no item 5", "it has 0, 1"),
        ("song --only x", "can't read --only 'x'", "write a list such as 2, 0,2 or 4-7"),
        ("song --levels 3", "there is no level 3", "the top level is 2"),
        ("song --levels x", "can't read --levels 'x'", "write a list such as 2, 0,2 or 4-7"),
        ("song --out folder", "folder is a folder", "name a file: --out report.html"),
        (
            "song --out song/run.yaml",
            "song/run.yaml is there already and is not a report",
            "choose another --out",
        ),
        (
            "song --out song/run.yaml/x.html --levels 0",
            "can't write song/run.yaml/x.html: File exists",
            "choose another folder: a file is in the way",
        ),
        (
            "song --model mini",
            "song is a run of another model than 'mini'; level 1 of item 0 has no audio yet",
            "name the folder of the model it was made with: --model, or show only what has: "
            "--levels 0, or --only",
        ),
    ],
)
def test_mistakes(run: Path, jukebox: Jukebox, words: str, error: str, hint: str) -> None:
    Path("folder").mkdir()
    before = contents(Path())
    result = jukebox("report", *words.split())
    said = result.err.removeprefix("report: 8,000 samples\n")
    assert (result.code, result.out, said) == (2, "", f"error: {error}\n\nhint: {hint}\n")
    assert contents(Path()) == before


def test_nothing_to_hear(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    for item in (0, 1):
        cut(run, tiny, 0, item, 10)
        cut(run, tiny, 1, item, 10)
    error = "error: there is nothing to hear in song at level 0 or 1 yet"
    result = jukebox("report", "song", "--levels", "0-1")
    assert result == Result(2, "", f"{error}\n\nhint: there is at --levels 2\n")
    for item in (0, 1):
        cut(run, tiny, 2, item, 0)
    error = "error: there is nothing to hear in song yet"
    result = jukebox("report", "song")
    assert result == Result(2, "", f"{error}\n\nhint: go on with it: `jukebox upsample song`\n")


def without_model(run: Path) -> None:
    config = (run / "run.yaml").read_text()
    (run / "run.yaml").write_text(re.sub("^model: .*$", "model: nosuch", config, flags=re.M))


def test_a_model_that_is_gone(run: Path, tiny: Model, jukebox: Jukebox) -> None:
    without_model(run)
    result = jukebox("report", "song")
    assert result == Result(
        2,
        "",
        "error: the model of song is not there: 'nosuch'; level 1 of item 0 has no audio yet\n\n"
        "hint: say where it is now: --model FOLDER, "
        "or show only what has: --levels 0, or --only\n",
    )
    assert jukebox("report", "song", "--levels", 0).code == 0
    assert jukebox("report", "song", "--model", tiny.path).code == 0


def test_a_model_without_its_codec(run: Path, here: Path, tiny: Model, jukebox: Jukebox) -> None:
    model = Model(Path(shutil.copytree(tiny.path, here / "copy")))
    model.weights("vqvae-2").write_bytes(b"")
    result = jukebox("report", "song", "--model", "copy")
    assert result.code == 2
    assert "error: song is a run of another model than 'copy'; level 1" in result.err


def test_no_such_device(run: Path, jukebox: Jukebox) -> None:
    result = jukebox("report", "song", "--device", "mps")
    assert result == Result(
        2, "", "error: no device 'mps' on this machine\n\nhint: use --device auto or cpu\n"
    )


def test_tokens_that_are_damaged(run: Path, jukebox: Jukebox) -> None:
    path = Run(run).token_file(1, 1)
    path.write_bytes(b"nothing")
    code, _, err = (result := jukebox("report", "song")).code, result.out, result.err
    assert code == 2
    assert err.startswith("error: song/tokens/level-1/item-01.safetensors is damaged: ")


def test_a_report_is_replaced_whole_or_not_at_all(
    run: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    jukebox("report", run)
    before = contents(run)
    encode = sound.encode

    def full(blocks: Any, rate: int) -> bytes:
        if full.calls == 3:  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")
        full.calls += 1  # type: ignore[attr-defined]
        return encode(blocks, rate)

    full.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(sound, "encode", full)
    result = jukebox("report", "song", "--quiet")
    hint = "free some space and run the same command again: it goes on from here"
    error = "can't write song/report.html: No space left on device"
    assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
    assert contents(run) == before


def test_the_command_line_does_not_wait_for_what_makes_pages() -> None:
    code = (
        "import sys, jukebox_cli.cli.app; "
        "print([m for m in ('torch', 'jinja2', 'soundfile', 'numpy', 'PIL') if m in sys.modules])"
    )
    import sys

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
