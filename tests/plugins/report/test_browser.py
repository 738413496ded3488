"""The page of `jukebox report` in a browser: what it plays, shows and says, and to whom."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from support.run_files import chord, write_chord

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

FLAGS = (
    "--disable-dev-shm-usage",  # it is small in containers
    "--autoplay-policy=no-user-gesture-required",
)

SECONDS = 4.0
#: Words of item 0, each a third of a second long, with a rest between the lines.
LINES = [["we", "sing", "all", "night"], ["hold", "<b>on</b>", "&", '"me"']]
WORDS = [word for line in LINES for word in line]
STARTS = [0.5 + n * 0.3 + (0.4 if n > 3 else 0.0) for n in range(8)]
ENDS = [start + 0.3 for start in STARTS]


def alignment() -> dict[str, Any]:
    times = iter(zip(STARTS, ENDS, strict=True))
    lines: list[dict[str, Any]] = [{"section": "Verse"}]
    for line in LINES:
        timed = ((word, *next(times)) for word in line)
        words = [{"word": word, "start": start, "end": end} for word, start, end in timed]
        text, start, end = " ".join(line), words[0]["start"], words[-1]["end"]
        lines.append({"text": text, "start": start, "end": end, "words": words})
    return {"format": 2, "item": 0, "level": 2, "layer": 0, "head": 0, "lines": lines}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Model, registry: Registry) -> Path:
    """A run of two items; the words of the first have times, those of the second have none."""
    place = tmp_path_factory.mktemp("browser")
    files = [write_chord(place / f"{name}.wav", SECONDS) for name in "ab"]
    run = place / "it's <i>my</i> & ünï song".replace("/", "-")
    words = ["tokenize", *map(str, files), "--model", str(tiny.path), "--out", str(run)]
    assert CliRunner().invoke(build_app(registry), words).exit_code == 0
    song = {"artist": "Ada <Vale>", "lyrics": "\n".join(" ".join(line) for line in LINES)}
    for item, spec in Run(run).read_items((0, 1)).items():
        segment = replace(spec.segments[0], conditions=song)
        Run(run).write_item(item, spec.with_segment(0, segment))
    (run / "alignment").mkdir()
    (run / "alignment" / "item-00.json").write_text(json.dumps(alignment()))
    for level in range(3):  # so that something is heard that one can look at
        path = Run(run).audio_file(0, level)
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, chord(SECONDS), 8000)
    return run


@pytest.fixture(scope="module")
def report(run: Path, registry: Registry) -> Path:
    assert CliRunner().invoke(build_app(registry), ["report", str(run)]).exit_code == 0
    return run / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home: dict[str, str | float | bool] = {
        **os.environ,
        "HOME": str(tmp_path_factory.mktemp("home")),
    }
    with sync_playwright() as playwright:
        # the installed Chromium, so that none is downloaded; root can't have its sandbox
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=FLAGS, env=home, chromium_sandbox=False
        )
        yield browser
        browser.close()


Open = Callable[[Path], Page]
Scheme = Literal["light", "dark"]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens a file in a large window with light colours, and nothing left from other tests."""
    with chromium.new_context(
        viewport={"width": 1200, "height": 900},
        color_scheme="light",
        reduced_motion="no-preference",
    ) as context:

        def open_file(path: Path) -> Page:
            page = context.new_page()
            page.goto(path.resolve().as_uri())
            return page

        yield open_file


@pytest.fixture
def page(open_page: Open, report: Path) -> Page:
    """The page, with all of its sounds loaded."""
    page = open_page(report)
    page.wait_for_function(ALL_LOADED)
    return page


ALL_LOADED = "() => [...document.querySelectorAll('audio')].every((a) => a.readyState > 0)"


def sound(page: Page, player: int = 0) -> Locator:
    return page.locator("audio").nth(player)


def move(page: Page, player: int, seconds: float) -> None:
    """Goes to a place in a sound that does not play, and waits until that has been shown."""
    sound(page, player).evaluate("(audio, seconds) => { audio.currentTime = seconds; }", seconds)
    wait(page, player, "!audio.seeking")


def wait(page: Page, player: int, condition: str) -> None:
    """Waits until something is true of an `audio`."""
    script = f"(n) => {{ const audio = document.querySelectorAll('audio')[n]; return {condition} }}"
    page.wait_for_function(script, arg=player)


def lit(page: Page) -> list[str]:
    return page.locator("[aria-current]").all_text_contents()


def audio(page: Page, player: int, name: str) -> Any:
    return sound(page, player).evaluate("(audio, name) => audio[name]", name)


def focused(page: Page) -> dict[str, Any]:
    script = """() => {
      const e = document.activeElement;
      return {tag: e.tagName, text: e.textContent, label: e.getAttribute("aria-label"), id: e.id};
    }"""
    return dict(page.evaluate(script))


def press(page: Page, *keys: str) -> None:
    """Keys, one after the other, wherever the focus is."""
    for key in keys:
        page.keyboard.press(key)


