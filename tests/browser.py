"""A headless Chromium for tests, spoken to in W3C WebDriver: https://www.w3.org/TR/webdriver2/."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Keys as WebDriver names them.
TAB, ENTER, SPACE, LEFT, RIGHT, UP, DOWN, HOME, END = (
    chr(code) for code in (0xE004, 0xE007, 0xE00D, 0xE012, 0xE014, 0xE013, 0xE015, 0xE011, 0xE010)
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # which root can't have
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--force-device-scale-factor=1",
)


def missing() -> str | None:
    """Why no browser can be started, if none can."""
    programs = ("chromium", "chromedriver")
    lacking = [name for name in programs if not shutil.which(name)]
    return f"{' and '.join(lacking)} not installed" if lacking else None


@dataclass(frozen=True)
class Browser:
    """One session; `at` is its address at the driver."""

    at: str

    def open(self, page: Path) -> None:
        self.ask("POST", "/url", url=page.resolve().as_uri())

    def run(self, script: str, *words: Any) -> Any:
        """What a script of functions' bodies returns: `return document.title`."""
        return self.ask("POST", "/execute/sync", script=script, args=list(words))

    def wait(self, condition: str, *words: Any, seconds: float = 20.0) -> Any:
        """What an expression is once it is true; AssertionError when that does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := self.run(f"return {condition}", *words):
                return value
            time.sleep(0.02)
        raise AssertionError(f"never true: {condition}")

    def find(self, selector: str) -> list[str]:
        """The elements that a CSS selector selects."""
        found = self.ask("POST", "/elements", using="css selector", value=selector)
        return [each[_ELEMENT] for each in found]

    def click(self, element: str) -> None:
        self.ask("POST", f"/element/{element}/click")

    def role(self, element: str) -> str:
        return str(self.ask("GET", f"/element/{element}/computedrole"))

    def label(self, element: str) -> str:
        return str(self.ask("GET", f"/element/{element}/computedlabel"))

    def press(self, *keys: str) -> None:
        """Keys, one after the other, wherever the focus is."""
        strokes = [{"type": kind, "value": k} for k in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", actions=[{"type": "key", "id": "keys", "actions": strokes}])

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the Chrome DevTools Protocol."""
        return self.ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def prefer(self, **features: str) -> None:
        """Emulates what a person's system prefers: `prefers_color_scheme="dark"`."""
        said = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.devtools("Emulation.setEmulatedMedia", features=said)

    def resize(self, width: int, height: int, **more: Any) -> None:
        """Emulates a window of a size in CSS pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size, **more)

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What has been logged since it was last asked: `browser` or `performance`."""
        return list(self.ask("POST", "/se/log", type=kind))

    def picture(self, path: Path) -> None:
        """Writes a screenshot of the whole page."""
        shot = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def ask(self, method: str, path: str, **body: Any) -> Any:
        return _ask(method, self.at + path, body if method == "POST" else None)


def _ask(method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        with error:
            problem = json.load(error)["value"]
        raise AssertionError(f"{problem['error']}: {problem['message']}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def browser(profile: Path, flags: Sequence[str] = ()) -> Iterator[Browser]:
    """A Chromium with a profile of its own, and its driver, both gone at the end."""
    port = _free_port()
    words = [str(shutil.which("chromedriver")), f"--port={port}"]
    home = {**os.environ, "HOME": str(profile), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    with subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=home
    ) as driver:
        at = f"http://127.0.0.1:{port}"
        try:
            _await(at)
            session = _session(at, profile, flags)
            try:
                yield Browser(session)
            finally:
                _ask("DELETE", session)
        finally:
            driver.terminate()


def _await(at: str) -> None:
    """Waits until the driver answers."""
    for _ in range(1000):
        try:
            if _ask("GET", f"{at}/status")["ready"]:
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise AssertionError("the driver does not answer")


def _session(at: str, profile: Path, flags: Sequence[str]) -> str:
    options = {
        "binary": str(shutil.which("chromium")),
        "args": [*_FLAGS, f"--user-data-dir={profile}", *flags],
    }
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    made = _ask("POST", f"{at}/session", {"capabilities": {"alwaysMatch": wanted}})
    return f"{at}/session/{made['sessionId']}"
