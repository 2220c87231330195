"""The Docker engine and its client: found on this machine, or installed and started, and stopped if started here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images import apt, daemon
from images.process import ToolError, run, say

# Docker 23.0: `docker build` is `docker buildx build`. https://docs.docker.com/engine/release-notes/23.0/
LAST_CLIENT_WITH_OWN_BUILDKIT = 22


def client() -> str | None:
    """The path of the first Docker client that can use BuildKit, None if there is none."""
    paths = [shutil.which("docker", path=folder) for folder in [*os.get_exec_path(), "/usr/bin"]]
    return next((path for path in paths if path and _has_buildkit(path)), None)


def _has_buildkit(path: str) -> bool:
    """Whether the client supports BuildKit itself, as Debian's 20.10 does, or has the buildx plugin."""
    version = re.search(r"version (\d+)", run([path, "--version"], timeout=30))
    if version and int(version[1]) <= LAST_CLIENT_WITH_OWN_BUILDKIT:
        return True
    return subprocess.run([path, "buildx", "version"], check=False, capture_output=True, timeout=30).returncode == 0


def answers(docker: str) -> bool:
    """Whether an engine answers this client."""
    command = [docker, "info", "--format", "{{.ServerVersion}}"]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


@contextmanager
def running() -> Iterator[str]:
    """Make sure that an engine is running, yield the client's path, and stop the engine only if it was started here."""
    docker, started = ensure()
    try:
        yield docker
    finally:
        if started:
            daemon.stop(started)


def ensure() -> tuple[str, daemon.Process | None]:
    """Find or start an engine, and return the client's path, with the daemon if it was started here.

    Raises:
        ToolError: there is no engine, and it cannot be installed or started.
    """
    docker = client() or _install()
    return (docker, None) if answers(docker) else (docker, _start(docker))


def _install() -> str:
    apt.install("docker.io", "a Docker client that can use BuildKit is needed")
    docker = client()
    if not docker:
        message = "Debian's docker.io was installed, but its client was not found in /usr/bin."
        raise ToolError(message)
    return docker


def _start(docker: str) -> daemon.Process:
    if os.geteuid() != 0 or os.environ.get("DOCKER_HOST"):
        message = (
            "No Docker engine answers, and none can be started here.\n"
            "hint: Start Docker, join the group `docker`, correct DOCKER_HOST, or run this as root on Debian."
        )
        raise ToolError(message)
    if not shutil.which("dockerd"):
        apt.install("docker.io", "no Docker engine is installed")
    log = Path(tempfile.gettempdir(), "prefect-uv-dockerd.log")
    say(f"starting dockerd, which logs to {log}")
    return daemon.start(["dockerd"], log, ready=lambda: answers(docker))
