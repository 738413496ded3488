"""A local Hugging Face hub, with the endpoints that huggingface_hub needs to download files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

COMMIT = "c0ffee" * 6 + "beef"
#: Files with such names are kept as large ones are: known by their SHA-256.
LARGE = (".safetensors", ".bin", ".pth.tar")

_ABOUT = re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?$")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)$")


@dataclass
class Hub:
    """Serves models, each from a folder, and fails in configurable ways."""

    server: HTTPServer
    #: By the name of the model.
    folders: Mapping[str, Path]
    #: By the name of a file: its next download breaks off after so many bytes.
    breaks: dict[str, int] = field(default_factory=dict)
    #: Files that are sent with a wrong last byte.
    spoiled: set[str] = field(default_factory=set)
    #: By the name of a model: the status and the hub's error code to answer with.
    refuses: dict[str, tuple[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server.expect_request(_ABOUT).respond_with_handler(self._about)
        self.server.expect_request(_FILE).respond_with_handler(self._file)

    @property
    def url(self) -> str:
        return self.server.url_for("").rstrip("/")

    @property
    def requests(self) -> list[tuple[str, str, int]]:
        """Requests for files: method, name and first byte."""
        return [
            (request.method, match[2], _first_byte(response))
            for request, response in self.server.log
            if (match := _FILE.match(request.path))
        ]

    def fetched(self, name: str) -> list[int]:
        """Where each download of a file began."""
        return [start for method, file, start in self.requests if method == "GET" and file == name]

    def _about(self, request: Request) -> Response:
        repository, revision = _groups(_ABOUT, request)
        if repository in self.refuses:
            return _refuse(*self.refuses[repository])
        if repository not in self.folders:
            return _refuse(404, "RepoNotFound")
        if revision not in (None, "main", COMMIT):
            return _refuse(404, "RevisionNotFound")
        text = json.dumps(describe(repository, self.folders[repository]))
        return _answer(text, mimetype="application/json")

    def _file(self, request: Request) -> Response:
        repository, name = _groups(_FILE, request)
        path = self.folders[repository] / name
        data = path.read_bytes()
        sent = data[:-1] + bytes([data[-1] ^ 1]) if name in self.spoiled else data
        response = _answer(sent)
        response.set_etag(digest(path))
        response.make_conditional(request, accept_ranges=True, complete_length=len(data))
        if request.method == "GET" and name in self.breaks:
            response.response = [sent[_first_byte(response) : self.breaks.pop(name)]]
        return response


def _answer(body: str | bytes = b"", **more: Any) -> Response:
    return Response(body, headers={"X-Repo-Commit": COMMIT}, **more)


def _refuse(status: int, code: str) -> Response:
    response = _answer(status=status)
    response.headers["X-Error-Code"] = code
    return response


def _groups(pattern: re.Pattern[str], request: Request) -> tuple[str, ...]:
    match = pattern.match(request.path)
    assert match
    return match.groups()


def _first_byte(response: Response) -> int:
    return response.content_range.start or 0


def digest(path: Path) -> str:
    data = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def describe(repository: str, folder: Path) -> dict[str, Any]:
    """The hub's metadata of a model and its files."""
    siblings = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size, file = path.stat().st_size, {"rfilename": path.relative_to(folder).as_posix()}
        about: dict[str, Any] = {**file, "size": size, "blobId": digest(path)}
        if path.name.endswith(LARGE):
            about["lfs"] = {"sha256": digest(path), "size": size, "pointerSize": 134}
        siblings.append(about)
    return {"id": repository, "sha": COMMIT, "private": False, "siblings": siblings}
