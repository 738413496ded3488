"""All levels of a run, one after another or side by side, then its audio.

A small prior keeps one core busy and leaves the others idle. So while one level is drawn, the
levels below it are too, each in a process of its own: it follows the level above by what that has
put on disk, a window behind it. Every level draws what it would have drawn alone.
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
from threading import Thread
from typing import Any

from jukebox_cli.interfaces.errors import InputError, InputWarning
from jukebox_cli.registry import load_installed
from jukebox_cli.sampling.job import Advance, Job
from jukebox_cli.sampling.level import sample_level

#: Seconds between looks at what the level above has put on disk.
POLL_SECONDS = 0.05


def main() -> None:
    """The process: draws the level it is told of while the one above it is drawn.

    It goes on until the level is whole or nobody holds the other end of its input.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who began us is asked, and asks us
    signal.signal(signal.SIGTERM, _stop)
    warnings.simplefilter("ignore", InputWarning)  # who began us has told them
    mouth = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a plugin prints is not for the one who listens
    level, own = pickle.load(sys.stdin.buffer)
    Thread(target=_end_with_input, daemon=True).start()

    def say(what: object) -> None:
        mouth.write(pickle.dumps(what))

    def bar(*said: Any) -> Advance:
        say(said)
        return say

    try:
        try:
            registry = load_installed(lambda message: None)
            sample_level(
                Job(registry=registry, progress=bar, wait_for_upper=_wait_for_upper, **own), level
            )
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # from here on it ends by itself
    except (KeyboardInterrupt, BrokenPipeError):
        pass  # we are to stop, or nobody listens any more
    except InputError as error:
        say(error)
    except Exception:
        say(RuntimeError(traceback.format_exc()))


def _wait_for_upper() -> None:
    time.sleep(POLL_SECONDS)


def _stop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: what is drawn is to be kept
    raise KeyboardInterrupt


def _end_with_input() -> None:
    os.read(0, 1)  # not by way of sys.stdin, whose lock Python wants at its end
    _thread.interrupt_main(signal.SIGTERM)


if __name__ == "__main__":
    main()
