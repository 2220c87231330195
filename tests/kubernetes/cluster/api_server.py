"""The API server: HTTP requests to the store, as the worker, its observer and kubectl send them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.kubernetes.cluster.documents import Document, RefusedError
from tests.kubernetes.cluster.resources import RESOURCES, discovery
from tests.kubernetes.cluster.store import Store
from tests.stack.http import Handler, serve

PATH = re.compile(
    r"/(?:api|apis/[a-z0-9.]+)/v1(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>log|status))?"
)
JSON = "application/json"
OPENAPI = "/openapi/v2"


@dataclass(frozen=True)
class Target:
    """What a request is about."""

    plural: str
    namespace: str | None
    name: str | None
    part: str | None
    query: dict[str, str]


@contextmanager
def serve_api(host: str, store: Store, read_log: Callable[[str, str], str]) -> Iterator[str]:
    """Serve the store on a free port, and yield the URL; `read_log` returns what a pod's container has printed."""
    stopped = threading.Event()
    attributes = {"store": store, "read_log": staticmethod(read_log), "stopped": stopped}
    with serve(host, type("ApiHandler", (_ApiHandler,), attributes)) as address:
        try:
            yield f"http://{address}"
        finally:
            stopped.set()


class _ApiHandler(Handler):
    store: Store
    read_log: Callable[[str, str], str]
    stopped: threading.Event

    def do_GET(self) -> None:
        """Read an object or a container's log, list objects, or watch them."""
        path = urlsplit(self.path).path
        if path == OPENAPI:  # an empty document of protobuf: kubectl then leaves the validation to us
            self.answer(b"", "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
        elif (document := discovery().get(path)) is not None:
            self._answer(document)
        else:
            self._respond(self._get)

    def do_POST(self) -> None:
        """Create an object."""
        self._respond(
            lambda target: self.store.create(target.plural, target.namespace or "default", self._body()),
            HTTPStatus.CREATED,
        )

    def do_PUT(self) -> None:
        """Replace an object."""
        body = self._body()
        self._respond(lambda target: self._change(target, lambda document: document.update(body)))

    def do_PATCH(self) -> None:
        """Merge a patch into an object."""
        body = self._body()
        self._respond(lambda target: self._change(target, lambda document: _merge(document, body)))

    def do_DELETE(self) -> None:
        """Delete an object."""
        body = self._body()

        def delete(target: Target) -> Document:
            policy = target.query.get("propagationPolicy") or body.get("propagationPolicy") or "Background"
            return self.store.delete(target.plural, target.namespace or "default", target.name or "", policy)

        self._respond(delete)

    def _get(self, target: Target) -> Document | None:
        if target.part == "log":
            text = self.read_log(target.name or "", target.query["container"])
            self.answer(text.encode(), "text/plain")
            return None
        if target.name:
            return self.store.read(target.plural, target.namespace or "default", target.name)
        if target.query.get("watch") in ("1", "true"):
            self._watch(target)
            return None
        resource, version = RESOURCES[target.plural], self.store.version
        items = self.store.find(target.plural, target.namespace, target.query.get("labelSelector", ""))
        metadata = {"resourceVersion": str(version)}
        kind = f"{resource.kind}List"
        return {"kind": kind, "apiVersion": resource.api_version, "metadata": metadata, "items": items}

    def _watch(self, target: Target) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", JSON)
        self.end_headers()
        since, selector = int(target.query.get("resourceVersion") or 0), target.query.get("labelSelector", "")
        try:
            for change, document in self.store.watch(target.plural, self.stopped, since, target.namespace, selector):
                self.wfile.write(json.dumps({"type": change, "object": document}).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _change(self, target: Target, update: Callable[[Document], None]) -> Document:
        return self.store.change(target.plural, target.namespace or "default", target.name or "", update)

    def _respond(self, action: Callable[[Target], Document | None], status: HTTPStatus = HTTPStatus.OK) -> None:
        try:
            document = action(self._target())
        except RefusedError as error:
            self._answer(error.document, error.status)
            return
        if document is not None:
            self._answer(document, status)

    def _target(self) -> Target:
        url = urlsplit(self.path)
        match = PATH.fullmatch(url.path)
        if not match or match["plural"] not in RESOURCES:
            raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource")
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        return Target(match["plural"], match["namespace"], match["name"], match["part"], query)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")

    def _answer(self, document: Document, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.answer(json.dumps(document).encode(), JSON, status)


def _merge(document: Document, patch: Document) -> None:
    """A merge patch (RFC 7386)."""
    for name, value in patch.items():
        if value is None:
            document.pop(name, None)
        elif isinstance(value, dict) and isinstance(document.get(name), dict):
            _merge(document[name], value)
        else:
            document[name] = value
