"""The page of `jukebox report` in a browser: what it plays, shows and says, and to whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import soundfile
from browser import DOWN, ENTER, HOME, LEFT, RIGHT, SPACE, TAB, UP, Browser
from conftest import Model, Registry
from run_files import chord, write_chord
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.storage.run import Asked, Run

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing() or "")

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
    return {"format": 1, "item": 0, "level": 2, "layer": 0, "head": 0, "lines": lines}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Model, registry: Registry) -> Path:
    """A run of two items; the words of the first have times, those of the second have none."""
    place = tmp_path_factory.mktemp("browser")
    files = [write_chord(place / f"{name}.wav", SECONDS) for name in "ab"]
    run = place / "it's <i>my</i> & ünï song".replace("/", "-")
    words = ["tokenize", *map(str, files), "--model", str(tiny.path), "--out", str(run)]
    assert CliRunner().invoke(build_app(registry), words).exit_code == 0
    song = {"artist": "Ada <Vale>", "lyrics": "\n".join(" ".join(line) for line in LINES)}
    items = {item: (round(SECONDS * 8000), song) for item in (0, 1)}
    Run(run).write_asked(Asked(0, {}, items))
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
    with browser.browser(tmp_path_factory.mktemp("profile")) as there:
        yield there


@pytest.fixture
def page(chromium: Browser, report: Path) -> Browser:
    """The page, newly opened, in a large window with light colours."""
    chromium.log("browser")
    chromium.log("performance")
    chromium.prefer(prefers_color_scheme="light", prefers_reduced_motion="no-preference")
    chromium.resize(1200, 900)
    chromium.open(report)
    ready = "[...document.querySelectorAll('audio')].every((a) => a.readyState > 0)"
    chromium.wait(ready)
    return chromium


def move(page: Browser, player: int, seconds: float) -> None:
    """Goes to a place in a sound that does not play, and waits until that has been shown."""
    script = "document.querySelectorAll('audio')[arguments[0]].currentTime = arguments[1]"
    page.run(script, player, seconds)
    page.wait("!document.querySelectorAll('audio')[arguments[0]].seeking", player)


def lit(page: Browser) -> list[str]:
    script = "return [...document.querySelectorAll('[aria-current]')].map((w) => w.textContent)"
    return list(page.run(script))


def audio(page: Browser, player: int, name: str) -> Any:
    return page.run(
        "return document.querySelectorAll('audio')[arguments[0]][arguments[1]]", player, name
    )


def focused(page: Browser) -> dict[str, Any]:
    script = """const e = document.activeElement;
    return {tag: e.tagName, text: e.textContent, label: e.getAttribute("aria-label"), id: e.id}"""
    return dict(page.run(script))


# what a browser makes of it


def test_it_opens_without_errors_and_without_a_network(page: Browser, report: Path) -> None:
    page.run("for (const a of document.querySelectorAll('audio')) a.load()")
    page.wait("[...document.querySelectorAll('audio')].every((a) => a.readyState > 0)")
    assert page.log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.log("performance")]
    sent = [
        e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"
    ]
    assert report.as_uri() in sent
    assert {url.partition(":")[0] for url in sent} <= {"file", "data"}
    assert [url for url in sent if url.startswith("file:")] == [report.as_uri()]


def test_no_other_script_can_run_in_it(page: Browser) -> None:
    page.run(
        """const script = document.createElement("script");
        script.textContent = "window.strange = true";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", "<p onclick='window.strange = true'>x</p>");
        document.body.lastElementChild.click();"""
    )
    assert page.run("return window.strange") is None


def test_names_are_shown_as_they_are(page: Browser, run: Path) -> None:
    assert page.run("return document.querySelector('h1').textContent") == run.name
    assert page.run("return document.title") == f"{run.name} · jukebox"
    words = page.run(
        "return [...document.querySelectorAll('button.word')].map((b) => b.textContent)"
    )
    assert words == WORDS
    lines = page.run(
        "return [...document.querySelectorAll('.timed .line')].map((l) => l.innerText)"
    )
    assert lines == [" ".join(line) for line in LINES]


@pytest.mark.parametrize("player", range(6))
def test_every_sound_plays(page: Browser, player: int) -> None:
    assert audio(page, player, "duration") == pytest.approx(SECONDS, abs=0.001)
    page.run("document.querySelectorAll('audio')[arguments[0]].play()", player)
    page.wait("document.querySelectorAll('audio')[arguments[0]].currentTime > 0.3", player)
    assert audio(page, player, "error") is None
    assert not audio(page, player, "paused")


def test_pictures_are_shown(page: Browser) -> None:
    sizes = page.run(
        "return [...document.images].map((i) => [i.complete, i.naturalWidth, i.naturalHeight])"
    )
    assert sizes == [[True, 960, 128]] * 6


def test_only_one_sound_plays_at_a_time(page: Browser) -> None:
    for player in (0, 1, 4, 0):
        page.run("document.querySelectorAll('audio')[arguments[0]].play()", player)
        page.wait("!document.querySelectorAll('audio')[arguments[0]].paused", player)
        playing = page.run("return [...document.querySelectorAll('audio')].map((a) => !a.paused)")
        assert [n for n, plays in enumerate(playing) if plays] == [player]


# the words


def test_the_word_that_is_sung_is_lit(page: Browser) -> None:
    for number, word in enumerate(WORDS):
        move(page, 0, STARTS[number] + 0.02)
        assert lit(page) == [word]
        sung = page.run("return document.querySelectorAll('.word.sung').length")
        assert sung == number + 1
        move(page, 0, ENDS[number] - 0.02)
        assert lit(page) == [word]


@pytest.mark.parametrize(
    "seconds", [0.0, 0.48, ENDS[3] + 0.02, STARTS[4] - 0.02, ENDS[7] + 0.02, 3.9]
)
def test_no_word_is_lit_between_words(page: Browser, seconds: float) -> None:
    move(page, 0, 1.0)
    move(page, 0, seconds)
    assert lit(page) == []


def test_words_light_up_while_the_sound_plays(page: Browser) -> None:
    page.run(
        """const audio = document.querySelector("audio");
        window.seen = [];
        new MutationObserver((changes) => {
          for (const { target } of changes)
            if (target.hasAttribute("aria-current"))
              window.seen.push([target.textContent, audio.currentTime]);
        }).observe(document.querySelector(".lines"),
          { subtree: true, attributeFilter: ["aria-current"] });
        audio.play();"""
    )
    page.wait("document.querySelector('audio').ended")
    seen = page.run("return window.seen")
    assert [word for word, _ in seen] == WORDS
    for (_, at), start, end in zip(seen, STARTS, ENDS, strict=True):
        assert start <= at <= end
    assert lit(page) == []


@pytest.mark.parametrize("player", [1, 2])
def test_words_follow_the_sound_that_plays(page: Browser, player: int) -> None:
    move(page, 0, STARTS[0] + 0.02)
    assert lit(page) == ["we"]
    move(page, player, STARTS[6] + 0.02)
    assert lit(page) == ["&"]
    page.click(page.find("button.word")[5])
    page.wait("!document.querySelectorAll('audio')[arguments[0]].paused", player)
    assert audio(page, 0, "paused")
    assert audio(page, 0, "currentTime") == pytest.approx(STARTS[0] + 0.02)


def test_another_item_has_words_of_its_own(page: Browser) -> None:
    move(page, 3, STARTS[2] + 0.02)
    assert lit(page) == []
    assert len(page.find("#item-1 .word")) == 0
    assert "hold <b>on</b>" in page.run(
        "return document.querySelector('#item-1 .lyrics').innerText"
    )


def test_a_word_can_be_clicked(page: Browser) -> None:
    page.click(page.find("button.word")[4])
    page.wait("!document.querySelector('audio').paused")
    assert STARTS[4] <= audio(page, 0, "currentTime") < STARTS[4] + 1.5


def test_a_picture_can_be_clicked(page: Browser) -> None:
    page.click(page.find(".place")[0])  # in its middle
    page.wait("!document.querySelector('audio').seeking")
    assert audio(page, 0, "currentTime") == pytest.approx(SECONDS / 2, abs=0.02)
    line, picture = (
        page.run(f"return document.querySelector('{name}').getBoundingClientRect().toJSON()")
        for name in (".playhead", ".picture")
    )
    middle = picture["left"] + picture["width"] / 2
    assert line["left"] + line["width"] / 2 == pytest.approx(middle, abs=5)


def test_a_line_moves_over_the_picture(page: Browser) -> None:
    page.run("document.querySelector('audio').play()")
    page.wait("parseFloat(document.querySelector('.playhead').style.left) > 20")
    page.wait("document.querySelector('audio').ended")
    assert page.run("return parseFloat(document.querySelector('.playhead').style.left)") > 99


# with a keyboard, and for who can't see it


def test_the_order_of_the_tab_key(page: Browser) -> None:
    stops: list[str] = []
    for _ in range(80):
        page.press(TAB)
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


def test_what_has_the_focus_can_be_seen(page: Browser) -> None:
    for _ in range(4):
        page.press(TAB)
        style = """const box = document.activeElement.closest(".picture") || document.activeElement;
        const style = getComputedStyle(box);
        return style.outlineStyle + " " + style.outlineWidth"""
        assert page.run(style) == "solid 3px"


def test_the_skip_link_skips(page: Browser) -> None:
    page.press(TAB, ENTER)
    assert focused(page)["id"] == "music"
    page.press(TAB)
    assert focused(page)["label"] == "Place in item 0, level 0"


def test_words_are_reached_with_arrow_keys(page: Browser) -> None:
    page.run("document.querySelector('button.word').focus()")
    keys = [RIGHT, RIGHT, LEFT, DOWN, RIGHT, UP, HOME, LEFT]
    expected = ["sing", "all", "sing", "hold", "<b>on</b>", "we", "we", "we"]
    for key, word in zip(keys, expected, strict=True):
        page.press(key)
        assert focused(page)["text"] == word
    assert page.run("return document.querySelectorAll('.word[tabindex=\"0\"]').length") == 1


@pytest.mark.parametrize("key", [ENTER, SPACE])
def test_a_word_is_gone_to_with_a_key(page: Browser, key: str) -> None:
    page.run("document.querySelector('button.word').focus()")
    page.press(DOWN, RIGHT, key)
    page.wait("!document.querySelector('audio').paused")
    assert STARTS[5] <= audio(page, 0, "currentTime") < STARTS[5] + 1.5


def test_a_place_is_gone_to_with_keys(page: Browser) -> None:
    page.run("document.querySelector('.place').focus()")
    for key, seconds in ((RIGHT, 1.0), (UP, 2.0), (LEFT, 1.0), (HOME, 0.0), (LEFT, 0.0)):
        page.press(key)
        page.wait("!document.querySelector('audio').seeking")
        assert audio(page, 0, "currentTime") == seconds
        text = page.run("return document.querySelector('.place').getAttribute('aria-valuetext')")
        assert text == f"{seconds:.1f} of 4.0 seconds"
    page.press(SPACE)
    page.wait("document.querySelector('audio').currentTime > 0.1")
    page.press(SPACE)
    page.wait("document.querySelector('audio').paused")


def test_everything_has_a_name(page: Browser) -> None:
    nodes = page.devtools("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    controls = ("button", "link", "slider", "image", "Audio", "region", "navigation", "heading")
    assert not [role for role, name in named if role in controls and not name]
    assert ("slider", "Place in item 1, level 2") in named
    assert ("Audio", "Item 1, level 2") in named
    assert ("region", "Item 0") in named
    assert ("region", "Lyrics") in named
    assert ("button", "sing") in named
    assert ("button", "Copy the command") in named


def test_headings_are_an_outline(page: Browser) -> None:
    script = """return [...document.querySelectorAll("h1, h2, h3, h4")]
    .map((h) => [Number(h.tagName[1]), h.textContent])"""
    headings = page.run(script)
    players = [[3, f"Level {level}"] for level in range(3)]
    assert headings[1:7] == [[2, "Item 0"], *players, [3, "Lyrics"], [4, "Verse"]]
    assert headings[7:] == [
        [2, "Item 1"],
        *players,
        [3, "Lyrics"],
        [2, "How it was made"],
        [2, "Make it again"],
    ]


def test_roles_and_labels_as_they_are_computed(page: Browser) -> None:
    (first, *_), (place, *_), (word, *_) = map(page.find, ("audio", ".place", "button.word"))
    assert page.label(first) == "Item 0, level 0"
    assert (page.role(place), page.label(place)) == ("slider", "Place in item 0, level 0")
    assert (page.role(word), page.label(word)) == ("button", "we")
    (main,) = page.find("main")
    assert page.role(main) == "main"
    alt = page.label(page.find("img")[0])
    assert alt.startswith("Mel spectrogram of item 0, level 0: 0 to 4.0 seconds from left to right")


def test_nothing_is_read_out_while_it_plays(page: Browser) -> None:
    live = "[aria-live], [role=alert], [role=log], [role=timer], [role=marquee]"
    assert page.find(live) == []
    page.run(
        """window.changes = [];
        const watched = { subtree: true, childList: true, characterData: true };
        const status = document.querySelector("[role=status]");
        new MutationObserver((c) => window.changes.push(...c)).observe(status, watched);
        new MutationObserver((c) => window.changes.push(...c)).observe(
          document.querySelector(".place"), { attributes: true });
        document.querySelector(".place").focus();
        window.changes = [];
        document.querySelector("audio").play();"""
    )
    page.wait("document.querySelector('audio').currentTime > 1.5")
    assert page.run("return window.changes.length") <= 1  # the slider's, when it got the focus


def test_the_command_is_copied(page: Browser) -> None:
    page.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    (button,) = page.find(".copy[data-copy=commands]")
    page.click(button)
    assert page.wait("window.copied").startswith("jukebox tokenize recording-0.wav recording-1.wav")
    page.wait("document.querySelector('[role=status]').textContent === 'Copied'")
    assert page.run("return arguments[0].textContent", {browser._ELEMENT: button}) == "Copied"


def test_the_command_is_copied_where_a_browser_has_no_clipboard(page: Browser) -> None:
    page.run(
        """navigator.clipboard.writeText = async () => { throw new Error("not here"); };
        document.execCommand = (name) => {
          window.done = [name, String(getSelection())];
          return true;
        };"""
    )
    page.click(page.find(".copy[data-copy=commands]")[0])
    name, text = page.wait("window.done")
    assert name == "copy"
    assert text.startswith("jukebox tokenize recording-0.wav")


# how it looks

CONTRAST = """
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
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_what_is_behind_it(page: Browser, scheme: str) -> None:
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    move(page, 0, STARTS[2] + 0.02)
    ratios = page.run(CONTRAST)
    assert len(ratios) > 60
    assert [pair for pair in ratios if pair[1] < 4.5] == []
    assert [word for word, _ in ratios].count("all") == 1
    paper = page.run("return getComputedStyle(document.documentElement).backgroundColor")
    bright = np.mean([int(n) for n in paper.strip("rgb()").split(",")])
    assert (bright > 200) if scheme == "light" else (bright < 50)


