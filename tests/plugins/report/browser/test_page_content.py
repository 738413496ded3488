"""The page in a browser: it loads, plays, copies the command, and needs no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from typer.testing import CliRunner

from jukebox_cli.cli import build_app
from jukebox_cli.registry import Registry
from support.browser import (
    ALL_LOADED,
    LINES,
    NEEDS_CHROMIUM,
    PLAYHEAD,
    SECONDS,
    STARTS,
    WORDS,
    Open,
    accessibility_tree,
    audio,
    press,
    sound,
    wait,
)

pytestmark = NEEDS_CHROMIUM


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


# without scripts, and with sounds that are not loaded


def test_without_scripts_the_page_still_has_sound(chromium: Browser, report: Path) -> None:
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