def accessibility_tree(page: Page) -> list[tuple[str, str]]:
    """Roles and names of what is on the page, as the browser tells them to screen readers."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    return [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]


# what a browser makes of it


def test_the_page_opens_without_errors_and_without_a_network(page: Page, report: Path) -> None:
    messages: list[object] = []
    sent: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(error))
    page.on("request", lambda request: sent.append(request.url))
    page.reload()
    page.wait_for_function(ALL_LOADED)
    page.evaluate("for (const a of document.querySelectorAll('audio')) a.load()")
    page.wait_for_function(ALL_LOADED)
    assert messages == []
    assert sent == [report.as_uri()]  # data: is not a request


def test_no_other_script_can_run(page: Page) -> None:
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.strange = true";
          document.body.append(script);
          document.body.insertAdjacentHTML("beforeend", "<p onclick='window.strange = true'>x</p>");
          document.body.lastElementChild.click();
        }"""
    )
    assert page.evaluate("window.strange") is None
    assert len([text for text in messages if "Content Security Policy" in text]) == 2


def test_names_are_shown_literally(page: Page, run: Path) -> None:
    assert page.locator("h1").text_content() == run.name
    assert page.title() == f"{run.name} · jukebox"
    assert page.locator("button.word").all_text_contents() == WORDS
    lines = page.locator(".timed .line").all_inner_texts()
    assert lines == [" ".join(line) for line in LINES]


@pytest.mark.parametrize("player", range(6))
def test_every_sound_plays(page: Page, player: int) -> None:
    assert audio(page, player, "duration") == pytest.approx(SECONDS, abs=0.001)
    sound(page, player).evaluate("(audio) => audio.play()")
    wait(page, player, "audio.currentTime > 0.3")
    assert audio(page, player, "error") is None
    assert not audio(page, player, "paused")


def test_images_are_shown(page: Page) -> None:
    sizes = page.locator("img").evaluate_all(
        "(images) => images.map((i) => [i.complete, i.naturalWidth, i.naturalHeight])"
    )
    assert sizes == [[True, 960, 128]] * 6


def test_only_one_sound_plays_at_a_time(page: Page) -> None:
    for player in (0, 1, 4, 0):
        sound(page, player).evaluate("(audio) => audio.play()")
        wait(page, player, "!audio.paused")
        playing = page.locator("audio").evaluate_all("(all) => all.map((a) => !a.paused)")
        assert [n for n, plays in enumerate(playing) if plays] == [player]


# the words


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


PLAYHEAD = "parseFloat(document.querySelector('.playhead').style.left)"


def test_a_playhead_moves_over_the_image(page: Page) -> None:
    sound(page).evaluate("(audio) => audio.play()")
    page.wait_for_function(f"() => {PLAYHEAD} > 20")
    wait(page, 0, "audio.ended")
    assert page.evaluate(PLAYHEAD) > 99


# with a keyboard, and for who can't see it


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


def test_the_command_is_copied(page: Page) -> None:
    page.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
    )
    button = page.locator(".copy[data-copy=commands]")
    button.click()
    expect(page.locator("[role=status]")).to_have_text("Copied")
    expect(button).to_have_text("Copied")
    copied = page.evaluate("window.copied")
    assert copied.startswith("jukebox tokenize recording-0.wav recording-1.wav")


def test_the_command_is_copied_where_a_browser_has_no_clipboard(page: Page) -> None:
    page.evaluate(
        """() => {
          navigator.clipboard.writeText = async () => { throw new Error("not here"); };
          document.execCommand = (name) => {
            window.done = [name, String(getSelection())];
            return true;
          };
        }"""
    )
    page.locator(".copy[data-copy=commands]").click()
    name, text = page.wait_for_function("() => window.done").json_value()
    assert name == "copy"
    assert text.startswith("jukebox tokenize recording-0.wav")


# how it looks

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


# with less


def test_without_scripts_it_is_still_a_page_with_sound(chromium: Browser, report: Path) -> None:
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(report.as_uri())
        there = accessibility_tree(page)
    assert ("Audio", "Item 0, level 0") in there
    assert [name for role, name in there if role == "button" and name == "play"]
    assert not [name for role, name in there if role == "slider" and "Place in" in name]
    assert not [name for role, name in there if "Copy" in name or "Choose a word" in name]
    text = " ".join(name for role, name in there if role == "StaticText")
    assert "we sing all night" in " ".join(text.split())
    assert "jukebox tokenize recording-0.wav" in text


def test_a_sound_that_is_not_loaded_yet_starts_at_the_chosen_time(
    open_page: Open, run: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "jukebox_plugins.report.page.MAX_PRELOADED", 5
    )  # more sounds wait until they play
    words = ["report", str(run), "--out", str(tmp_path / "page.html")]
    assert CliRunner().invoke(build_app(registry), words).exit_code == 0
    page = open_page(tmp_path / "page.html")
    assert audio(page, 0, "readyState") == 0
    page.locator(".place").first.focus()
    press(page, "ArrowRight", "ArrowRight")
    assert page.evaluate(PLAYHEAD) == 50
    press(page, "Space")
    wait(page, 0, "audio.currentTime > 2.1")
    sound(page).evaluate("(audio) => audio.pause()")
    page.locator("button.word").nth(1).click()
    wait(page, 0, "!audio.paused && !audio.seeking")
    assert STARTS[1] <= audio(page, 0, "currentTime") < STARTS[1] + 1.5
