"""The process that samples a level while the levels above are sampled by others.

`python -m jukebox_cli.sampling.worker` reads a LevelTask from its standard input, and writes what
becomes of it to its standard output; see `messages`. It ends when the level is complete, or when
its input is closed.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from threading import Thread

from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.interfaces.signals import END_SIGNALS, unblock_signals
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling.job import Advance
from jukebox_cli.sampling.level import sample_level
from jukebox_cli.sampling.messages import (
    LevelFailed,
    LevelTask,
    ProgressAdvanced,
    ProgressStarted,
)

#: Seconds between looks at the token files of the level above.
POLL_SECONDS = 0.05

Send = Callable[[object], None]


def main() -> None:
    """Samples the level of one task."""
    for number in END_SIGNALS:  # the parent gets them too, and closes our input
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    unblock_signals()
    warnings.simplefilter("ignore", InputWarning)  # the parent has shown them
    send = _open_output()
    task: LevelTask = pickle.load(sys.stdin.buffer)
    Thread(target=_interrupt_at_end_of_input, daemon=True).start()
    try:
        try:
            _sample(task, send)
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on it ends by itself
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # interrupted, or the parent is gone
    except InputError as error:
        send(LevelFailed(error))
    except Exception:
        send(LevelFailed(RuntimeError(traceback.format_exc())))


def _open_output() -> Send:
    """A function that sends a message to the parent. What else is printed goes to stderr, so that
    a plugin that prints does no harm."""
    output = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)

    def send(message: object) -> None:
        output.write(pickle.dumps(message))

    return send


def _sample(task: LevelTask, send: Send) -> None:
    def start_progress(description: str, done: int, total: int) -> Advance:
        send(ProgressStarted(description, done, total))
        return lambda count: send(ProgressAdvanced(count))

    registry = load_installed(lambda message: None)
    sample_level(task.to_job(registry, start_progress, _wait_for_upper), task.level)


def _wait_for_upper() -> None:
    time.sleep(POLL_SECONDS)


def _interrupt(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not stop what is saved
    raise KeyboardInterrupt


def _interrupt_at_end_of_input() -> None:
    os.read(0, 1)  # not through sys.stdin, whose lock Python takes when it ends
    _thread.interrupt_main(signal.SIGTERM)


if __name__ == "__main__":
    main()
