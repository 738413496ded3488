"""Reports as tests look at them."""

from __future__ import annotations

import base64
import html
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np


class Reader(HTMLParser):
    """The elements of a page with their attributes, and the text outside of scripts and styles."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.page = page.read_text(encoding="utf-8")
        self.feed(self.page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        found = [a for name, a in self.elements if name == tag]
        return [a for a in found if all(a.get(k.rstrip("_")) == v for k, v in attributes.items())]

    def inside_of(self, key: str) -> str:
        """The text of the element with an id, which holds no other of its kind."""
        (found,) = re.findall(rf'<(\w+) id="{key}"[^>]*>(.*?)</\1>', self.page, re.DOTALL)
        return html.unescape(re.sub("<[^>]+>", "", found[1]))

    def text_of(self, file: str) -> str:
        """The file that a link saves."""
        (link,) = self.all("a", download=file)
        return base64.b64decode(str(link["href"]).partition("base64,")[2]).decode()


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Of two sounds: 1 when they are the same, 0 when they have nothing in common."""
    return float(np.corrcoef(one, other)[0, 1])
