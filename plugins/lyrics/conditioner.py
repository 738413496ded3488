"""The lyrics conditioner: text -> character ids and where in the text each token lies.

Shapes: T tokens of a window, S characters that a window sees (`max_characters`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from jukebox_cli.api import (
    CommandOptions,
    Conditioner,
    InputError,
    InputWarning,
    PriorShape,
    Song,
    TimedText,
    Values,
    Window,
    command_option,
    first_equivalent,
    options_with_file,
    pluralize,
    read_text,
    unavailable_option,
)

if TYPE_CHECKING:
    import numpy as np
    from torch import nn
    from typing_extensions import Self

    from .charset import EncodedText, TextWindow

SUFFIXES = (".txt", ".lrc")
#: A path with folders and a suffix, and without spaces: no words that are sung.
PATH = re.compile(r"[\w.:/\\~-]*[/\\][\w-]+\.[A-Za-z]\w{0,8}")
#: In training: the times that only the attention target may use (see `Lyrics.augment`).
TARGET_TIMES = "lyrics_target_times"
#: Fraction of training steps in which a song with times is encoded with them.
TIMES_PROBABILITY = 0.25

Times = Sequence[tuple[int, float]]  # characters of the text, and their onsets in seconds


@dataclass(frozen=True)
class Lyrics(Conditioner):
    """The `max_characters` characters around the one that is sung in the middle of a window.

    That character follows from the times of the lyrics where there are some. Otherwise characters
    are assumed to be spread evenly over the song.

    form "cross_attention": an encoder reads the characters, and the prior's `cross_attention`
    layers attend to it (the paper's encoder-decoder). form "prefix": the characters precede the
    music in one sequence, and the prior's `prefix` layers attend to them (the paper's single
    encoder-decoder). Both also learn to predict the characters.
    """

    name: ClassVar[str] = "lyrics"
    form: Literal["cross_attention", "prefix"] = "cross_attention"
    #: Characters that a window sees.
    max_characters: int = 512
    #: Weight of the loss of a character in training, relative to that of a token.
    prediction_loss_weight: float = 0.4
    #: Weight of the guided attention loss, relative to the loss of a token: cross-entropy between
    #: the first head of each cross-attention layer and the character that is sung, if known.
    attention_loss_weight: float = 0.25
    #: Whether the character in the middle of the window is always at position S / 2. If not, as in
    #: the original, the window stops at the ends of the text, so that no position stays empty.
    center_window: bool = True
    #: Whether cross-attention gets encodings of the position in the text, from the times and from
    #: spreading the characters evenly.
    alignment_encoding: bool = True
    # of the encoder (form "cross_attention")
    width: int = 256  # channels
    depth: int = 6  # layers
    heads: int = 4
    rows: int = 32  # of factored attention; divides max_characters
    attention_patterns: tuple[str, ...] = ("row", "column", "previous")  # repeated over the layers
    attention_ratio: float = 0.25  # width of attention / width
    mlp_ratio: float = 1.0  # hidden width of the MLP / width
    residual_scale: bool = False  # multiply each residual branch by 1 / depth
    # of the prefix (form "prefix")
    tie_embeddings: bool = True  # the characters' embeddings are their output layer too
    #: Layer and head of the prior whose attention follows the lyrics best, if known.
    alignment_head: tuple[int, int] | None = None
    #: Fitted: the known characters. Character i has id i + 1; id 0 is an empty position.
    charset: str = ""

    @dataclass(frozen=True)
    class Input:
        lyrics: Annotated[
            str | None, "Lyrics, or a text file of them. An .lrc file also gives their times."
        ] = None

    def __post_init__(self) -> None:
        has_encoder = self.form == "cross_attention"
        sizes = ("width", "depth", "heads", "rows") if has_encoder else ()
        for name in ("max_characters", *sizes):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more")
        for name in ("prediction_loss_weight", "attention_loss_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more")
        if has_encoder and self.max_characters % self.rows:
            hint = f"try {16 * self.rows}"
            raise ValueError(f"max_characters must be a multiple of rows ({self.rows})", hint)
        if has_encoder and int(self.attention_ratio * self.width) % self.heads:
            raise ValueError(f"attention_ratio * width must be a multiple of heads ({self.heads})")

    def read(self, inputs: Mapping[str, Any], folder: Path) -> Values:
        """`lyrics`, `lyrics_times` and `lyrics_sections` as `text.parse_lyrics` gives them."""
        from .text import parse_lyrics

        text = inputs.get("lyrics")
        if not isinstance(text, str):
            raise InputError(f"can't read lyrics {text!r}", "write them in quotes, or name a file")
        name = text.strip()
        if _is_file_name(name) or _is_file(folder, name):
            text = read_text(folder / name)
        values = parse_lyrics(text)
        if name and not values["lyrics"].strip():
            message = f"lyrics: there is nothing to sing in {name}"
            warnings.warn(InputWarning(message), stacklevel=2)
        elif name.lower().endswith(".lrc") and not values["lyrics_times"]:
            message = f"lyrics: no line of {name} has a time, such as [00:12.50]"
            warnings.warn(InputWarning(message), stacklevel=2)
        return values

    def fit(self, songs: Sequence[Song]) -> Self:
        used = {character for song in songs for character in song.get("lyrics") or ""}
        return replace(self, charset="".join(sorted(used)))

    def augment(self, song: Song, rng: np.random.Generator) -> Song:
        """Hide the times of the lyrics from the input in most training steps.

        The attention target keeps them. So the prior learns to align by listening, which takes far
        longer to learn than to follow given times.
        """
        if not song.get("lyrics_times") or rng.random() < TIMES_PROBABILITY:
            return song
        return {**song, "lyrics_times": [], TARGET_TIMES: song["lyrics_times"]}

    def encode(self, song: Song, window: Window, shape: PriorShape) -> dict[str, np.ndarray]:
        """`ids`, int64 (S,), and float32 (T,) positions from 0 to S in it, nan if unknown.

        timed_positions: the character being sung at each token, from the times of the lyrics.
        uniform_positions: the same as if the characters were spread evenly over the song.
        target_positions: the character that the attention target points to, in training.
        """
        import numpy as np

        encoded = self.encode_text(song)
        _warn_of_dropped(encoded.dropped)
        start, end, slot = self.text_window(song, encoded, window, shape)
        ids = np.zeros(self.max_characters, dtype=np.int64)
        ids[slot : slot + end - start] = encoded.ids[start:end]
        offset = slot - start  # from positions in the text to positions in the window
        times = song.get("lyrics_times")
        target_times = times or song.get(TARGET_TIMES)
        return {
            "ids": ids,
            "timed_positions": offset + self.timed_positions(times, encoded, window, shape),
            "uniform_positions": self.uniform_positions(song, encoded, window, shape),
            "target_positions": offset + self.timed_positions(target_times, encoded, window, shape),
        }

    def uniform_positions(
        self, song: Song, encoded: EncodedText, window: Window, shape: PriorShape
    ) -> np.ndarray:
        """Position in the window's characters at each token, float32 (T,).

        As if the characters were spread evenly over the song, with S / 2 in the middle.
        """
        import numpy as np

        samples = window.length * (np.arange(shape.context_length) / shape.context_length - 0.5)
        characters_per_sample = len(encoded.ids) / self.total_samples(song, window, shape)
        positions: np.ndarray = (self.max_characters // 2 + samples * characters_per_sample).astype(
            np.float32
        )
        return positions

    def total_samples(self, song: Song, window: Window, shape: PriorShape) -> int:
        """The length of the song in samples."""
        return max(window.total, round((song.get("total") or 0) * shape.sample_rate))

    def timed_positions(
        self, times: Times | None, encoded: EncodedText, window: Window, shape: PriorShape
    ) -> np.ndarray:
        """Position in the encoded text at each token, float32 (T,); nan where it is unknown."""
        import numpy as np

        tokens = np.arange(shape.context_length, dtype=np.float32)
        if not times:
            return np.full_like(tokens, np.nan)
        characters, seconds = zip(*times, strict=True)
        known = np.searchsorted(encoded.origins, characters)
        at = (window.start + tokens * (window.length / shape.context_length)) / shape.sample_rate
        positions: np.ndarray = np.interp(at, seconds, known, np.nan, np.nan).astype(np.float32)
        return positions

    def encode_text(self, song: Song) -> EncodedText:
        """A song's lyrics in the characters of this model."""
        from .charset import encode_text

        return encode_text(song.get("lyrics") or "", self.charset)

    def text_window(
        self, song: Song, encoded: EncodedText, window: Window, shape: PriorShape
    ) -> TextWindow:
        """The characters that a window sees, and their positions in it."""
        from .charset import centered_window, character_at, right_aligned_window

        center = window.start + window.length / 2
        if times := song.get("lyrics_times"):
            middle = character_at(center / shape.sample_rate, times, encoded.origins)
        else:
            middle = int(len(encoded.ids) * center / self.total_samples(song, window, shape))
        choose = centered_window if self.center_window else right_aligned_window
        return choose(len(encoded.ids), self.max_characters, middle)

    def module(self, shape: PriorShape) -> nn.Module:
        from .network import LyricsEncoder, LyricsPrefix

        return LyricsPrefix(self, shape) if self.form == "prefix" else LyricsEncoder(self, shape)

    def vocabulary(self) -> dict[str, Sequence[str]]:
        return {"lyrics characters": [c for c in self.charset if not c.isspace()]}

    def describe(self, song: Song) -> dict[str, str]:
        """`3 words in 2 lines, with times`."""
        text = song.get("lyrics")
        if not isinstance(text, str):
            return super().describe(song)
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            return {"lyrics": "none"}
        summary = f"{pluralize(len(text.split()), 'word')} in {pluralize(len(lines), 'line')}"
        return {"lyrics": f"{summary}, with times" if song.get("lyrics_times") else summary}

    def to_options(self, song: Song) -> CommandOptions:
        """`--lyrics` with the text, if it is one line, or with a text or LRC file."""
        if "lyrics" not in song:
            return CommandOptions()
        return first_equivalent(self, song, _candidates(song)) or unavailable_option("lyrics")

    def timed_text(self, song: Song, run: Path, item: int) -> TimedText | None:
        """The lyrics of an item, with the times that `jukebox align` found or that were given."""
        from .timed_text import timed_lyrics

        return timed_lyrics(song, run, item)


def _candidates(song: Song) -> Iterator[CommandOptions]:
    from .lrc import lyrics_files

    text = song["lyrics"]
    if not isinstance(text, str):
        return
    if "\n" not in text:
        yield CommandOptions((command_option("lyrics", text),))
    for suffix, contents in lyrics_files(song):
        yield options_with_file("lyrics", contents, suffix)


def _is_file_name(text: str) -> bool:
    """Whether a text is always taken for the name of a file: one with a suffix of text files, or
    a path with any suffix, as `songs/verse.md`, which nobody sings."""
    if "\n" in text:
        return False
    return text.lower().endswith(SUFFIXES) or bool(PATH.fullmatch(text))


def _is_file(folder: Path, name: str) -> bool:
    """Whether a name with any other suffix is an existing file; lyrics rarely end in a suffix."""
    if "\n" in name or len(name) >= 256 or not Path(name).suffix[1:].isalnum():
        return False
    return (folder / name).is_file()


def _warn_of_dropped(characters: str) -> None:
    from .charset import is_sung

    if dropped := "".join(filter(is_sung, characters)):
        message = f"lyrics: left out {dropped}, which the model's charset does not have"
        warnings.warn(InputWarning(message), stacklevel=3)
