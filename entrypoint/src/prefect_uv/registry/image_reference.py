"""The name of an image: a registry, a repository, and a tag or a digest; or a directory in the OCI layout.

https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from prefect_uv.errors import UsageError

DIRECTORY_PREFIX = "oci:"
DIGEST_FORM = re.compile(r"sha256:[0-9a-f]{64}")
DOCKER_HUB = "docker.io"
DOCKER_HUB_HOST = "registry-1.docker.io"
DEFAULT_TAG = "latest"
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?")
EXAMPLE = "Name it like `registry.example.com/team/etl:main`, `…/team/etl@sha256:…` or `oci:DIRECTORY`."


@dataclass(frozen=True)
class ImageReference:
    """An image by its name.

    Attributes:
        registry: the registry's host, with the port if it has one; empty for a directory.
        repository: the repository's path there, or the directory.
        tag: the tag; empty if none was given.
        digest: `sha256:…`; empty if none was given.
    """

    registry: str
    repository: str
    tag: str
    digest: str

    @classmethod
    def of(cls, text: str) -> ImageReference:
        """Read a name.

        Raises:
            UsageError: it is none.
        """
        name, _, digest = text.removeprefix(DIRECTORY_PREFIX).partition("@")
        path, colon, tag = name.rpartition(":")
        tagged = bool(colon) and "/" not in tag
        if not tagged:
            path, tag = name, ""
        if text.startswith(DIRECTORY_PREFIX):
            registry, valid = "", bool(path)
        else:
            registry, path = _split_registry(path)
            valid = bool(_REGISTRY.fullmatch(registry) and _REPOSITORY.fullmatch(path))
        valid = valid and (not tagged or bool(_TAG.fullmatch(tag)))
        if not valid or ("@" in text and not DIGEST_FORM.fullmatch(digest)):
            raise UsageError(f"{text!r} is not the name of an image.", hint=EXAMPLE)
        return cls(registry, path, tag, digest)

    def __str__(self) -> str:
        """The name as it is written."""
        return f"{self.name}{f':{self.tag}' if self.tag else ''}{f'@{self.digest}' if self.digest else ''}"

    @property
    def name(self) -> str:
        """The name without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else f"{DIRECTORY_PREFIX}{self.repository}"

    @property
    def url(self) -> str:
        """The address of the repository; plain http on the own machine only, as all engines do."""
        host = DOCKER_HUB_HOST if self.registry == DOCKER_HUB else self.registry
        return f"{'http' if is_loopback(host) else 'https'}://{host}/v2/{self.repository}"


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is the own machine."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _split_registry(path: str) -> tuple[str, str]:
    """The registry and the repository of a name; without a registry it is one of Docker Hub."""
    first, slash, rest = path.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first, rest
    return DOCKER_HUB, path if slash else f"library/{path}"
