"""Run one command in a container of an image, with a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import docker

from tests.suite import mark

LABELS = {"prefect-uv.tests": "images"}
SECONDS = 180


@dataclass(frozen=True)
class Outcome:
    """The exit code and output of a container."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Runner:
    """Runs commands in containers of one image, each removed at the end."""

    engine: docker.DockerClient
    image: str

    def __call__(self, command: Sequence[str] = (), **options: Any) -> Outcome:
        """Run a command to its end; `options` are those of the SDK's `containers.create`."""
        labels = {**LABELS, **mark.labels()}
        container = self.engine.containers.create(self.image, list(command), labels=labels, **options)
        try:
            container.start()
            code = int(container.wait(timeout=SECONDS)["StatusCode"])
            return Outcome(code, container.logs(stderr=False).decode(), container.logs(stdout=False).decode())
        finally:
            container.remove(force=True)

    def succeed(self, command: Sequence[str] = (), **options: Any) -> str:
        """Run a command that must exit with 0, and return its standard output."""
        outcome = self(command, **options)
        assert outcome.code == 0, outcome
        return outcome.stdout
