"""Claims of several workers on parts of a run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jukebox_cli.storage import claims
from jukebox_cli.storage.claims import Claims
from jukebox_cli.storage.locks import STALE_SECONDS
from support.results import refusal

HOLD = """
import sys, time
from pathlib import Path
from jukebox_cli.storage.claims import Claims
with Claims(Path(sys.argv[1]), "shard 1/2", True) as mine:
    assert mine.take("part")
    print("taken", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Claims]:
    with Claims(tmp_path / "claims", "shard 1/2", True) as mine:
        yield mine


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Claims]:
    with Claims(tmp_path / "claims", "shard 2/2", True) as mine:
        yield mine


def age(worker: Claims, name: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(worker.folder / f"{name}.holder", (then, then))


def rewrite(worker: Claims, name: str, **changes: Any) -> None:
    """Changes the record of a claim."""
    path = worker.folder / f"{name}.holder"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_one_worker_has_a_claim_until_it_releases_it(one: Claims, two: Claims) -> None:
    assert one.take("part")
    assert not two.take("part")
    assert two.take("other")
    holder = two.holder("part")
    assert holder
    assert str(holder) == f"process {os.getpid()} on {socket.gethostname()} (shard 1/2)"
    one.release("part")
    assert two.holder("part") is None
    assert two.take("part")


def test_claims_that_are_left_are_released_at_the_end(tmp_path: Path, two: Claims) -> None:
    with Claims(tmp_path / "claims", "shard 1/2") as one:
        assert one.take("part")
    assert two.take("part")


def test_what_is_done_leaves_no_file(one: Claims, two: Claims) -> None:
    assert one.take("part")
    one.release("part")
    assert list(one.folder.iterdir()) == []
    assert two.take("part")  # harmless: it will find nothing to do
    two.release("part")


def test_a_killed_process_loses_its_claims_at_once(two: Claims) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(two.folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == "taken\n"
        assert not two.take("part")
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert two.holder("part")
    assert two.take("part")
    holder = two.holder("part")
    assert holder
    assert holder.worker == "shard 2/2"


def test_a_claim_of_another_machine_counts_while_it_is_renewed(one: Claims, two: Claims) -> None:
    assert one.take("part")
    rewrite(one, "part", host="elsewhere")
    lock = one._held.pop("part")._lock
    assert lock
    lock.release()  # as if the file system did not show locks of other machines
    assert not two.take("part")
    age(one, "part", STALE_SECONDS + 1)
    assert two.take("part")


def test_a_lock_of_a_machine_that_is_gone_does_not_count_for_ever(one: Claims, two: Claims) -> None:
    assert one.take("part")
    age(one, "part", STALE_SECONDS + 1)
    assert two.take("part")
    one.release("part")


def test_a_damaged_record_is_nobodys(one: Claims, two: Claims) -> None:
    assert one.take("part")
    (one.folder / "part.holder").write_text("[]")
    assert str(two.holder("part")) == "another process"
    assert not two.take("part")
    age(one, "part", STALE_SECONDS + 1)
    assert two.take("part")


def test_records_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWAL_SECONDS", 0.01)
    with Claims(tmp_path / "claims", "shard 1/2") as one:
        assert one.take("part")
        age(one, "part", 1000)
        end = time.monotonic() + 20
        while (holder := one.holder("part")) and holder.age > 500:
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "claims").write_text("")
    with Claims(tmp_path / "claims", "shard 1/2") as one:
        message, hint = refusal(one.take, "part")
    assert message == f"can't write {tmp_path / 'claims'}: Not a directory"
    assert hint == "choose another folder: part of this path is a file"
