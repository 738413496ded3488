"""The commands that make a run again, from the segments of its items.

A segment is a stretch of an item that was asked for at a time: by the command that began the run,
or by a `jukebox continue`. So a run is made again by the command that makes the first segments, and
one more for each further segment. Items that were continued alike share a command.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, Any

from jukebox_cli.api import CommandOptions, InputError, command_option
from jukebox_cli.api.runs import (
    LevelSampling,
    OpenRun,
    Prompt,
    RunItem,
    Segment,
    resolve_level_sampling,
    sampling_preset,
)

from .run_summary import RunSummary

if TYPE_CHECKING:
    from jukebox_cli.api.models import Model

#: Characters of a command line before it is broken.
LINE_LENGTH = 76


@dataclass(frozen=True)
class Reproduction:
    """How to make a run again.

    commands: for a POSIX shell, one after another.
    files: name and content of files that the commands read.
    notes: sentences about what else is needed.
    """

    commands: tuple[str, ...]
    files: tuple[tuple[str, bytes], ...]
    notes: tuple[str, ...]


def reproduce_run(summary: RunSummary, model: Model | None) -> Reproduction:
    """How to make the items of a run again.

    :param model: the run's model, if it is there. Sampling settings that are the model's own are
        left out; without the model a preset states them.
    """
    steps = [_first_command(summary, model), *_continue_commands(summary)]
    whole = reduce(CommandOptions.__add__, [options for _, options in steps], _model_note(summary))
    return Reproduction(
        tuple(format_command(words, options) for words, options in steps),
        tuple(dict.fromkeys(whole.files)),
        tuple(dict.fromkeys(whole.notes)),
    )


def format_command(words: Sequence[str], options: CommandOptions) -> str:
    """`jukebox WORDS OPTIONS`, quoted for a POSIX shell and broken between options."""
    parts = [list(words)]
    parts += [[flag] if value is None else [flag, value] for flag, value in options.options]
    lines = ["jukebox"]
    for part in parts:
        text = shlex.join(part)
        if len(lines[-1]) + len(text) > LINE_LENGTH:
            lines.append(" ")
        lines[-1] += f" {text}"
    return " \\\n".join(lines)


def format_seconds_exactly(num_samples: int, sample_rate: int) -> str:
    """The shortest decimal number of seconds that rounds to so many samples."""
    return _shortest_decimal(
        num_samples / sample_rate, lambda seconds: round(seconds * sample_rate) == num_samples
    )


def format_number_list(numbers: Iterable[int]) -> str:
    """Numbers as `--only` takes them: `2,4-7`."""
    ordered = sorted(numbers)
    starts = [ordered[0], *(b for a, b in pairwise(ordered) if b != a + 1)]
    ends = [*(a for a, b in pairwise(ordered) if b != a + 1), ordered[-1]]
    ranges = zip(starts, ends, strict=True)
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


Command = tuple[tuple[str, ...], CommandOptions]


def _first_command(summary: RunSummary, model: Model | None) -> Command:
    """The command that begins the run."""
    run, first = summary.run, summary.items[0].item
    prompt = first.segments[0].prompt
    if prompt and (len(first.segments) == 1 or not _is_continued_recording(summary)):
        return _tokenize_command(summary)
    segment_index = 1 if prompt else 0
    start = first.segments[segment_index].first_sample
    num_samples = _segment_end(first, segment_index) - start
    options = (
        _options(("--model", summary.model_name))
        + _options(("--seconds", format_seconds_exactly(num_samples, run.config.sample_rate)))
        + _item_options([each.item.number for each in summary.items])
        + _options(("--seed", str(first.segments[segment_index].seed)))
        + run.to_options(first.segments[segment_index].conditions)
        + _sampling_options(run, first.segments[segment_index], model)
        + _parallel_option(first.segments[segment_index])
        + _until_option(summary)
        + _options(("--out", _folder(summary)))
    )
    if prompt is None:
        return ("generate",), options
    return ("continue",), _recording_options(summary, prompt) + options


def _is_continued_recording(summary: RunSummary) -> bool:
    """Whether `jukebox continue --audio` began the run: then all items have the same recording, cut
    to whole tokens, and sampling begins under the conditions of the recording itself."""
    top = max(level.hop_length for each in summary.items for level in each.levels)
    beginnings = [each.item.segments[:2] for each in summary.items]
    prompt = beginnings[0][0].prompt
    return all(
        len(segments) == 2
        and segments[0].prompt == prompt
        and prompt is not None
        and prompt.num_samples % top == 0
        and _settings(segments[0]) == _settings(segments[1])
        for segments in beginnings
    )


def _settings(segment: Segment) -> tuple[Any, ...]:
    return segment.seed, segment.conditions, segment.sampling, segment.hop_fraction


def _segment_end(item: RunItem, index: int) -> int:
    """The sample after the last of a segment."""
    following = item.segments[index + 1 : index + 2]
    return following[0].first_sample if following else item.num_samples


def _item_options(numbers: Sequence[int]) -> CommandOptions:
    """`--items`, and `--only` if items are left out; nothing for item 0 alone."""
    options = []
    if list(numbers) != [0]:
        options.append(("--items", str(max(numbers) + 1)))
    if list(numbers) != list(range(len(numbers))):
        options.append(("--only", format_number_list(numbers)))
    return _options(*options)


def _until_option(summary: RunSummary) -> CommandOptions:
    """`--until top` for a run that has only tokens of its top level."""
    sampled = {x.level for each in summary.items for x in each.levels if x.num_sampled}
    num_levels = summary.run.num_levels
    is_top_only = sampled == {num_levels - 1} and num_levels > 1
    return _options(("--until", "top")) if is_top_only else CommandOptions()


def _folder(summary: RunSummary) -> str:
    """The run's name, in a form that is not taken for an option."""
    return f"./{summary.name}" if summary.name.startswith("-") else summary.name


