"""The objects of the cluster, with versions, watches and deletion in two steps."""

from __future__ import annotations

import base64
import copy
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import uuid4

from tests.kubernetes.cluster.documents import Document, RefusedError, matches, now
from tests.kubernetes.cluster.resources import RESOURCES

Key = tuple[str, str, str]
FINAL = ("Succeeded", "Failed")
WAIT_SECONDS = 0.5
"""How long a watch sleeps before it looks whether it has been stopped."""


@dataclass
class Store:
    """All objects by resource, namespace and name, and every change of them."""

    admit: Callable[[Store, str, Document], None]
    _objects: dict[Key, Document] = field(default_factory=dict)
    _changes: list[tuple[str, str, Document]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def version(self) -> int:
        """The number of changes so far, which is the version of a list."""
        return len(self._changes)

    def create(self, plural: str, namespace: str, document: Document) -> Document:
        """Store a new object, if the admission lets it in.

        Raises:
            RefusedError: it does not, or the name is taken.
        """
        document = copy.deepcopy(document)
        resource, metadata = RESOURCES[plural], document.setdefault("metadata", {})
        document |= {"apiVersion": resource.api_version, "kind": resource.kind}
        generated = f"{metadata.get('generateName')}{secrets.token_hex(3)}"
        metadata |= {"namespace": namespace, "uid": str(uuid4()), "creationTimestamp": now()}
        metadata.setdefault("name", generated)
        for name, text in document.pop("stringData", {}).items():
            document.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        with self._changed:
            self.admit(self, plural, document)
            key = (plural, namespace, metadata["name"])
            if key in self._objects:
                message = f'{plural} "{metadata["name"]}" already exists'
                raise RefusedError(HTTPStatus.CONFLICT, "AlreadyExists", message)
            return self._record("ADDED", key, document)

    def read(self, plural: str, namespace: str, name: str) -> Document:
        """An object; RefusedError if there is none."""
        with self._changed:
            if (found := self._objects.get((plural, namespace, name))) is None:
                raise RefusedError(HTTPStatus.NOT_FOUND, "NotFound", f'{plural} "{name}" not found')
            return copy.deepcopy(found)

    def find(self, plural: str, namespace: str | None = None, selector: str = "") -> list[Document]:
        """The objects of a namespace, or of all, that match a selector."""
        with self._changed:
            found = [item for (kind, place, _), item in self._objects.items() if _is(kind, place, plural, namespace)]
            return [copy.deepcopy(item) for item in found if matches(item, selector)]

    def change(self, plural: str, namespace: str, name: str, update: Callable[[Document], None]) -> Document:
        """Change an object in place; RefusedError if there is none."""
        with self._changed:
            document = self.read(plural, namespace, name)
            before = copy.deepcopy(document)
            update(document)
            key = (plural, namespace, name)
            return document if document == before else self._record("MODIFIED", key, document)

    def delete(self, plural: str, namespace: str, name: str, policy: str = "Background") -> Document:
        """Remove an object, or mark one that others have to end first: the kubelet a pod, the job controller a Job."""
        with self._changed:
            document = self.read(plural, namespace, name)
            running = plural == "pods" and document.get("status", {}).get("phase") not in FINAL
            if not running and policy != "Foreground":
                return self.remove(plural, namespace, name)
            return self.change(plural, namespace, name, _mark_deleted)

    def remove(self, plural: str, namespace: str, name: str) -> Document:
        """Remove an object at once."""
        with self._changed:
            document = self.read(plural, namespace, name)
            del self._objects[plural, namespace, name]
            return self._record("DELETED", (plural, namespace, name), document)

    def watch(
        self, plural: str, stopped: threading.Event, since: int = 0, namespace: str | None = None, selector: str = ""
    ) -> Iterator[tuple[str, Document]]:
        """The changes after a version, until `stopped` is set."""
        while not stopped.is_set():
            with self._changed:
                if since >= self.version:
                    self._changed.wait(WAIT_SECONDS)
                fresh, since = self._changes[since:], self.version
            for kind, change, document in fresh:
                place = document["metadata"]["namespace"]
                if _is(kind, place, plural, namespace) and matches(document, selector):
                    yield change, copy.deepcopy(document)

    def changes(self, plural: str, selector: str) -> list[Document]:
        """The objects that match a selector as they were at each change, also of those that are gone."""
        with self._changed:
            found = [document for kind, _, document in self._changes if kind == plural]
        return [copy.deepcopy(document) for document in found if matches(document, selector)]

    def _record(self, change: str, key: Key, document: Document) -> Document:
        document["metadata"]["resourceVersion"] = str(self.version + 1)
        if change != "DELETED":
            self._objects[key] = document
        self._changes.append((key[0], change, copy.deepcopy(document)))
        self._changed.notify_all()
        return copy.deepcopy(document)


def _is(kind: str, place: str, plural: str, namespace: str | None) -> bool:
    return kind == plural and namespace in (None, place)


def _mark_deleted(document: Document) -> None:
    document["metadata"].setdefault("deletionTimestamp", now())
