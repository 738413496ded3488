"""`jukebox plugin list`."""

from __future__ import annotations

import json

from support.command_line import Jukebox, stdout_of


def test_plugins_are_listed(jukebox: Jukebox) -> None:
    rows = json.loads(stdout_of(jukebox("plugin", "list", "--json")))["plugins"]
    assert {
        "kind": "conditioner",
        "name": "genre",
        "package": "jukebox-cli",
        "options": "--genre",
    } in rows
    assert {
        "kind": "sampler",
        "name": "top-k",
        "package": "jukebox-cli",
        "options": "--top-k",
    } in rows
    assert len(stdout_of(jukebox("plugin", "list")).splitlines()) == len(rows)
