"""How long a song of a published model takes, from what was measured of each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpu_shapes import SONG_SECONDS, ShapedPrior
from measurements import Row, single_row

from jukebox_cli.sampling.measure import BatchSpeed
from jukebox_cli.sampling.slice_layout import SliceLayout, plan_slices
from jukebox_cli.sampling.windows import TokenWindow, token_windows


@dataclass(frozen=True)
class LevelFigures:
    """What was measured of a level, by the number of rows, and where its windows lie."""

    total: int  # tokens of the song
    context_length: int
    hop_fraction: float
    ratio: int  # tokens per token of the level above
    is_top: bool
    speeds: Mapping[int, BatchSpeed]

    @classmethod
    def of(cls, shaped: ShapedPrior, speeds: Mapping[int, BatchSpeed]) -> LevelFigures:
        grid, level = shaped.grid, shaped.level
        num_samples = round(SONG_SECONDS * shaped.config.vqvae.sample_rate)
        return cls(
            grid.num_tokens(level, num_samples),
            shaped.context_length,
            shaped.hop_fraction,
            grid.ratio(level),
            level == grid.top_level,
            dict(speeds),
        )

    def song_seconds(self, rows: int) -> float | None:
        """Seconds that the level of one song takes: the top among `rows` songs, its share of them;
        another level in up to `rows` slices. None if such a batch was not measured."""
        if self.is_top:
            windows, count = self._windows(), rows
        else:
            windows, count = self._slice_windows(rows)
        speed = min((n for n in self.speeds if n >= count), default=None)
        if speed is None:
            return None
        seconds = sum(_window_seconds(self.speeds[speed], window) for window in windows)
        return seconds / rows if self.is_top else seconds

    def _windows(self) -> list[TokenWindow]:
        return token_windows(self.total, self.context_length, self.hop_fraction, 0, self.ratio)

    def _slice_windows(self, rows: int) -> tuple[list[TokenWindow], int]:
        """The windows of every slice and of every seam, and the number of slices."""
        plan = plan_slices(rows, 0, self.total, self.context_length, self.ratio)
        if plan is None:
            return self._windows(), 1
        layout = SliceLayout(plan, self.total)
        windows = layout.windows(self.context_length, self.hop_fraction, self.ratio)
        return [*windows, layout.seam_window(self.context_length)], plan.count


def _window_seconds(speed: BatchSpeed, window: TokenWindow) -> float:
    prompt, count = window.sample_from - window.start, window.end - window.sample_from
    return speed.conditions + prompt * speed.prefill + count * speed.position


#: Names of ways to sample a song, with the rows of the top and those of the levels below it.
WAYS = {
    "one after another": (1, 1),
    "one song in 16 slices": (1, 16),
    "one song in 64 slices": (1, 64),
    "16 songs, each in 64 slices": (16, 64),
}


def music_rows(levels: Mapping[str, LevelFigures]) -> list[Row]:
    """Minutes of music that a minute makes, of each level and of all levels of each model. Where
    level 1 was not measured it is taken to be as fast as level 0, which has the same sizes."""
    rows = []
    for way, (top_rows, lower_rows) in WAYS.items():
        for name, level in levels.items():
            seconds = level.song_seconds(top_rows if level.is_top else lower_rows)
            rows += _row(f"{name}, {way}: music", seconds)
        for name, level in levels.items():
            if level.is_top:
                parts = [level.song_seconds(top_rows), *_lower_seconds(levels, lower_rows)]
                known = [each for each in parts if each is not None]
                complete = len(known) == len(parts) == 3
                name = f"{name.partition(',')[0]}, all levels"
                rows += _row(f"{name}, {way}: music", sum(known) if complete else None)
    return rows


def _lower_seconds(levels: Mapping[str, LevelFigures], rows: int) -> Sequence[float | None]:
    lower = levels.get("level 0")
    if lower is None:
        return []
    total = lower.total // lower.ratio
    as_fast = LevelFigures(
        total, lower.context_length, lower.hop_fraction, lower.ratio, False, lower.speeds
    )
    return [lower.song_seconds(rows), levels.get("level 1", as_fast).song_seconds(rows)]


def _row(name: str, seconds: float | None) -> list[Row]:
    return [] if seconds is None else [single_row(name, "min/min", SONG_SECONDS / seconds)]
