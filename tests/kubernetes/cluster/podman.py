"""A podman of its own: its images, containers and service are in one folder, apart from the machine's.

https://docs.podman.io/en/v4.3/markdown/podman-kube-play.1.html
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import ImageNotFound

from images import apt, docker_engine
from images.process import run
from tests.stack.process import background, ensure_running, wait_until
from tests.suite import mark

PROGRAMS = ("podman", "catatonit", "runc")
READY_SECONDS = 60
COMMAND_SECONDS = 300
MOST_PODS = 100
MOST = 16384
"""The limit of open files and processes: podman's own defaults need CAP_SYS_RESOURCE."""


class PodmanError(Exception):
    """A command of podman failed; the message is its output."""


@dataclass(frozen=True)
class Podman:
    """A podman whose service answers `client`, the client of Docker's API."""

    folder: Path
    client: docker.DockerClient

    @classmethod
    @contextmanager
    def start(cls) -> Iterator[Podman]:
        """Start a podman in the folder of the test run, and at the end remove it with everything that it has created.

        Raises:
            ToolError: podman is missing and cannot be installed.
        """
        for program in PROGRAMS:
            if not shutil.which(program):
                apt.install(program, "the tests of Kubernetes run pods with podman")
        own = mark.required() / mark.PODMAN
        own.mkdir()
        _configure(own)
        socket, log = f"unix://{own}/socket", own / "service.log"
        # conmon leaves a file `oom` where its podman was started
        command = ["env", f"--chdir={own}", *_podman(own), "system", "service", "--time=0", socket]
        try:
            with background(command, log, _environment(own)) as process:

                def ready() -> bool:
                    ensure_running(process, log)
                    return (own / "socket").exists()

                wait_until(ready, "podman's service", READY_SECONDS)
                with closing(
                    docker.DockerClient(base_url=socket, timeout=COMMAND_SECONDS, max_pool_size=100)
                ) as client:
                    yield cls(own, client)
        finally:
            remove(own)

    def bring(self, image: str, name: str) -> None:
        """Copy an image from the Docker engine, and give it another name."""
        archive = self.folder / "image.tar"
        run([docker_engine.client() or "docker", "save", "--output", str(archive), image], timeout=COMMAND_SECONDS)
        self._run("load", "--quiet", "--input", str(archive))
        archive.unlink()
        self._run("tag", f"localhost/{image}", name)

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        try:
            self.client.images.get(image)
        except ImageNotFound:
            return False
        return True

    def create_pod(self, manifest: Mapping[str, Any]) -> None:
        """Create a pod and its containers, which the kubelet then starts one by one."""
        self._run("kube", "play", "--start=false", "-", text=json.dumps(manifest))

    def remove_pod(self, name: str) -> None:
        """Remove a pod and its containers, running or not."""
        self._run("pod", "rm", "--force", "--ignore", "--time=0", name)

    def mount_image(self, image: str) -> Path:
        """The directory of the node where an image is mounted, which nobody can write to."""
        done = _call(self.folder, "image", "mount", image)
        if done.returncode != 0:
            raise PodmanError(f"podman image mount {image}: {done.stdout}")
        return Path(done.stdout.strip())

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of podman, whose output and errors are in `stdout`."""
        return _call(self.folder, *words)

    def _run(self, *words: str, text: str = "") -> None:
        done = _call(self.folder, *words, text=text)
        if done.returncode != 0:
            raise PodmanError(f"podman {' '.join(words)}: {done.stdout}")


def remove(folder: Path) -> list[str]:
    """Remove a podman's pods, running or not, and its folder.

    Returns:
        the names of the pods.
    """
    pods = _call(folder, "pod", "ps", "--format={{.Name}}").stdout.split()
    if pods:
        _call(folder, "pod", "rm", "--all", "--force", "--time=0")
    _call(folder, "image", "unmount", "--all", "--force")
    _call(folder, "image", "rm", "--all", "--force")
    shutil.rmtree(folder, ignore_errors=True)
    return pods


def _configure(folder: Path) -> None:
    names = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    limits = {name: _limit(number) for name, number in names.items()}
    ulimits = ", ".join(f'"{name}={limit}:{limit}"' for name, limit in limits.items())
    engine = 'cgroup_manager = "cgroupfs"\nevents_logger = "none"\nlock_type = "file"\nruntime = "runc"\n'
    (folder / "containers.conf").write_text(f"[containers]\ndefault_ulimits = [{ulimits}]\n[engine]\n{engine}")


def _limit(number: int) -> int:
    hard = resource.getrlimit(number)[1]
    return MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)


def _podman(folder: Path) -> list[str]:
    return ["podman", f"--root={folder}/root", f"--runroot={folder}/run", f"--tmpdir={folder}/tmp"]


def _environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "CONTAINERS_CONF": f"{folder}/containers.conf"}


def _call(folder: Path, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_podman(folder), *words],
        check=False,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_environment(folder),
        timeout=COMMAND_SECONDS,
    )
