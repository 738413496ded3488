"""The page that `jukebox report` writes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
from jukebox_plugins.report import sound

from jukebox_cli.storage.model import Model
from support.report_pages import (
    Reader,
    aligned_line,
    change_conditions,
    likeness,
    played,
    write_alignment,
)
from support.results import Result
from support.run_files import chord, contents

Jukebox = Callable[..., Result]


def test_the_page_has_conditions_and_settings(page: Reader, tiny: Model) -> None:
    assert page.all("html", lang="en")
    for words in ("artist Ada Vale", "genre rock, jazz", "length 0.5 s", "model tiny", "seed 7"):
        assert words in page.text
    assert f"model fingerprint {tiny.fingerprint()}" in page.text
    assert "sample rate 8,000 Hz" in page.text
    assert "Level 0 2,000 0.5 none" in page.text
    assert "Level 2 500 0.5 none" in page.text


def test_every_level_of_every_item_has_a_player_and_a_spectrogram(page: Reader) -> None:
    labels = [f"Item {item}, level {level}" for item in (0, 1) for level in (0, 1, 2)]
    assert [a["aria-label"] for a in page.all("audio")] == labels
    images = page.all("img")
    assert len(images) == 6
    assert str(images[4]["alt"]).startswith(
        "Mel spectrogram of item 1, level 1: 0 to 0.5 seconds from left to right, "
        "0 to 4 kHz from bottom to top; most of its power is near "
    )
    assert len({a["src"] for a in (*images, *page.all("audio"))}) == 12


def test_the_page_loads_nothing_from_elsewhere(page: Reader) -> None:
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert str(attributes.get(name) or "#").startswith(("#", "data:")), (tag, name)
    (policy,) = page.all("meta", http_equiv_="x") or page.all(
        "meta", **{"http-equiv": "Content-Security-Policy"}
    )
    assert str(policy["content"]).startswith("default-src 'none'; img-src data:; media-src data:;")
    assert not re.search(r"https?://|url\(|@import", page.text)


def test_players_play_what_decode_writes(run: Path, page: Reader, jukebox: Jukebox) -> None:
    jukebox("decode", run, "--level", 1)
    for level, folder in ((0, run / "audio"), (1, run / "audio" / "level-1")):
        for item in (0, 1):
            wav, _ = soundfile.read(folder / f"item-0{item}.wav", dtype="float32")
            mine = played(page, f"Item {item}, level {level}")
            assert len(mine) == len(wav)
            assert likeness(mine, wav) > 0.9  # noise, which MP3 keeps least of
    assert likeness(played(page, "Item 0, level 0"), played(page, "Item 1, level 0")) < 0.5


def test_existing_audio_is_used(run: Path, jukebox: Jukebox) -> None:
    mine = chord(0.5)[:, 0]
    soundfile.write(run / "audio" / "item-00.wav", mine, 8000)
    jukebox("report", run)
    assert likeness(played(Reader(run / "report.html"), "Item 0, level 0"), mine) > 0.99


def test_audio_older_than_its_tokens_is_not_used(run: Path, jukebox: Jukebox) -> None:
    soundfile.write(run / "audio" / "item-00.wav", chord(0.5), 8000)
    os.utime(run / "audio" / "item-00.wav", (1, 1))
    jukebox("report", run)
    assert likeness(played(Reader(run / "report.html"), "Item 0, level 0"), chord(0.5)[:, 0]) < 0.5


def test_many_players_load_their_sound_when_played(
    run: Path, jukebox: Jukebox, monkeypatch: Any
) -> None:
    assert jukebox("report", run).code == 0
    assert {a["preload"] for a in Reader(run / "report.html").all("audio")} == {"metadata"}
    monkeypatch.setattr("jukebox_plugins.report.page.MAX_PRELOADED", 5)
    jukebox("report", run)
    assert {a["preload"] for a in Reader(run / "report.html").all("audio")} == {"none"}


HOSTILE = "</script><script>alert(1)</script> & \"quotes\" 'n' <b>bold</b> {{ 7 * 7 }} \u202e"


def test_no_text_becomes_markup(run: Path, here: Path, jukebox: Jukebox) -> None:
    run = Path(shutil.move(run, here / "<i>b & \"c\" 'ünï'"))
    instrument = {"program": 0, "drum": False, "name": HOSTILE, "notes": []}
    change_conditions(
        run, artist=HOSTILE, lyrics=f"{HOSTILE}\nla", midi=[instrument], **{HOSTILE: HOSTILE}
    )
    row = {"text": HOSTILE, "words": [{"word": w, "start": 0, "end": 0.1} for w in HOSTILE.split()]}
    write_alignment(run, 0, row, {"section": HOSTILE})
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


# texts

TEXT = "We sing all night,\nthe river runs\n\nhold on to me"


def test_aligned_lyrics_are_timed(run: Path, jukebox: Jukebox) -> None:
    change_conditions(run, lyrics=TEXT)
    sung = aligned_line("We sing, all", ("We", 0.0, 0.1), ("sing", 0.125, 0.2), ("all", 0.25, 0.3))
    write_alignment(run, 1, {"section": "Chorus"}, sung)
    jukebox("report", run)
    page = Reader(run / "report.html")
    times = [(str(a["data-start"]), str(a["data-end"])) for a in page.all("span", class_="word")]
    assert times == [("0.0", "0.1"), ("0.125", "0.2"), ("0.25", "0.3")]
    assert "Chorus We sing , all" in page.text
    assert page.text.count("Choose a word to hear the song from there") == 1


def test_lyrics_without_times(run: Path, jukebox: Jukebox) -> None:
    change_conditions(run, lyrics=TEXT, lyrics_times=[], lyrics_sections=[[34, "Chorus"]])
    jukebox("report", run, "--only", "0")
    page = Reader(run / "report.html")
    assert "Lyrics When each word is sung is not known yet: jukebox align finds out" in page.text
    assert "We sing all night, the river runs Chorus hold on to me" in page.text
    assert "lyrics 11 words in 3 lines" in page.text


def test_lyrics_with_times_of_their_file(run: Path, jukebox: Jukebox) -> None:
    times = [[0, 0.1], [3, 0.2], [12, 0.5], [12, 0.7], [15, 0.8]]
    change_conditions(
        run, lyrics="We sing all\nno end", lyrics_times=times, lyrics_sections=[[0, "Verse"]]
    )
    jukebox("report", run, "--only", "0")
    page = Reader(run / "report.html")
    found = [(str(a["data-start"]), str(a["data-end"])) for a in page.all("span", class_="word")]
    starts = [pytest.approx(s) for s in (0.1, 0.2, 0.2 + 5 / 9 * 0.3, 0.7)]
    assert [float(start) for start, _ in found] == starts
    assert float(found[2][1]) == pytest.approx(0.2 + 8 / 9 * 0.3)
    assert "Verse We sing all no end" in page.text
    assert "Words light up when they were asked for: jukebox align finds out" in page.text


def test_a_song_without_lyrics_has_no_text(page: Reader) -> None:
    assert "Lyrics" not in page.text
    assert "jukebox align" not in page.text


def test_a_report_is_replaced_completely_or_not_at_all(
    run: Path, jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    jukebox("report", run)
    before = contents(run)
    encode = sound.encode_mp3

    def full(blocks: Any, rate: int) -> bytes:
        if full.calls == 3:  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")
        full.calls += 1  # type: ignore[attr-defined]
        return encode(blocks, rate)

    full.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(sound, "encode_mp3", full)
    result = jukebox("report", "song", "--quiet")
    hint = "free some space and run the same command again to resume"
    error = "can't write song/report.html: No space left on device"
    assert result == Result(2, "", f"error: {error}\n\nhint: {hint}\n")
    assert contents(run) == before
