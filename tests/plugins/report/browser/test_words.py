"""Words and images follow the sound, and can be clicked."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from support.browser import (
    ENDS,
    NEEDS_CHROMIUM,
    PLAYHEAD,
    SECONDS,
    STARTS,
    WORDS,
    audio,
    lit,
    move,
    sound,
    wait,
)

pytestmark = NEEDS_CHROMIUM


def test_the_word_that_is_sung_is_lit(page: Page) -> None:
    for number, word in enumerate(WORDS):
        move(page, 0, STARTS[number] + 0.02)
        assert lit(page) == [word]
        assert page.locator(".word.sung").count() == number + 1
        move(page, 0, ENDS[number] - 0.02)
        assert lit(page) == [word]


@pytest.mark.parametrize(
    "seconds", [0.0, 0.48, ENDS[3] + 0.02, STARTS[4] - 0.02, ENDS[7] + 0.02, 3.9]
)
def test_no_word_is_lit_between_words(page: Page, seconds: float) -> None:
    move(page, 0, 1.0)
    move(page, 0, seconds)
    assert lit(page) == []


def test_words_light_up_while_the_sound_plays(page: Page) -> None:
    page.evaluate(
        """() => {
          const audio = document.querySelector("audio");
          window.seen = [];
          new MutationObserver((changes) => {
            for (const { target } of changes)
              if (target.hasAttribute("aria-current"))
                window.seen.push([target.textContent, audio.currentTime]);
          }).observe(document.querySelector(".lines"),
            { subtree: true, attributeFilter: ["aria-current"] });
          audio.play();
        }"""
    )
    wait(page, 0, "audio.ended")
    seen = page.evaluate("window.seen")
    assert [word for word, _ in seen] == WORDS
    for (_, at), start, end in zip(seen, STARTS, ENDS, strict=True):
        assert start <= at <= end
    assert lit(page) == []


@pytest.mark.parametrize("player", [1, 2])
def test_words_follow_the_sound_that_plays(page: Page, player: int) -> None:
    move(page, 0, STARTS[0] + 0.02)
    assert lit(page) == ["we"]
    move(page, player, STARTS[6] + 0.02)
    assert lit(page) == ["&"]
    page.locator("button.word").nth(5).click()
    wait(page, player, "!audio.paused")
    assert audio(page, 0, "paused")
    assert audio(page, 0, "currentTime") == pytest.approx(STARTS[0] + 0.02)


def test_another_item_has_words_of_its_own(page: Page) -> None:
    move(page, 3, STARTS[2] + 0.02)
    assert lit(page) == []
    assert page.locator("#item-1 .word").count() == 0
    assert "hold <b>on</b>" in page.locator("#item-1 .text").inner_text()


def test_a_word_can_be_clicked(page: Page) -> None:
    page.locator("button.word").nth(4).click()
    wait(page, 0, "!audio.paused")
    assert STARTS[4] <= audio(page, 0, "currentTime") < STARTS[4] + 1.5


def test_an_image_can_be_clicked(page: Page) -> None:
    page.locator(".place").first.click()  # in its middle
    wait(page, 0, "!audio.seeking")
    assert audio(page, 0, "currentTime") == pytest.approx(SECONDS / 2, abs=0.02)
    line, picture = (
        page.locator(name).first.evaluate("(e) => e.getBoundingClientRect().toJSON()")
        for name in (".playhead", ".picture")
    )
    middle = picture["left"] + picture["width"] / 2
    assert line["left"] + line["width"] / 2 == pytest.approx(middle, abs=5)


def test_a_playhead_moves_over_the_image(page: Page) -> None:
    sound(page).evaluate("(audio) => audio.play()")
    page.wait_for_function(f"() => {PLAYHEAD} > 20")
    wait(page, 0, "audio.ended")
    assert page.evaluate(PLAYHEAD) > 99
