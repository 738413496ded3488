"""From measured speeds to the time that a job takes, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

from jukebox_cli.sampling.job import Job
from jukebox_cli.sampling.slice_plans import rows_per_item
from jukebox_cli.sampling.slices import SlicedItem, sliced_items
from jukebox_cli.sampling.windows import TokenWindow

if TYPE_CHECKING:
    from jukebox_cli.sampling.measure import BatchSpeed, DecodeSpeed, LevelSpeed


@dataclass(frozen=True)
class StageSeconds:
    """Seconds of each stage, of all levels and items together."""

    load: float = 0.0
    conditions: float = 0.0
    prefill: float = 0.0
    sampling: float = 0.0
    decode: float = 0.0

    def __add__(self, other: StageSeconds) -> StageSeconds:
        mine, theirs = asdict(self), asdict(other)
        return StageSeconds(**{name: mine[name] + theirs[name] for name in mine})

    @property
    def total(self) -> float:
        return self.load + self.conditions + self.prefill + self.sampling + self.decode


class TimedWindow(NamedTuple):
    """A window of a level that some items are sampled in side by side."""

    batch: int  # number of the batch
    end: int  # tokens that are known after it
    upper_end: int  # tokens of the level above that it needs
    seconds: float


@dataclass(frozen=True)
class LevelTime:
    """What a level takes."""

    stages: StageSeconds
    windows: tuple[TimedWindow, ...]


@dataclass(frozen=True)
class Schedule:
    """How the levels of a job are computed."""

    start: float = 0.0  # seconds before the first level is loaded
    worker_start: float = 0.0  # seconds that the process of another level takes to start
    cores: int = 1  # levels that are computed at a time; 1: one level after another


@dataclass(frozen=True)
class Projection:
    """How long a job takes, in seconds."""

    total: float
    first_sound: float | None  # until the first window of level 0 is decoded; None: never
    stages: StageSeconds
    levels: Mapping[int, float]  # of each level, loading included


def project(
    job: Job,
    levels: Mapping[int, LevelSpeed],
    decode: DecodeSpeed | None,
    schedule: Schedule,
) -> Projection:
    """The time of what a job lacks at some levels, from the top, and of decoding its audio."""
    cores, start = schedule.cores, schedule.start
    times = {
        level: level_time(job, speed, schedule.worker_start if number else 0.0)
        for number, (level, speed) in enumerate(levels.items())
    }
    finished = finish_times(list(times.values()), parallel=cores > 1)
    work = sum(time.stages.total for time in times.values())
    sampled = start + max([work / cores, *(ends[-1] for ends in finished if ends)])
    first = _first_tokens(list(times.values())[-1], finished[-1]) if finished else 0.0
    decoding, first_decoding = _decode_seconds(job, decode)
    stages = sum((time.stages for time in times.values()), StageSeconds(load=start))
    return Projection(
        sampled + decoding.total,
        None if decode is None else start + first + first_decoding.total,
        stages + decoding,
        {level: time.stages.total for level, time in times.items()},
    )


def _first_tokens(level: LevelTime, finished: Sequence[float]) -> float:
    """When a level has its first tokens that are kept."""
    times = (time for each, time in zip(level.windows, finished, strict=True) if each.end)
    return next(times, 0.0)


def _decode_seconds(job: Job, decode: DecodeSpeed | None) -> tuple[StageSeconds, StageSeconds]:
    """Of all audio that is missing, and of the first window of an item."""
    missing = [item for item in job.items if not job.run.has_audio(item, 0)]
    if decode is None or not missing:
        return StageSeconds(), StageSeconds()
    num_samples = sum(map(job.num_samples, missing))
    context_length = job.model.config.priors[0].context_length
    window = min(job.num_samples(missing[0]), job.grid.num_samples(0, context_length))
    return (
        StageSeconds(load=decode.load, decode=num_samples * decode.sample),
        StageSeconds(load=decode.load, decode=window * decode.sample),
    )


def level_time(job: Job, speed: LevelSpeed, worker_start: float = 0.0) -> LevelTime:
    """What the missing tokens of a level take, in a worker that takes so long to start."""
    level, items = speed.level, job.incomplete_items(speed.level)
    stages, windows = StageSeconds(load=worker_start + speed.load), []
    rows = rows_per_item(job, level)
    size = max(1, job.batch_size // rows)
    for number, at in enumerate(range(0, len(items), size)):
        batch = items[at : at + size]
        batch_speed = speed_of(speed, rows * len(batch))
        num_sampled = job.num_sampled_tokens(level, batch[0])
        for window, end in _missing_windows(job, level, batch[0], num_sampled):
            seconds = _window_seconds(batch_speed, window)
            upper_end = _upper_end(job, level, batch[0], window)
            windows.append(TimedWindow(number, end, upper_end, seconds.total))
            stages += seconds
    return LevelTime(stages, tuple(windows))


def speed_of(speed: LevelSpeed, batch: int) -> BatchSpeed:
    """The speed of a batch: of that size, else of the next larger one that was measured, which
    takes at most longer, else of several smaller ones."""
    larger = [each for each in speed.speeds if each.batch >= batch]
    if larger:
        return min(larger, key=lambda each: each.batch)
    return max(speed.speeds, key=lambda each: each.batch).scaled(batch)


def _missing_windows(
    job: Job, level: int, item: int, num_sampled: int
) -> Iterator[tuple[TokenWindow, int]]:
    """The windows that an item lacks, those of the last slice for all slices; of one that is half
    sampled, the rest. Each with the end of the tokens that are known after it, 0 if that is in a
    slice."""
    for part in job.segment_windows(level, item):
        for sliced in sliced_items(job, level, {item: part} if part.end > num_sampled else {}):
            yield from _missing_slice_windows(sliced)
            num_sampled = part.end
        yield from ((window, window.end) for window in _rest(part.windows, num_sampled))


def _missing_slice_windows(sliced: SlicedItem) -> Iterator[tuple[TokenWindow, int]]:
    """The windows that the slice lacks which is least far, moved to the last slice, and that of the
    seams."""
    start = sliced.layout.start(sliced.layout.plan.count - 1)
    *windows, seam = sliced.windows()
    for window in _rest(windows, min(sliced.num_tokens("slice"))):
        yield window.moved(start), 0
    for window in _rest([seam], min(sliced.num_tokens("seam")[1:])):
        yield window.moved(start), sliced.part.end


def _rest(windows: Iterable[TokenWindow], num_sampled: int) -> Iterator[TokenWindow]:
    """What is not sampled of some windows."""
    for window in windows:
        if window.end > num_sampled:
            yield window._replace(sample_from=max(window.sample_from, num_sampled))


def _window_seconds(speed: BatchSpeed, window: TokenWindow) -> StageSeconds:
    return StageSeconds(
        conditions=speed.conditions,
        prefill=speed.prefill * (window.sample_from - window.start),
        sampling=speed.position * (window.end - window.sample_from),
    )


def _upper_end(job: Job, level: int, item: int, window: TokenWindow) -> int:
    """Tokens of the level above that a window's conditions need."""
    if level == job.top_level:
        return 0
    context_length = job.model.config.priors[level].context_length
    _, end = job.grid.upper_range(level, window.start, window.start + context_length)
    return min(end, job.num_tokens(level + 1, item))


def finish_times(levels: Sequence[LevelTime], parallel: bool) -> list[list[float]]:
    """When each window of each level is complete, in seconds, levels from the top.

    In parallel, a window waits for the window before it and for the tokens it needs of the level
    above; otherwise a level begins when the one above is complete.
    """
    finished: list[list[float]] = []
    begin = 0.0
    for number, level in enumerate(levels):
        now, ends = begin + level.stages.load, list[float]()
        for window in level.windows:
            if parallel and number:
                upper = _time_of(levels[number - 1].windows, finished[-1], window)
                now = max(now, upper)
            now += window.seconds
            ends.append(now)
        finished.append(ends)
        begin = 0.0 if parallel else now
    return finished


def _time_of(upper: Sequence[TimedWindow], finished: Sequence[float], window: TimedWindow) -> float:
    """When the level above has the tokens that a window needs; 0 if it had them before."""
    times = [
        time
        for each, time in zip(upper, finished, strict=True)
        if each.batch == window.batch and each.end >= window.upper_end
    ]
    return times[0] if times else 0.0
