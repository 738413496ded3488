"""A hub of models on this machine, as far as huggingface_hub asks one to fetch files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "c0ffee" * 6 + "beef"
#: Files with such names are kept as large ones are: known by their SHA-256.
LARGE = (".safetensors", ".bin", ".pth.tar")


@dataclass
class Hub:
    """Models by name, each a folder; and what goes wrong."""

    folders: dict[str, Path]
    #: Of a file: the line breaks once after so many bytes.
    breaks: dict[str, int] = field(default_factory=dict)
    #: Files that come with other bytes than they have.
    spoiled: set[str] = field(default_factory=set)
    #: Answers with this number in place of a model.
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)
    #: What was asked for: method, file, where it begins.
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    url: str = ""

    def fetched(self, name: str) -> list[int]:
        """Where each download of a file began."""
        return [start for method, file, start in self.asked if method == "GET" and file == name]


def digest(path: Path) -> str:
    data = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def describe(repository: str, folder: Path) -> dict[str, Any]:
    """What the hub says of a model and its files."""
    siblings = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, file = path.stat().st_size, {"rfilename": path.relative_to(folder).as_posix()}
        about: dict[str, Any] = {**file, "size": size, "blobId": digest(path)}
        if path.name.endswith(LARGE):
            about["lfs"] = {"sha256": digest(path), "size": size, "pointerSize": 134}
        siblings.append(about)
    return {"id": repository, "sha": COMMIT, "private": False, "siblings": siblings}


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *words: object) -> None:
        """Tests read stderr."""

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self.about(match[1], match[2])
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self.file(self.hub.folders[match[1]] / match[3], with_body)
        else:
            self.refuse(404, "EntryNotFound")

    def about(self, repository: str, revision: str | None) -> None:
        if repository in self.hub.refuses:
            self.refuse(*self.hub.refuses[repository])
        elif repository not in self.hub.folders:
            self.refuse(404, "RepoNotFound")
        elif revision not in (None, "main", COMMIT):
            self.refuse(404, "RevisionNotFound")
        else:
            text = json.dumps(describe(repository, self.hub.folders[repository])).encode()
            self.head(200, {"Content-Type": "application/json", "Content-Length": len(text)})
            self.wfile.write(text)

    def refuse(self, code: int, name: str) -> None:
        self.head(code, {"X-Error-Code": name, "Content-Length": 0})

    def head(self, code: int, headers: dict[str, object]) -> None:
        self.send_response(code)
        for name, value in {"X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()

    def file(self, path: Path, with_body: bool) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start, data = int(found[1]) if found else 0, path.read_bytes()
        self.hub.asked.append((self.command, path.name, start))
        headers: dict[str, object] = {"ETag": f'"{digest(path)}"', "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self.head(206 if start else 200, {**headers, "Content-Length": len(data) - start})
        if not with_body:
            return
        if path.name in self.hub.spoiled:
            data = data[:-1] + bytes([data[-1] ^ 1])
        if (end := self.hub.breaks.pop(path.name, None)) is not None:
            self.wfile.write(data[start:end])
            self.close_connection = True
            self.connection.close()
        else:
            self.wfile.write(data[start:])


@contextmanager
def serving(folders: dict[str, Path]) -> Iterator[Hub]:
    """A hub that is there while the block runs."""
    hub = Hub(folders)
    handler = type("OfThisHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