def _tokenize_command(summary: RunSummary) -> Command:
    files = [f"recording-{each.item.number}.wav" for each in summary.items]
    note = "The recordings that were turned into tokens, whatever their names."
    if any(each.item.segments[0].conditions for each in summary.items):
        note += " A manifest gives the conditions of each."
    options = _options(
        ("--model", summary.model_name), ("--as", "run"), ("--out", _folder(summary))
    )
    return ("tokenize", *files), options + CommandOptions(notes=(note,))


def _recording_options(summary: RunSummary, prompt: Prompt) -> CommandOptions:
    """The options that name the recording that a run continues."""
    rate = summary.run.config.sample_rate
    top = max(level.hop_length for each in summary.items for level in each.levels)
    seconds = _shortest_decimal(
        prompt.num_samples / rate,
        lambda seconds: 0 <= floor(seconds * rate) - prompt.num_samples < top,
    )
    note = f"The recording “{prompt.name}”; its hash is {prompt.audio_hash}."
    return _options(("--audio", prompt.name), ("--prime", seconds)) + CommandOptions(notes=(note,))


def _sampling_options(run: OpenRun, segment: Segment, model: Model | None) -> CommandOptions:
    """The options that make sampling what it was: nothing if it was the model's own, sampler
    options if these are the same at every level, or else a preset."""
    levels = tuple(map(LevelSampling, segment.hop_fraction, segment.sampling))
    for options in ({}, _common_options(levels)):
        if model and _samples_like(run, model, options, levels):
            return _options(*(command_option(name, value) for name, value in options.items()))
    preset = sampling_preset(levels).encode()
    return CommandOptions((("--preset", "sampling.yaml"),), (("sampling.yaml", preset),))


def _common_options(levels: Sequence[LevelSampling]) -> dict[str, Any]:
    """The sampler options that all levels have."""
    first, *others = [level.options for level in levels] or [{}]
    return {k: v for k, v in first.items() if all(other.get(k) == v for other in others)}


def _samples_like(
    run: OpenRun, model: Model, options: Mapping[str, Any], levels: tuple[LevelSampling, ...]
) -> bool:
    """Whether `generate` with these sampler options samples each level like this."""
    try:
        return resolve_level_sampling(run.registry, model, options) == levels
    except InputError:  # an option of a plugin that is not installed
        return False


def _model_note(summary: RunSummary) -> CommandOptions:
    """A note about a model that does not come with the program."""
    from jukebox_cli.api.models import builtin_model_names

    config, name = summary.run.config, summary.model_name
    if config.model in builtin_model_names():
        return CommandOptions()
    what = f"The model “{name}”, of fingerprint {config.fingerprint}"
    return CommandOptions(notes=(f"{what}: in models/{name}, or name its folder with --model.",))


def _continue_commands(summary: RunSummary) -> list[Command]:
    """A command for each segment after the first, shared by items that were continued alike."""
    begun = 2 if _first_command(summary, None)[0] == ("continue",) else 1
    longest = max(len(each.item.segments) for each in summary.items)
    commands = []
    for index in range(begun, longest):
        groups: dict[Command, list[int]] = {}
        for each in summary.items:
            if index < len(each.item.segments):
                command = _continue_command(summary, each.item, index)
                groups.setdefault(command, []).append(each.item.number)
        for (words, options), numbers in groups.items():
            only = _only_option(summary, numbers)
            seconds, *rest = options.options
            ordered = CommandOptions((seconds, *only.options, *rest), options.files, options.notes)
            commands.append((words, ordered))
    return commands


def _only_option(summary: RunSummary, numbers: Sequence[int]) -> CommandOptions:
    if len(numbers) == len(summary.items):
        return CommandOptions()
    return _options(("--only", format_number_list(numbers)))


def _continue_command(summary: RunSummary, item: RunItem, index: int) -> Command:
    """The `jukebox continue` that adds a segment to an item."""
    run, before, segment = summary.run, item.segments[index - 1], item.segments[index]
    num_samples = _segment_end(item, index) - segment.first_sample
    seconds = format_seconds_exactly(num_samples, run.config.sample_rate)
    options = _options(("--seconds", seconds))
    if segment.seed != before.seed:
        options += _options(("--seed", str(segment.seed)))
    options += run.to_options(segment.conditions, before.conditions)
    return ("continue", _folder(summary)), options + _parallel_option(segment)


def _parallel_option(segment: Segment) -> CommandOptions:
    """`--parallel` with the most slices of any level: a shorter one takes what it has room for."""
    count = max((plan.count for plan in segment.slices if plan), default=1)
    return _options(("--parallel", str(count))) if count > 1 else CommandOptions()


def _options(*options: tuple[str, str | None]) -> CommandOptions:
    return CommandOptions(tuple(options))


def _shortest_decimal(value: float, is_right: Callable[[float], bool]) -> str:
    """The shortest decimal text near a value whose number is right."""
    texts = (f"{value:.{digits}g}" for digits in range(1, 18))
    plain = (format(float(text), "f").rstrip("0").rstrip(".") for text in texts)
    return next(text for text in plain if is_right(float(text)))
