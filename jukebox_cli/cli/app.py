"""The app: commands from all of `cli`, flags from plugins, errors as exit codes."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from jukebox_cli import __version__
from jukebox_cli.cli import listing, making, models, report, training
from jukebox_cli.cli.console import Exit, print_error, print_warning, print_warnings_once
from jukebox_cli.config.suggest import did_you_mean
from jukebox_cli.interfaces.errors import InputError
from jukebox_cli.registry import Registry, load_installed


class Commands(TyperGroup):
    """Runs a command and turns what goes wrong into one line and an exit code."""

    def make_context(self, *words: Any, **more: Any) -> Any:
        try:
            return super().make_context(*words, **more)
        except Exception as error:
            if _is_help(error) or not (fixable := _fixable(error)):
                raise
            print_error(fixable)
            raise typer.Exit(Exit.FIXABLE) from None

    def invoke(self, ctx: Any) -> Any:
        try:
            with print_warnings_once():
                return super().invoke(ctx)
        except InputError as error:
            if ctx.params.get("traceback"):
                raise
            print_error(error)
            raise typer.Exit(Exit.FIXABLE) from None
        except (KeyboardInterrupt, typer.Abort):
            print("\nstopped; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(Exit.INTERRUPTED) from None
        except (typer.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("traceback") or _is_help(error):
                raise
            fixable = _fixable(error)
            print_error(fixable or _unexpected(error))
            raise typer.Exit(Exit.FIXABLE if fixable else Exit.FAILED) from None


def _is_help(error: Exception) -> bool:
    return type(error).__name__ == "NoArgsIsHelpError"


def _fixable(error: Exception) -> InputError | None:
    """An error that a person can do something about, though it is not one of ours."""
    if hasattr(error, "format_message"):  # typer's, about a wrong command, argument or flag
        return _usage(error)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return InputError(f"can't use {error.filename}: {error.strerror}", "choose a shorter name")
    if isinstance(error, PermissionError) and error.filename:
        hint = "change its permissions, or those of the folders around it"
        return InputError(f"can't use {error.filename}: {error.strerror}", hint)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC and not error.filename:
        return _unprintable(error)  # files say their names: see `disk`
    return None


def _usage(error: Any) -> InputError:
    """What typer has to say about a command line, as we say it."""
    said = error.format_message().replace("Value error, ", "")
    text, *meant = re.split(r"(?:\. Did you mean | \(Possible options: )'?", said)
    command = error.ctx.command_path.split()[1:] if error.ctx else []
    hint = f"see `{' '.join(['jukebox', *command, '--help'])}`"
    if meant:
        known = [word.strip("'\"().? ") for word in re.split(r",| or ", meant[0])]
        hint = did_you_mean(text.rpartition(" ")[2].strip("'"), known) or hint
    return InputError(text[:1].lower() + text[1:].rstrip("."), hint)


def _unexpected(error: Exception) -> InputError:
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return InputError(what, "`jukebox --traceback ...` shows where; please report it")


def build_app(registry: Registry) -> typer.Typer:
    """The command line with the plugins of a registry."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Music with singing, as raw audio: Jukebox as a command line.",
    )

    @app.callback()
    def root(
        ctx: typer.Context,
        traceback: Annotated[
            bool, typer.Option("--traceback", help="Show where an error came from.")
        ] = False,
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="The version.")
        ] = False,
    ) -> None:
        ctx.obj = registry  # for commands of plugins

    making.add(app, registry)
    training.add(app, registry)
    models.add(app, registry)
    report.add(app, registry)
    listing.add(app, registry)
    registry.add_commands(app)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        print(f"jukebox {__version__}")
        raise typer.Exit


def main() -> None:
    """The `jukebox` command."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what a cluster sends first
    words = sys.argv[1:]
    if "--traceback" in words:  # wherever it stands
        words = ["--traceback", *(w for w in words if w != "--traceback")]
    try:
        try:
            build_app(load_installed(print_warning))(words)
        finally:
            _flush()
    except KeyboardInterrupt:  # before there was a command to stop
        sys.exit(Exit.INTERRUPTED)
    except InputError as error:  # plugins that clash, or nowhere to print to
        print_error(error)
        sys.exit(Exit.FIXABLE)
    except BrokenPipeError:
        sys.exit(Exit.FAILED)


def _flush() -> None:
    """Prints what waits to be printed, while it can still be said that this fails."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
        raise
    except OSError as error:
        raise _unprintable(error) from None


def _unprintable(error: OSError) -> InputError:
    _hush()
    what = f"can't write to the standard output: {error.strerror}"
    return InputError(what, "make room there, or send it elsewhere")


def _hush() -> None:
    """Lets go of what waits to be printed: Python would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
