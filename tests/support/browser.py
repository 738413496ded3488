"""The lyrics of a report, and what tests do with its page in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page

CHROMIUM = shutil.which("chromium")

#: For `pytestmark`.
NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

FLAGS = (
    "--disable-dev-shm-usage",  # it is small in containers
    "--autoplay-policy=no-user-gesture-required",
)

#: Length of the items.
SECONDS = 4.0

#: Words of item 0, each a third of a second long, with a rest between the lines.
LINES = [["we", "sing", "all", "night"], ["hold", "<b>on</b>", "&", '"me"']]
WORDS = [word for line in LINES for word in line]
STARTS = [0.5 + n * 0.3 + (0.4 if n > 3 else 0.0) for n in range(8)]
ENDS = [start + 0.3 for start in STARTS]


def alignment() -> dict[str, Any]:
    """The file of word times of item 0, as `jukebox align` writes it."""
    times = iter(zip(STARTS, ENDS, strict=True))
    lines: list[dict[str, Any]] = [{"section": "Verse"}]
    for line in LINES:
        timed = ((word, *next(times)) for word in line)
        words = [{"word": word, "start": start, "end": end} for word, start, end in timed]
        text, start, end = " ".join(line), words[0]["start"], words[-1]["end"]
        lines.append({"text": text, "start": start, "end": end, "words": words})
    return {"format": 2, "item": 0, "level": 2, "layer": 0, "head": 0, "lines": lines}


Open = Callable[[Path], Page]

#: Colour scheme of the page.
Scheme = Literal["light", "dark"]

ALL_LOADED = "() => [...document.querySelectorAll('audio')].every((a) => a.readyState > 0)"


def sound(page: Page, player: int = 0) -> Locator:
    """The n-th audio element of the page."""
    return page.locator("audio").nth(player)


def move(page: Page, player: int, seconds: float) -> None:
    """Seek in a sound that is paused, and wait until the page shows it."""
    sound(page, player).evaluate("(audio, seconds) => { audio.currentTime = seconds; }", seconds)
    wait(page, player, "!audio.seeking")


def wait(page: Page, player: int, condition: str) -> None:
    """Wait until a condition on `audio`, the n-th audio element, is true."""
    script = f"(n) => {{ const audio = document.querySelectorAll('audio')[n]; return {condition} }}"
    page.wait_for_function(script, arg=player)


def lit(page: Page) -> list[str]:
    """The words that are highlighted now."""
    return page.locator("[aria-current]").all_text_contents()


def audio(page: Page, player: int, name: str) -> Any:
    """A property of the n-th audio element."""
    return sound(page, player).evaluate("(audio, name) => audio[name]", name)


def focused(page: Page) -> dict[str, Any]:
    """Tag, text, label and id of the focused element."""
    script = """() => {
      const e = document.activeElement;
      return {tag: e.tagName, text: e.textContent, label: e.getAttribute("aria-label"), id: e.id};
    }"""
    return dict(page.evaluate(script))


def press(page: Page, *keys: str) -> None:
    """Press keys, one after the other, wherever the focus is."""
    for key in keys:
        page.keyboard.press(key)


def accessibility_tree(page: Page) -> list[tuple[str, str]]:
    """Roles and names of the elements, as screen readers get them."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]


PLAYHEAD = "parseFloat(document.querySelector('.playhead').style.left)"