def test_nothing_moves_for_who_wants_stillness(page: Browser) -> None:
    duration = "return getComputedStyle(document.querySelector('button.word')).transitionDuration"
    assert page.run(duration) != "0s"
    page.prefer(prefers_color_scheme="light", prefers_reduced_motion="reduce")
    assert page.run(duration) == "0s"
    page.run(
        """window.places = new Set();
        const line = document.querySelector(".playhead");
        new MutationObserver(() => window.places.add(line.style.left)).observe(
          line, { attributeFilter: ["style"] });
        document.querySelector("audio").play();"""
    )
    page.wait("document.querySelector('audio').ended")
    assert 2 < page.run("return window.places.size") < 40  # four a second, not sixty


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 768])
def test_a_narrow_window_needs_no_scrolling_sideways(
    page: Browser, width: int, scheme: str
) -> None:
    page.prefer(prefers_color_scheme=scheme)
    page.resize(width, 640)
    assert page.run("return document.documentElement.scrollWidth") <= width
    wide = page.run(
        """return [...document.querySelectorAll("body *")].filter((e) =>
        !e.closest(".skip, svg, .said") && e.getBoundingClientRect().right > innerWidth + 0.5)
        .map((e) => e.tagName + "." + e.className)"""
    )
    assert wide == []


