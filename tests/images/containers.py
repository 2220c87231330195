"""Running one command in a container of an image, with a bound on its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docker

LABELS = {"prefect-uv.tests": "images"}
SECONDS = 60


@dataclass(frozen=True)
class Outcome:
    """How a container ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Runner:
    """Runs commands in containers of one image, and removes the containers."""

    engine: docker.DockerClient
    image: str

    def __call__(self, command: Sequence[str] = (), **options: Any) -> Outcome:
        """Run to the end; `options` are those of the SDK's `containers.create`."""
        container = self.engine.containers.create(self.image, list(command), labels=LABELS, **options)
        try:
            container.start()
            code = int(container.wait(timeout=SECONDS)["StatusCode"])
            return Outcome(code, container.logs(stderr=False).decode(), container.logs(stdout=False).decode())
        finally:
            container.remove(force=True)

    def succeed(self, command: Sequence[str] = (), **options: Any) -> str:
        """Run to the end, expect exit code 0, and return the standard output."""
        outcome = self(command, **options)
        assert outcome.code == 0, outcome
        return outcome.stdout
