"""Images that tests build from ours, as users do, and remove at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from images import docker_engine
from images.secrets import proxy_options
from tests.stack.environment import CERTIFICATES, index_environment
from tests.suite import mark

BUILD_SECONDS = 240
REMOVE_SECONDS = 60


class BuildError(Exception):
    """A build failed; the message is its output."""


@contextmanager
def configured(image: str, folder: Path) -> Iterator[str]:
    """Build on our image with this machine's package index and certificates, like a company does; yield the tag."""
    variables = index_environment()
    lines = [f"FROM {image}"]
    if bundle := os.environ.get("SSL_CERT_FILE"):
        shutil.copy(bundle, folder / "ca.crt")
        lines.append(f"COPY ca.crt {CERTIFICATES}")
        variables |= {"SSL_CERT_FILE": CERTIFICATES, "UV_SYSTEM_CERTS": "1"}
    lines += [f'ENV {name}="{value}"' for name, value in variables.items()]
    (folder / "Dockerfile").write_text("\n".join([*lines, ""]))
    with built(folder) as tag:
        yield tag


@contextmanager
def built(folder: Path, *options: str) -> Iterator[str]:
    """Build a folder's Dockerfile with these options of `docker build`, and yield the tag.

    Raises:
        BuildError: the build failed.
    """
    docker, tag = docker_engine.client() or "docker", f"prefect-uv-test-{uuid4().hex}"
    marks = [f"--label={name}={value}" for name, value in mark.labels().items()]
    command = [docker, "build", "--progress=plain", "--network=host", "--tag", tag, *marks]
    done = subprocess.run(
        [*command, *proxy_options(os.environ), *options, str(folder)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )
    if done.returncode != 0:
        raise BuildError(done.stdout)
    try:
        yield tag
    finally:
        subprocess.run([docker, "image", "rm", "--force", tag], check=True, timeout=REMOVE_SECONDS, capture_output=True)
