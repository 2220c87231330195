"""Debian's docker-registry on loopback, which engines trust without TLS."""

from __future__ import annotations

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from images import apt
from tests.stack.process import background, ensure_running, free_port, wait_until

HOST = "127.0.0.1"
START_SECONDS = 60


@dataclass(frozen=True)
class Registry:
    """The address of a running registry."""

    address: str

    @classmethod
    @contextmanager
    def start(cls, folder: Path, configuration: str) -> Iterator[Registry]:
        """Serve from this folder, with this configuration on a free port."""
        ensure_program("docker-registry", "docker-registry")
        registry = cls(f"{HOST}:{free_port(HOST)}")
        file, log = folder / "registry.yml", folder / "registry.log"
        file.write_text(re.sub(r"(?<=addr: )\S+", registry.address, configuration))
        command = ["env", f"--chdir={folder}", "docker-registry", "serve", str(file)]
        with background(command, log, os.environ) as process:

            def answers() -> bool:
                ensure_running(process, log)
                return registry.answers()

            wait_until(answers, "registry", START_SECONDS)
            yield registry

    def answers(self) -> bool:
        """Whether it answers, if only that it wants a password."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/v2/", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False


def ensure_program(program: str, package: str) -> None:
    """Make sure that a program is there; as root, Debian's package is installed."""
    if not shutil.which(program):
        apt.install(package, "the tests push to a registry of their own")
