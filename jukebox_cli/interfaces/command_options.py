"""The command-line options that ask for a conditioner's values again, and values as text.

A run stores what `Conditioner.read` returned: contents, not paths. To show a person how to make the
run again, `Conditioner.to_options` goes the other way. A value that does not fit on a command line
is written to a file that an option names; a value that cannot be given back is named in a note.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from jukebox_cli.interfaces.contract import PluginError, read_values
from jukebox_cli.interfaces.errors import InputError, InputWarning

if TYPE_CHECKING:
    from jukebox_cli.interfaces.conditioner import Conditioner, Song

#: Lists up to this length are shown with their items, longer ones by their length.
MAX_SHOWN_ITEMS = 12


@dataclass(frozen=True)
class CommandOptions:
    """A part of a command line; parts are joined with `+`.

    options: (flag, value) pairs in order, such as `("--artist", "Ada Vale")`. The value is None for
        a switch such as `--greedy`.
    files: (file name, contents) pairs: files that the options name, to be written to the folder
        in which the command is run.
    notes: sentences about what is needed and is not among the options and files.
    """

    options: tuple[tuple[str, str | None], ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: CommandOptions) -> CommandOptions:
        return CommandOptions(
            self.options + other.options, self.files + other.files, self.notes + other.notes
        )


def option_flag(field: str) -> str:
    """The option of a field: `--top-p` for `top_p`."""
    return f"--{field.replace('_', '-')}"


def command_option(field: str, value: object) -> tuple[str, str | None]:
    """The option for a field: `--top-p 0.9`; for a bool the switch `--greedy` or `--no-greedy`."""
    if isinstance(value, bool):
        return option_flag(field if value else f"no_{field}"), None
    return option_flag(field), str(value)


def default_options(conditioner: Conditioner, song: Song) -> CommandOptions:
    """`--field value` for each `Input` field that the song has a value for.

    A text of several lines goes into `<field>.txt`. If the conditioner does not read these options
    as the same values, the result names the fields in notes instead.
    """
    names = [f.name for f in fields(conditioner.Input) if f.name in song]
    if not names:
        return CommandOptions()
    texts = {name: _option_text(song[name]) for name in names}
    if None not in texts.values():
        in_line = CommandOptions(tuple(command_option(n, texts[n]) for n in names))
        in_files = sum((options_with_file(n, texts[n]) for n in names), CommandOptions())
        multiline = any("\n" in str(text) for text in texts.values())
        candidates = [in_files, in_line] if multiline else [in_line, in_files]
        if found := first_equivalent(conditioner, song, candidates):
            return found
    return sum((unavailable_option(name) for name in names), CommandOptions())


def options_with_file(field: str, value: object, suffix: str = ".txt") -> CommandOptions:
    """The option for a field whose text goes into the file `<field><suffix>`; any other value
    stands in the option itself."""
    if not isinstance(value, str):
        return CommandOptions((command_option(field, value),))
    file_name = f"{field}{suffix}"
    return CommandOptions((command_option(field, file_name),), ((file_name, value.encode()),))


def unavailable_option(field: str, file_name: str | None = None) -> CommandOptions:
    """The option for a field that was read from a file which is gone, and a note that says so."""
    flag, name = command_option(field, file_name or field)
    note = f"What {flag} {name} was read from; the run keeps what was read, but not the file."
    return CommandOptions(((flag, name),), notes=(note,))


def first_equivalent(
    conditioner: Conditioner, song: Song, candidates: Iterable[CommandOptions]
) -> CommandOptions | None:
    """The first candidate that the conditioner reads as the values that the song has; None if there
    is none. Values that only one side has must be empty."""
    for candidate in candidates:
        values = read_options(conditioner, candidate)
        if values is not None and all(
            song[key] == value if key in song else not value for key, value in values.items()
        ):
            return candidate
    return None


def read_options(conditioner: Conditioner, command: CommandOptions) -> dict[str, Any] | None:
    """The values (JSON) that the conditioner reads from options and their files, or None if it
    refuses them."""
    from pydantic import TypeAdapter, ValidationError

    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        for file_name, contents in command.files:
            Path(folder, file_name).write_bytes(contents)
        texts = dict(_input_field(flag, value) for flag, value in command.options)
        try:
            parsed = TypeAdapter(conditioner.Input).validate_python(texts)
            inputs = {name: getattr(parsed, name) for name in texts}
            values = read_values(conditioner, inputs, Path(folder))
        except PluginError:
            raise
        except (InputError, ValidationError):
            return None
        plain: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists
        return plain


def _input_field(flag: str, value: str | None) -> tuple[str, str | bool]:
    """The inverse of `command_option`."""
    name = flag.removeprefix("--")
    if value is None:
        return name.removeprefix("no-").replace("-", "_"), not name.startswith("no-")
    return name.replace("-", "_"), value


def _option_text(value: object) -> str | int | float | None:
    """A value as an option takes it: a list of words with commas between; None if there is none."""
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return ",".join(value)
    return value if isinstance(value, (str, int, float)) else None


def default_description(conditioner: Conditioner, song: Song) -> dict[str, str]:
    """A line for each `Input` field that the song has, labelled with the field's name."""
    names = [f.name for f in fields(conditioner.Input) if f.name in song]
    return {name.replace("_", " "): summarize(song[name]) for name in names}


def summarize(value: object) -> str:
    """Any JSON value in one line: short values in full, long ones by their length."""
    if value is None or isinstance(value, bool):
        return {None: "not given", True: "yes", False: "no"}[value]
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {summarize(each)}" for key, each in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        is_nested = any(isinstance(each, (list, tuple, Mapping)) for each in value)
        if is_nested or len(value) > MAX_SHOWN_ITEMS:
            return pluralize(len(value), "value")
        return ", ".join(map(summarize, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def format_bytes(count: int) -> str:
    """`3 kB`, `0.4 MB`, `12 MB` or `1.5 GB`."""
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    if count >= 1e7:
        return f"{count / 1e6:.0f} MB"
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"


def pluralize(count: int, singular: str, plural: str = "") -> str:
    """`1 word`, `2 words`, `1,000 words`."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
