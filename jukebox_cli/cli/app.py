"""The app: the commands of this package and of plugins, and errors as exit codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jukebox_cli import __version__
from jukebox_cli.cli import (
    bench,
    continue_,
    decode,
    evaluate,
    examples,
    generate,
    model,
    plan,
    play,
    plugin,
    preset,
    resume,
    run,
    tokenize,
    train_prior,
    train_vqvae,
    upsample,
)
from jukebox_cli.cli.console import (
    Exit,
    discard_stdout,
    exit_code,
    ignore_stderr_errors,
    open_closed_streams,
    print_error,
    print_warning,
    print_warnings_once,
)
from jukebox_cli.cli.groups import command_group
from jukebox_cli.cli.installation import describe_installation
from jukebox_cli.config.suggest import did_you_mean
from jukebox_cli.config.value_errors import plain_message
from jukebox_cli.interfaces.errors import (
    FULL_DISK_HINT,
    READ_HINTS,
    InputError,
    is_full_disk,
    is_out_of_memory,
    utf8_name_error,
)
from jukebox_cli.interfaces.signals import running_command
from jukebox_cli.registry import Registry, load_installed
from jukebox_cli.sampling.row_limit import no_memory_error

#: Modules with commands, in the order of `jukebox --help`.
COMMANDS = (generate, continue_, resume, upsample, decode, play, tokenize, plan, bench)
GROUPS = (evaluate, run, model, preset, plugin, examples)


#: Columns of a terminal that help is shown in tables from.
MIN_TABLE_COLUMNS = 60
#: A file name, or a part of one, in a text: Python decodes what is not UTF-8 as surrogates.
NAME_NOT_UTF8 = re.compile(r"""[^\s"']*[\udc80-\udcff][^\s"']*""")


class Commands(TyperGroup):
    """A command group that prints errors as `error:` and `hint:` and turns them into exit codes."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        try:
            return super().make_context(*args, **options)
        except Exception as error:
            if _is_help(error) or not (fixable := _fixable(error)):
                raise
            print_error(fixable)
            raise typer.Exit(Exit.FIXABLE) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            with running_command(), print_warnings_once():
                return super().invoke(ctx)
        except (KeyboardInterrupt, typer.Abort) as interrupt:
            print("\nstopped; run the same command again to resume", file=sys.stderr)
            raise typer.Exit(exit_code(interrupt)) from None
        except (typer.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("traceback") or _is_help(error):
                raise
            fixable = error if isinstance(error, InputError) else _fixable(error)
            print_error(fixable or _unexpected(error))
            raise typer.Exit(Exit.FIXABLE if fixable else Exit.FAILED) from None


def _is_help(error: Exception) -> bool:
    return type(error).__name__ == "NoArgsIsHelpError"


def _fixable(error: Exception) -> InputError | None:
    """The InputError for an error of typer or of the system that a person can fix; else None."""
    if is_out_of_memory(error):
        return no_memory_error()
    if hasattr(error, "format_message"):  # typer's, about a wrong command, argument or option
        return _usage_error(error)
    if isinstance(error, UnicodeEncodeError) and (name := NAME_NOT_UTF8.search(error.object)):
        return utf8_name_error(name[0])
    if isinstance(error, OSError) and (hint := READ_HINTS.get(error.errno or 0)):
        return InputError(f"can't use {error.filename or 'a file'}: {error.strerror}", hint)
    if isinstance(error, OSError) and is_full_disk(error):
        if not error.filename:  # errors of files have names
            return _stdout_error(error)
        return InputError(f"can't write {error.filename}: {error.strerror}", FULL_DISK_HINT)
    return None


def _usage_error(error: Any) -> InputError:
    """typer's message about a command line in our style, with its suggestions in the hint."""
    message = _plain_usage(error.format_message().replace("Value error, ", ""))
    text, *rest = re.split(r"(?:\. Did you mean | \(Possible options: )'?", message)
    command = error.ctx.command_path.split()[1:] if error.ctx else []
    hint = f"see `{' '.join(['jukebox', *command, '--help'])}`"
    if rest:
        suggestions = [word.strip("'\"().? ") for word in re.split(r",| or ", rest[0])]
        hint = did_you_mean(text.rpartition(" ")[2].strip("'"), suggestions) or hint
    return InputError(text[:1].lower() + text[1:].rstrip("."), hint)


def _plain_usage(message: str) -> str:
    """typer's message, without the words of pydantic about a value: `--seconds must be ...`."""
    match = re.fullmatch(
        r"Invalid value for '?([^':]+)'?: (Input should be .*)", message.strip(), re.DOTALL
    )
    return f"{match[1]} {plain_message(match[2])[0]}" if match else message


def _unexpected(error: Exception) -> InputError:
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return InputError(message, "`jukebox --traceback ...` shows where; please report it")


def build_app(registry: Registry) -> typer.Typer:
    """The command line with the plugins of a registry."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if get_terminal_size().columns >= MIN_TABLE_COLUMNS else None,
        context_settings={"help_option_names": ["-h", "--help"], "obj": registry},
        help="Music with singing as raw audio: Jukebox on the command line.",
    )
    app.callback()(_root)
    for module in COMMANDS:
        module.add(app, registry)
    _add_training(app, registry)
    for module in GROUPS:
        module.add(app, registry)
    registry.add_commands(app)
    return app


def _print_version(ctx: typer.Context, value: bool) -> None:
    if not value:
        return
    print(f"jukebox {__version__}")
    if ctx.params.get("verbose"):
        print("\n".join(describe_installation()))
    raise typer.Exit


def _root(
    traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback if there is an error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,  # not eager: --verbose is read first
            help="Print the version.",
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            is_eager=True,
            help="With --version: print what this installation computes with, too.",
        ),
    ] = False,
) -> None:
    """Options of all commands."""
    if verbose:
        raise InputError("--verbose needs --version", "use `jukebox --version --verbose`")


def _add_training(app: typer.Typer, registry: Registry) -> None:
    group = command_group(app, "train", "Train a codec or a prior on your own music.")
    train_vqvae.add(group, registry)
    train_prior.add(group, registry)


def main() -> None:
    """The `jukebox` command, after `cli.main` has seen to signals."""
    open_closed_streams()
    ignore_stderr_errors()
    _run_command(sys.argv[1:])


def _run_command(args: Sequence[str]) -> None:
    if "--traceback" in args:  # anywhere on the command line
        args = ["--traceback", *(arg for arg in args if arg != "--traceback")]
    try:
        try:
            build_app(load_installed(print_warning))(args, prog_name="jukebox")
        finally:
            _flush_stdout()
    except InputError as error:  # plugins that clash, or stdout that can't be written
        print_error(error)
        sys.exit(Exit.FIXABLE)
    except BrokenPipeError:
        sys.exit(Exit.FAILED)


def _flush_stdout() -> None:
    """Writes what is buffered, while an error can still be reported."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
        raise
    except OSError as error:
        raise _stdout_error(error) from None


def _stdout_error(error: OSError) -> InputError:
    discard_stdout()
    message = f"can't write to the standard output: {error.strerror}"
    return InputError(message, "free some space, or redirect it elsewhere")
