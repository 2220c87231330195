"""What all variants share: one Prefect server, one git server, one Docker engine and one project."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from docker.models.containers import Container

from images import docker_engine, secrets
from images.family import read
from images.process import run
from tests.stack import CacheVolume, GitServer, PrefectServer, Repository, git_clone, image_name
from tests.stack.api import Api
from tests.stack.containers import Containers
from tests.stack.environment import job_volumes
from tests.stack.process import tool

LABEL = "prefect-uv.bench"
FOLDER = Path(__file__).parent
IMAGE = "py313"
EXECUTE = ("prefect", "flow-run", "execute")
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Variant:
    """One way to run a flow in a container.

    Attributes:
        name: its name in the results.
        image: the image that is started.
        cache: its volume, and where that is mounted.
        environ: environment variables in addition to those that all variants have.
        command: what a worker would pass to the container.
        entrypoint: the container's ENTRYPOINT, if not the image's.
        volumes: further volumes.
        code: a folder of the host with the flow's code, which becomes the working directory, if nothing is pulled.
        options: further options of the container.
    """

    name: str
    image: str
    cache: tuple[CacheVolume, str]
    environ: Mapping[str, str]
    command: Sequence[str] = EXECUTE
    entrypoint: Sequence[str] | None = None
    code: Path | None = None
    volumes: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def start(self, testbed: Testbed, flow_run: UUID, environ: Mapping[str, str]) -> Container:
        """Start a container for a flow run, as a worker would."""
        volume, mount_point = self.cache
        certificates = job_volumes(volume.name)[1:]
        code = [f"{self.code}:/code:ro"] if self.code else []
        worker_environ = {**testbed.server.environment, **testbed.api.worker_variables(flow_run)}
        return testbed.containers.start(
            self.image,
            self.command,
            {**worker_environ, **self.environ, **environ},
            [f"{volume.name}:{mount_point}", *certificates, *code, *self.volumes],
            **({"entrypoint": list(self.entrypoint)} if self.entrypoint else {}),
            **({"working_dir": "/code"} if self.code else {}),
            **self.options,
        )

    def move_aside(self, listing: str) -> None:
        """Move aside what a shell command lists in the volume: the next container finds a volume that never had it.

        Deleting it instead would slow down that container where ext4 has no journal: Linux then passes over each inode
        that was freed within the last minute, or within six minutes if its block is not written yet.
        Linux 6.12: https://github.com/torvalds/linux/blob/v6.12/fs/ext4/ialloc.c (recently_deleted)
        """
        volume, _ = self.cache
        volume.run("sh", "-c", f"cd /cache && mkdir -p .aside && {listing} | xargs -r mv -t $(mktemp -d .aside/XXXXXX)")


@dataclass(frozen=True)
class Testbed:
    """The servers, the repository and the folder that all variants use."""

    containers: Containers
    server: PrefectServer
    api: Api
    repository: Repository
    folder: Path

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Testbed]:
        """Start everything, and stop and remove it at the end."""
        with ExitStack() as resources:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix=f"{LABEL}-")))
            folder.chmod(0o755)
            containers = resources.enter_context(Containers.connect(LABEL))
            git = resources.enter_context(GitServer.start(containers.gateway, folder))
            server = resources.enter_context(PrefectServer.start(containers.gateway, "", folder))
            api = resources.enter_context(Api.connect(server))
            repository = git.create("bench", FOLDER / "project")
            yield cls(containers, server, api, repository, folder)

    @contextmanager
    def volume(self) -> Iterator[CacheVolume]:
        """An empty volume, removed at the end."""
        with CacheVolume.create(self.containers, image_name(IMAGE)) as volume:
            yield volume

    def deploy(self, name: str, branch: str = "main", url: str = "") -> UUID:
        """Create a deployment of a branch of the project, whose runs no worker picks up.

        Args:
            name: its name.
            branch: the branch.
            url: where the repository is, if not at its own URL.
        """
        return self.api.deploy(name, "flow.py:idle", [git_clone(url or self.repository.url, branch)])


def build_official(project: Path) -> str:
    """Build the stand-in for Prefect's image, with the project's locked packages; return its tag. It is kept."""
    tag = f"{image_name('official').rpartition(':')[0]}-bench:official"
    family, docker = read(), docker_engine.client()
    with tempfile.TemporaryDirectory(prefix=f"{LABEL}-build-") as directory:
        context = Path(directory)
        for path in (*(FOLDER / "official").iterdir(), FOLDER.parent / "images" / "base" / "apt-install"):
            shutil.copy2(path, context)
        (context / "requirements.txt").write_text(export_requirements(project))
        with secrets.options(family.debian) as options:
            arguments = [f"--build-arg=BASE={family.debian_image}", f"--build-arg=OURS={image_name(IMAGE)}"]
            command = [str(docker), "build", "--network=host", "--tag", tag, *arguments, *options, str(context)]
            run(command, timeout=BUILD_SECONDS, environ={"DOCKER_BUILDKIT": "1"})
    return tag


def export_requirements(project: Path) -> str:
    """The project's locked dependencies as a requirements file with hashes.

    uv 0.13.8: https://docs.astral.sh/uv/reference/cli/#uv-export
    """
    command = [tool("uv"), "export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet"]
    completed = subprocess.run(
        [*command, "--project", str(project)], check=True, capture_output=True, text=True, env=None, timeout=60
    )
    return completed.stdout
