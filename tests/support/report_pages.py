"""Reports, parsed for tests."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jukebox_plugins.report.spectrogram import MelImage, MelSpectrogram

from jukebox_cli.storage.documents import json_text
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run


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


def played(page: Reader, label: str) -> np.ndarray:
    """The sound of a player at 8 kHz, float32 (N,)."""
    (audio,) = page.all("audio", **{"aria-label": label})
    mp3 = base64.b64decode(str(audio["src"]).removeprefix("data:audio/mpeg;base64,"))
    samples, rate = soundfile.read(io.BytesIO(mp3), dtype="float32")
    assert rate == 8000
    return np.asarray(samples)


def change_conditions(run: Path, **conditions: Any) -> None:
    """Changes the conditions of every item of a run."""
    for item, spec in Run(run).read_items(Run(run).items()).items():
        first = spec.segments[0]
        segment = replace(first, conditions={**first.conditions, **conditions})
        Run(run).write_item(item, spec.with_segment(0, segment))


def truncate(run: Path, model: Model, level: int, item: int, num_tokens: int) -> None:
    """Keeps the first tokens of an item, as an interrupted command does."""
    tokens = Run(run).read_tokens(level, item)
    assert tokens is not None
    Run(run).write_tokens(level, item, tokens[:num_tokens], model.config.vqvae)


def write_alignment(run: Path, item: int, *lines: dict[str, Any]) -> Path:
    """Writes an alignment of an item, as `jukebox align` does."""
    data = {"format": 2, "item": item, "level": 2, "layer": 3, "head": 1, "lines": lines}
    path = run / "alignment" / f"item-{item:02}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json_text(data))
    return path


def aligned_line(text: str, *times: tuple[str, float, float]) -> dict[str, Any]:
    """A line of an alignment, from (word, start, end)."""
    words = [{"word": word, "start": start, "end": end} for word, start, end in times]
    return {"text": text, "start": times[0][1], "end": times[-1][2], "words": words}


def sine(hertz: float, seconds: float, sample_rate: int) -> np.ndarray:
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * time))


def mel_image(samples: np.ndarray, sample_rate: int, block: int = 1000) -> MelImage:
    """The spectrogram of a sound that comes in blocks."""
    spectrogram = MelSpectrogram(sample_rate, len(samples))
    for start in range(0, len(samples), block):
        spectrogram.add(samples[start : start + block].astype(np.float32))
    return spectrogram.finish()
