"""The signals that end a command: SIGINT (Ctrl-C), SIGTERM, and SIGHUP, which is handled like it.

Imports next to nothing, so that they are handled from the first moment on.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

#: Those that the system has: Windows has no SIGHUP.
END_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
#: Exit codes, as shells count them: 128 + the number of the signal.
INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP was received; handled like Ctrl-C, with an exit code of its own."""


class SignalHandler:
    """Ends the process at once while no command runs: there is nothing to save yet, and an
    exception in the middle of an import could be swallowed or shown. While one runs, raises
    KeyboardInterrupt or Terminated."""

    def __init__(self) -> None:
        self.is_running = False
        self.received: int | None = None  # the last signal while a command ran

    def __call__(self, number: int, frame: object) -> None:
        if not self.is_running:
            os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)
        self.received = number
        raise self.interrupt()

    def interrupt(self) -> KeyboardInterrupt:
        """The exception of the signal that was received."""
        return KeyboardInterrupt() if self.received == signal.SIGINT else Terminated()


def handle_signals() -> None:
    """Handles the signals that the process does not ignore, as `nohup` makes it ignore SIGHUP."""
    if isinstance(signal.getsignal(signal.SIGTERM), SignalHandler):
        return
    handler = SignalHandler()
    for number in END_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@contextmanager
def running_command() -> Iterator[None]:
    """A context in which signals raise KeyboardInterrupt or Terminated, also where an import or a
    callback turned that into another exception."""
    handlers = [signal.getsignal(number) for number in END_SIGNALS]
    own = next((each for each in handlers if isinstance(each, SignalHandler)), SignalHandler())
    own.is_running = True
    try:
        yield
    except Exception:
        if own.received is not None:
            raise own.interrupt() from None
        raise
    finally:
        own.is_running = False


@contextmanager
def blocked_signals() -> Iterator[None]:
    """A context in which signals wait. A process that is started in it inherits that, until it
    calls `unblock_signals`."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock_signals() -> None:
    """Handles the signals that waited."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
