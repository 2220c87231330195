"""Run the projects of tests/projects in containers, with an index of small packages and one cache volume for all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.types import Mount

from tests.pins import PREFECT, PREFECT_CLIENT
from tests.stack import CacheVolume, Outcome, PackageIndex, image_name
from tests.stack.containers import Containers
from tests.stack.environment import job_volumes
from tests.stack.process import tool

LABEL = "prefect-uv.shapes"
SECONDS = 180
PROJECTS = Path(__file__).parent.parent / "projects"
CODE = "def flow(function=None, **options):\n    return function or flow\n"
PACKAGES = {"prefect": PREFECT, "prefect_client": PREFECT_CLIENT, "trinket": "1.0", "bauble": "1.0"}


@dataclass(frozen=True)
class Shapes:
    """Copies of projects, and runs of `prefect-uv exec` in them."""

    containers: Containers
    volume: CacheVolume
    index: PackageIndex
    folder: Path

    def copy(self, name: str, *locks: str) -> Path:
        """A fresh checkout of a project, locked in these directories.

        A name that ends in `.py` is a script to lock, and one in `.toml` the lockfile to write.
        """
        project = self.folder / "project"
        shutil.copytree(PROJECTS / name, project)
        (project / ".git").mkdir()
        for lock in locks:
            words = ["lock", "--script", lock] if lock.endswith(".py") else ["lock", "--project", lock]
            if lock.endswith(".toml"):
                words = ["pip", "compile", "--universal", "--output-file", lock, "pyproject.toml"]
            environment = {**os.environ, "UV_DEFAULT_INDEX": self.index.url}
            command = [tool("uv"), "--quiet", *words]
            subprocess.run(command, cwd=project, env=environment, check=True, timeout=SECONDS)
        return project

    def start(
        self, project: Path, code: str, directory: str = ".", environment: Mapping[str, str] | None = None
    ) -> Outcome:
        """Run Python code in the project's environment, with packages from the index of small packages."""
        return self.run(project, code, directory, {"UV_DEFAULT_INDEX": self.index.url, **(environment or {})})

    def run(self, project: Path, code: str, directory: str, environment: Mapping[str, str]) -> Outcome:
        """Run Python code in the project's environment, with packages from this machine's own index."""
        container = self.containers.start(
            image_name("py313"),
            ["prefect-uv", "exec", "--", "python", "-c", code],
            environment,
            job_volumes(self.volume.name),
            mounts=[Mount("/project", str(project), type="bind", read_only=True)],
            working_dir=str(Path("/project", directory)),
        )
        outcome = self.containers.wait(container, SECONDS)
        container.remove()
        return outcome

    def environments(self) -> str:
        """The names of the environments on the volume."""
        return self.volume.run("sh", "-c", "if [ -d /cache/envs/v1 ]; then ls /cache/envs/v1; fi")


@pytest.fixture(scope="package")
def containers() -> Iterator[Containers]:
    """The Docker Engine."""
    with Containers.connect(LABEL) as connected:
        yield connected


@pytest.fixture(scope="package")
def volume(containers: Containers) -> Iterator[CacheVolume]:
    """The cache volume of all shapes."""
    with CacheVolume.create(containers, image_name("py313")) as created:
        yield created


@pytest.fixture(scope="package")
def index(containers: Containers) -> Iterator[PackageIndex]:
    """An index of packages with one module each, one of them named `prefect`."""
    with PackageIndex.start(containers.gateway) as running:
        for name, version in PACKAGES.items():
            running.publish(name, version, CODE, module=name.partition("_")[0])
        yield running


@pytest.fixture
def shapes(containers: Containers, volume: CacheVolume, index: PackageIndex, tmp_path: Path) -> Shapes:
    """Runs on that volume."""
    tmp_path.chmod(0o755)
    return Shapes(containers, volume, index, tmp_path)
