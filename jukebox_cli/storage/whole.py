"""Whether the files of a model or a run are whole: all of them are read through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from jukebox_cli.interfaces.errors import InputError, combine_errors
from jukebox_cli.storage.model import Model
from jukebox_cli.storage.run import Run
from jukebox_cli.storage.run_names import level_folders, token_files
from jukebox_cli.storage.token_files import read_token_file
from jukebox_cli.storage.weight_checks import read_through

#: Reads a file, and raises InputError if it is damaged.
Check = Callable[[], object]


def check_model(model: Model) -> int:
    """How many files of a model were read. Raises one InputError for all that are damaged."""
    return _run(_model_checks(model))


def check_run(run: Run) -> int:
    """How many files of a run were read. Raises one InputError for all that are damaged."""
    return _run(_run_checks(run))


def _run(checks: Iterator[Check]) -> int:
    count = 0
    problems: list[InputError] = []
    for check in checks:
        count += 1
        try:
            check()
        except InputError as error:
            problems.append(error)
    if problems:
        raise combine_errors(problems)
    return count


def _model_checks(model: Model) -> Iterator[Check]:
    yield lambda: model.config
    for path in sorted(model.path.glob("prior-*.json")):
        level = path.stem.removeprefix("prior-")
        if level.isdecimal():
            yield partial(model.fitted_conditioners, int(level))
    for folder in (model.path, model.path / "train"):
        for path in sorted(folder.glob("*.safetensors")):
            yield partial(read_through, path)


def _run_checks(run: Run) -> Iterator[Check]:
    yield lambda: run.config
    for item in run.items():
        yield partial(run.item, item)
    for level, folder in level_folders(run.path / "tokens").items():
        for path in token_files(folder):
            hint = "restore it from a copy; or delete it and run the command that made it again"
            yield partial(read_token_file, path, level, hint)
