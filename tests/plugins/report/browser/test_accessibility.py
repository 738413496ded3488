"""The page with a keyboard and with a screen reader."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from support.browser import (
    NEEDS_CHROMIUM,
    STARTS,
    accessibility_tree,
    audio,
    focused,
    press,
    sound,
    wait,
)

pytestmark = NEEDS_CHROMIUM


def test_tab_moves_in_reading_order(page: Page) -> None:
    stops: list[str] = []
    for _ in range(80):
        press(page, "Tab")
        there = focused(page)
        stop = there["label"] or there["text"].strip()
        if there["tag"] == "BODY":
            break
        if stop not in stops[-1:]:
            stops.append(stop)
    players = [
        [f"Place in item {item}, level {level}", f"Item {item}, level {level}"]
        for item in (0, 1)
        for level in (0, 1, 2)
    ]
    assert stops == [
        "Skip to the music",
        "Item 0",
        "Item 1",
        *(stop for player in players[:3] for stop in player),
        "we",
        *(stop for player in players[3:] for stop in player),
        "Copy the command",
    ]


def test_the_focus_is_visible(page: Page) -> None:
    for _ in range(4):
        press(page, "Tab")
        style = """() => {
          const box = document.activeElement.closest(".picture") || document.activeElement;
          const style = getComputedStyle(box);
          return style.outlineStyle + " " + style.outlineWidth;
        }"""
        assert page.evaluate(style) == "solid 3px"


def test_the_skip_link_skips(page: Page) -> None:
    press(page, "Tab", "Enter")
    assert focused(page)["id"] == "music"
    press(page, "Tab")
    assert focused(page)["label"] == "Place in item 0, level 0"


def test_words_are_reached_with_arrow_keys(page: Page) -> None:
    page.locator("button.word").first.focus()
    keys = ["Right", "Right", "Left", "Down", "Right", "Up", "Home", "Left"]
    expected = ["sing", "all", "sing", "hold", "<b>on</b>", "we", "we", "we"]
    for key, word in zip(keys, expected, strict=True):
        press(page, key if key == "Home" else f"Arrow{key}")
        assert focused(page)["text"] == word
    assert page.locator('.word[tabindex="0"]').count() == 1


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_word_is_selected_with_a_key(page: Page, key: str) -> None:
    page.locator("button.word").first.focus()
    press(page, "ArrowDown", "ArrowRight", key)
    wait(page, 0, "!audio.paused")
    assert STARTS[5] <= audio(page, 0, "currentTime") < STARTS[5] + 1.5


def test_keys_seek(page: Page) -> None:
    place = page.locator(".place").first
    place.focus()
    for key, seconds in (
        ("ArrowRight", 1.0),
        ("ArrowUp", 2.0),
        ("ArrowLeft", 1.0),
        ("Home", 0.0),
        ("ArrowLeft", 0.0),
    ):
        press(page, key)
        wait(page, 0, "!audio.seeking")
        assert audio(page, 0, "currentTime") == seconds
        assert place.get_attribute("aria-valuetext") == f"{seconds:.1f} of 4.0 seconds"
    press(page, "Space")
    wait(page, 0, "audio.currentTime > 0.1")
    press(page, "Space")
    wait(page, 0, "audio.paused")


def test_everything_has_a_name(page: Page) -> None:
    named = accessibility_tree(page)
    controls = ("button", "link", "slider", "image", "Audio", "region", "navigation", "heading")
    assert not [role for role, name in named if role in controls and not name]
    assert ("slider", "Place in item 1, level 2") in named
    assert ("Audio", "Item 1, level 2") in named
    assert ("region", "Item 0") in named
    assert ("region", "Lyrics") in named
    assert ("button", "sing") in named
    assert ("button", "Copy the command") in named


def test_headings_are_an_outline(page: Page) -> None:
    headings = page.locator("h1, h2, h3, h4").evaluate_all(
        "(all) => all.map((h) => [Number(h.tagName[1]), h.textContent])"
    )
    players = [[3, f"Level {level}"] for level in range(3)]
    assert headings[1:7] == [[2, "Item 0"], *players, [3, "Lyrics"], [4, "Verse"]]
    assert headings[7:] == [
        [2, "Item 1"],
        *players,
        [3, "Lyrics"],
        [2, "How it was made"],
        [2, "Make it again"],
    ]


def test_computed_roles_and_labels_are_those_of_the_page(page: Page) -> None:
    expect(sound(page)).to_have_accessible_name("Item 0, level 0")
    rows: tuple[tuple[str, Any, str], ...] = (
        (".place", "slider", "Place in item 0, level 0"),
        ("button.word", "button", "we"),
    )
    for selector, role, name in rows:
        expect(page.locator(selector).first).to_have_role(role)
        expect(page.locator(selector).first).to_have_accessible_name(name)
    expect(page.locator("main")).to_have_role("main")
    alt = "Mel spectrogram of item 0, level 0: 0 to 4.0 seconds from left to right"
    expect(page.locator("img").first).to_have_accessible_name(re.compile(f"^{alt}"))


def test_nothing_is_announced_while_it_plays(page: Page) -> None:
    live = "[aria-live], [role=alert], [role=log], [role=timer], [role=marquee]"
    assert page.locator(live).count() == 0
    page.evaluate(
        """() => {
          window.changes = [];
          const watched = { subtree: true, childList: true, characterData: true };
          const status = document.querySelector("[role=status]");
          new MutationObserver((c) => window.changes.push(...c)).observe(status, watched);
          new MutationObserver((c) => window.changes.push(...c)).observe(
            document.querySelector(".place"), { attributes: true });
          document.querySelector(".place").focus();
          window.changes = [];
          document.querySelector("audio").play();
        }"""
    )
    wait(page, 0, "audio.currentTime > 1.5")
    assert page.evaluate("window.changes.length") <= 1  # the slider's, when it got the focus
