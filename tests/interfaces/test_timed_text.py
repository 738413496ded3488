"""Texts with times."""

from __future__ import annotations

from jukebox_cli.interfaces.timed_text import TimedLine, TimedText, TimedWord


def test_a_text_is_timed_if_any_word_has_a_time() -> None:
    section, plain = TimedLine(section="verse"), TimedLine((TimedWord("la"), TimedWord(" ")))
    timed = TimedLine((TimedWord("la", 0.0, 0.5),))
    assert not TimedText("Lyrics", ()).is_timed
    assert not TimedText("Lyrics", (section, plain)).is_timed
    assert TimedText("Lyrics", (section, plain, timed)).is_timed
