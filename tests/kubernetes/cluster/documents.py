"""Objects of Kubernetes as the API has them, and the refusal of a request."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

Document = dict[str, Any]


class RefusedError(Exception):
    """The API server's refusal of a request."""

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def document(self) -> Document:
        """The response's body."""
        failure = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**failure, "message": str(self), "reason": self.reason, "code": int(self.status)}


def forbidden(message: str) -> RefusedError:
    """The refusal of what is valid but not allowed."""
    return RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", message)


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(document: Document, selector: str) -> bool:
    """Whether the labels match a selector of terms like `name` and `name=value`."""
    labels = document["metadata"].get("labels") or {}
    terms = [term.partition("=") for term in selector.split(",") if term]
    return all(labels.get(name) == value if equals else name in labels for name, equals, value in terms)


def containers(pod: Document) -> list[Document]:
    """All containers of a pod, in the order in which they start."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def set_status(document: Document, status: Document) -> None:
    """Replace the status."""
    document["status"] = status