def test_a_printed_page_has_no_controls(page: Browser) -> None:
    page.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        shown = """return [...document.querySelectorAll("audio, .place, .copy, .playhead, .skip")]
        .filter((e) => e.getClientRects().length).length"""
        assert page.run(shown) == 0
        assert len(page.run(CONTRAST)) > 60
        paper = page.run("return getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        assert page.run("return document.images[0].getClientRects().length") == 1
    finally:
        page.devtools("Emulation.setEmulatedMedia", media="")


# with less


@pytest.fixture
def without_scripts(chromium: Browser) -> Iterator[Browser]:
    chromium.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        yield chromium
    finally:
        chromium.devtools("Emulation.setScriptExecutionDisabled", value=False)


def test_without_scripts_it_is_still_a_page_with_sound(
    without_scripts: Browser, report: Path
) -> None:
    without_scripts.open(report)
    nodes = without_scripts.devtools("Accessibility.getFullAXTree")["nodes"]
    there = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    assert ("Audio", "Item 0, level 0") in there
    assert [name for role, name in there if role == "button" and name == "play"]
    assert not [name for role, name in there if role == "slider" and "Place in" in name]
    assert not [name for role, name in there if "Copy" in name or "Choose a word" in name]
    text = " ".join(name for role, name in there if role == "StaticText")
    assert "we sing all night" in " ".join(text.split())
    assert "jukebox tokenize recording-0.wav" in text


Remade = Callable[..., Browser]


@pytest.fixture
def remade(
    chromium: Browser,
    run: Path,
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Remade:
    """The page of the same run when more sounds than so many wait until they are played."""

    def open_page(ready: int) -> Browser:
        monkeypatch.setattr("jukebox_plugins.report.page.READY", ready)
        words = ["report", str(run), "--out", str(tmp_path / "page.html")]
        assert CliRunner().invoke(build_app(registry), words).exit_code == 0
        chromium.open(tmp_path / "page.html")
        return chromium

    return open_page


def test_a_sound_that_is_not_loaded_yet_begins_where_it_was_told(remade: Remade) -> None:
    page = remade(5)
    assert page.run("return document.querySelector('audio').readyState") == 0
    page.run("document.querySelector('.place').focus()")
    page.press(RIGHT, RIGHT)
    assert page.run("return document.querySelector('.playhead').style.left") == "50%"
    page.press(SPACE)
    page.wait("document.querySelector('audio').currentTime > 2.1")
    page.run("document.querySelector('audio').pause()")
    page.click(page.find("button.word")[1])
    page.wait("!document.querySelector('audio').paused && !document.querySelector('audio').seeking")
    assert STARTS[1] <= audio(page, 0, "currentTime") < STARTS[1] + 1.5
