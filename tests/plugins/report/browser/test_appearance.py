"""Contrast, motion, narrow windows and print."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from support.browser import (
    NEEDS_CHROMIUM,
    STARTS,
    Scheme,
    move,
    wait,
)

pytestmark = NEEDS_CHROMIUM

CONTRAST = """() => {
const channel = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const light = (c) => 0.2126 * channel(c[0]) + 0.7152 * channel(c[1]) + 0.0722 * channel(c[2]);
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = numbers(getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
    if (colour[3] > 0) throw new Error("half transparent: " + e.className);
  }
  throw new Error("nothing behind");
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const ratios = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || element.closest("svg, script, style, audio")) continue;
  const pair = [light(numbers(getComputedStyle(element).color)), light(behind(element))];
  const [dark, bright] = pair.sort((a, b) => a - b);
  ratios.push([walker.currentNode.data.trim(), (bright + 0.05) / (dark + 0.05)]);
}
return ratios;
}"""

PAPER = "getComputedStyle(document.documentElement).backgroundColor"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page: Page, scheme: Scheme) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    move(page, 0, STARTS[2] + 0.02)
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 60
    assert [pair for pair in ratios if pair[1] < 4.5] == []
    assert [word for word, _ in ratios].count("all") == 1
    bright = np.mean([int(n) for n in page.evaluate(PAPER).strip("rgb()").split(",")])
    assert (bright > 200) if scheme == "light" else (bright < 50)


def test_nothing_moves_with_reduced_motion(page: Page) -> None:
    duration = "getComputedStyle(document.querySelector('button.word')).transitionDuration"
    assert page.evaluate(duration) != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(duration) == "0s"
    page.evaluate(
        """() => {
          window.places = new Set();
          const line = document.querySelector(".playhead");
          new MutationObserver(() => window.places.add(line.style.left)).observe(
            line, { attributeFilter: ["style"] });
          document.querySelector("audio").play();
        }"""
    )
    wait(page, 0, "audio.ended")
    assert 2 < page.evaluate("window.places.size") < 40  # four a second, not sixty


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 768])
def test_a_narrow_window_needs_no_scrolling_sideways(
    page: Page, width: int, scheme: Scheme
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.locator("body *").evaluate_all(
        """(all) => all.filter((e) =>
        !e.closest(".skip, svg, .copied") && e.getBoundingClientRect().right > innerWidth + 0.5)
        .map((e) => e.tagName + "." + e.className)"""
    )
    assert wide == []


def test_a_printed_page_has_no_controls(page: Page) -> None:
    page.emulate_media(media="print")
    shown = page.locator("audio, .place, .copy, .playhead, .skip").evaluate_all(
        "(all) => all.filter((e) => e.getClientRects().length).length"
    )
    assert shown == 0
    assert len(page.evaluate(CONTRAST)) > 60
    assert page.evaluate(PAPER) == "rgb(255, 255, 255)"
    expect(page.locator("img").first).to_be_visible()
