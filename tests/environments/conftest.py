"""A cache volume, projects, and starts of the container that need no flow run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container
from docker.types import Mount

from tests.pins import PREFECT
from tests.stack import CacheVolume, Outcome, PackageIndex, PrefectServer, Repository, Stack, image_name
from tests.stack.containers import Containers
from tests.stack.environment import job_volumes
from tests.stack.process import tool
from tests.suite.locks import lock_once

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
LABEL = "prefect-uv.store"
SECONDS = 240
PROJECTS = Path(__file__).parent.parent / "projects"
LIST_FILES = (
    "find . -type f ! -name '*.pyc' ! -path './.uv/*' ! -name .inuse ! -name .lock ! -name prefect-uv.json -print0"
    " | sort -z | xargs -0 sha256sum; find . -type l -printf '%p -> %l\\n' | sort; find . -type f -printf '%m %p\\n'"
    " | grep -v -e pyc$ -e '/.uv/' | sort"
)


@dataclass(frozen=True)
class Starts:
    """Starts of `prefect-uv` for one project on one cache volume."""

    containers: Containers
    image: str
    project: Path
    volume: CacheVolume
    options: Mapping[str, Any] = field(default_factory=dict)

    def start(self, *command: str, environment: Mapping[str, str] | None = None, **options: Any) -> Container:
        """Start a container; the command is `sync` by default."""
        mounts = [Mount("/project", str(self.project), type="bind", read_only=True), *options.pop("mounts", [])]
        words = ["prefect-uv", *(command or ("sync",))]
        all_options = {"mounts": mounts, "working_dir": "/project", **self.options, **options}
        return self.containers.start(self.image, words, environment or {}, job_volumes(self.volume.name), **all_options)

    def finish(self, container: Container) -> Outcome:
        """Wait for a container to end, and remove it."""
        outcome = self.containers.wait(container, SECONDS)
        container.remove()
        return outcome

    def run(self, *command: str, environment: Mapping[str, str] | None = None, **options: Any) -> Outcome:
        """Start a container and wait for it to end."""
        return self.finish(self.start(*command, environment=environment, **options))

    def environments(self) -> list[str]:
        """The names of the published environments."""
        return self.volume.run("sh", "-c", "cd /cache/envs/v1 && ls").split()

    def files(self) -> str:
        """Digests, modes and links of the files in the only environment, without bytecode, lease and manifest."""
        (name,) = self.environments()
        return self.volume.run("sh", "-c", f"cd /cache/envs/v1/{name} && {LIST_FILES}")

    def forget(self, *, downloads: bool = False) -> None:
        """Remove environments and index, and with `downloads` uv's cache too."""
        self.volume.run("sh", "-c", f"rm -rf /cache/envs/v1 /cache/index {'/cache/uv-*' if downloads else ''}")


@pytest.fixture(scope="session")
def image() -> str:
    """The image under test."""
    return image_name("py313")


@pytest.fixture(scope="session")
def containers() -> Iterator[Containers]:
    """The Docker Engine."""
    with Containers.connect(LABEL) as connected:
        yield connected


@pytest.fixture
def volume(containers: Containers, image: str) -> Iterator[CacheVolume]:
    """An unused cache volume."""
    with CacheVolume.create(containers, image) as created:
        yield created


def locked_project(folder: Path, dependencies: Sequence[str], extra: str = "") -> Path:
    """A project locked with the real uv."""
    folder.mkdir(parents=True)
    text = f'[project]\nname = "{folder.name}"\nversion = "1"\nrequires-python = ">=3.11"\n'
    (folder / "pyproject.toml").write_text(f"{text}dependencies = {list(dependencies)}\n{extra}")
    lock_once([tool("uv"), "lock", "--quiet", "--project", str(folder)], folder, os.environ)
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the real Prefect."""
    return locked_project(tmp_path_factory.mktemp("projects") / "etl", [f"prefect=={PREFECT}"])


@pytest.fixture(scope="session")
def index(containers: Containers) -> Iterator[PackageIndex]:
    """An index with a Prefect of one module."""
    with PackageIndex.with_prefect(containers.gateway) as running:
        yield running


@pytest.fixture
def small(index: PackageIndex, tmp_path: Path) -> Path:
    """A project with the Prefect of one module."""
    return locked_project(tmp_path / "small", [f"prefect=={PREFECT}"], index.settings)


@pytest.fixture
def starts(containers: Containers, image: str, project: Path, volume: CacheVolume) -> Starts:
    """Starts for the project with the real Prefect on a new volume."""
    return Starts(containers, image, project, volume)


@pytest.fixture(scope="session")
def stack(shared_server: PrefectServer, image: str) -> Iterator[Stack]:
    """A server and what flow runs need that no worker starts."""
    with Stack.around(shared_server, image, LABEL) as running:
        yield running


@pytest.fixture(scope="session")
def plain(stack: Stack) -> Repository:
    """The repository of the plain project."""
    return stack.git.create("plain", PROJECTS / "plain")
