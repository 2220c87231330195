"""Where the contestants meet: one Prefect server, one git server, one Docker engine, the same project for all."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
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
HERE = Path(__file__).parent
IMAGE = "py313"
EXECUTE = ("prefect", "flow-run", "execute")
BUILD_SECONDS = 900


@dataclass(frozen=True)
class Contestant:
    """One way to run a flow in a container.

    Attributes:
        name: for the results.
        image: what is started.
        cache: its volume, and where that is mounted.
        environment: its variables beside those of every contestant.
        command: what the worker would pass.
        entrypoint: instead of the image's.
        code: a folder of the host with the code, where nothing is pulled; it is the working directory then.
    """

    name: str
    image: str
    cache: tuple[CacheVolume, str]
    environment: Mapping[str, str]
    command: Sequence[str] = EXECUTE
    entrypoint: Sequence[str] | None = None
    code: Path | None = None

    def start(self, arena: Arena, flow_run: UUID, environment: Mapping[str, str]) -> Container:
        """Start a container for a flow run, as a worker would."""
        volume, place = self.cache
        certificates = job_volumes(volume.name)[1:]
        code = [f"{self.code}:/code:ro"] if self.code else []
        variables = {**arena.server.environment, "PREFECT__FLOW_RUN_ID": str(flow_run)}
        return arena.containers.start(
            self.image,
            self.command,
            {**variables, **self.environment, **environment},
            [f"{volume.name}:{place}", *certificates, *code],
            **({"entrypoint": list(self.entrypoint)} if self.entrypoint else {}),
            **({"working_dir": "/code"} if self.code else {}),
        )

    def put_away(self, names: str) -> None:
        """Move aside what a command of the shell names in its volume; a container that starts then has never had it.

        Nothing is deleted before a run: it would pay for that. ext4 uses no inode that has become free within a minute
        (five, where it is not written yet), and looks at thousands of them, one by one, for each new directory.
        """
        volume, _ = self.cache
        volume.run("sh", "-c", f"cd /cache && mkdir -p .away && {names} | xargs -r mv -t $(mktemp -d .away/XXXXXX)")


@dataclass(frozen=True)
class Arena:
    """The parts that every contestant uses."""

    containers: Containers
    server: PrefectServer
    api: Api
    repository: Repository
    official_image: str
    home: Path

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Arena]:
        """Start and build everything; at the end, remove exactly that, the stand-in's image excepted."""
        with ExitStack() as pieces:
            home = Path(pieces.enter_context(tempfile.TemporaryDirectory(prefix=f"{LABEL}-")))
            home.chmod(0o755)
            containers = pieces.enter_context(Containers.connect(LABEL))
            git = pieces.enter_context(GitServer.start(containers.gateway, home))
            server = pieces.enter_context(PrefectServer.start(containers.gateway, "", home))
            api = pieces.enter_context(Api.connect(server))
            repository = git.create("bench", HERE / "project")
            yield cls(containers, server, api, repository, build_official(repository.work), home)

    @contextmanager
    def volume(self) -> Iterator[CacheVolume]:
        """An empty volume."""
        with CacheVolume.create(self.containers, image_name(IMAGE)) as volume:
            yield volume

    def deploy(self, name: str, branch: str = "main") -> UUID:
        """A deployment of a branch of the project; no worker touches its runs."""
        return self.api.deploy(name, "flow.py:idle", [git_clone(self.repository.url, branch)])


def build_official(project: Path) -> str:
    """The stand-in of Prefect's image, with the packages of the project's lock in the system's environment."""
    tag = f"{image_name('official').rpartition(':')[0]}-bench:official"
    family, docker = read(), docker_engine.client()
    with tempfile.TemporaryDirectory(prefix=f"{LABEL}-build-") as folder:
        context = Path(folder)
        for path in (*(HERE / "official").iterdir(), HERE.parent / "images" / "base" / "apt-install"):
            shutil.copy2(path, context)
        (context / "requirements.txt").write_text(exported(project))
        with secrets.options(family.debian) as options:
            arguments = [f"--build-arg=BASE={family.debian_image}", f"--build-arg=OURS={image_name(IMAGE)}"]
            command = [str(docker), "build", "--network=host", "--tag", tag, *arguments, *options, str(context)]
            run(command, timeout=BUILD_SECONDS, environ={"DOCKER_BUILDKIT": "1"})
    return tag


def exported(project: Path) -> str:
    """The locked packages without the project, with hashes."""
    command = [tool("uv"), "export", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--quiet"]
    done = subprocess.run(
        [*command, "--project", str(project)], check=True, capture_output=True, text=True, env=None, timeout=60
    )
    return done.stdout
