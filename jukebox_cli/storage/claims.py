"""Claims: which process works on which part of a run or model, so that several can share the work.

A claim is a lock that says whose it is (`storage.locks`), and is renewed while its process lives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from jukebox_cli.storage.locks import LockHolder, WorkLock, command_line

#: Seconds between renewals of the records of a process.
RENEWAL_SECONDS = 15.0


@dataclass
class Claims:
    """The claims of one process on parts of something, by name. Use it as a context manager, which
    renews them, and releases at the end those that are left.

    worker: how messages name it.
    may_be_taken: as for `WorkLock`.
    """

    folder: Path
    worker: str = field(default_factory=command_line)
    may_be_taken: bool = False
    _held: dict[str, WorkLock] = field(default_factory=dict)
    _stopped: Event = field(default_factory=Event)

    def __enter__(self) -> Claims:
        Thread(target=self._renew, name="claims", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for name in list(self._held):
            self.release(name)

    def take(self, name: str, wait: bool = False) -> bool:
        """Claims a part, unless another process has it; returns whether it did."""
        lock = self._lock(name)
        if is_mine := lock.acquire(wait):
            self._held[name] = lock
        return is_mine

    def release(self, name: str) -> None:
        """Gives a claim back."""
        self._held.pop(name).release()

    def holder(self, name: str) -> LockHolder | None:
        """Who has a claim; None if nobody has."""
        return self._lock(name).holder()

    def _lock(self, name: str) -> WorkLock:
        return WorkLock(self.folder / f"{name}.lock", self.worker, self.may_be_taken)

    def _renew(self) -> None:
        while not self._stopped.wait(RENEWAL_SECONDS):
            for lock in list(self._held.values()):
                lock.renew()
