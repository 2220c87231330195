"""An exported environment as an image volume, by podman's image mounts: a start needs no volume and no network."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import replaced
from tests.environments.conftest import locked_project
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.cluster.podman import Podman
from tests.kubernetes.pool import IMAGE, Pool
from tests.pages import run_by
from tests.pins import PREFECT
from tests.stack import PackageIndex, Repository, git_clone
from tests.stack.containers import bridge_address
from tests.stack.environment import CERTIFICATES, job_environment
from tests.stack.registry import Registry
from tests.unit.images.registry_token import CONFIGURATION

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SHOW = "import prefect; print(prefect.__file__)"
CLOSED = ("--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--env=PREFECT_UV_BAKED=refuse")
PAGE = "docs/how-to/environments-by-digest.md"
PLACE = "/opt/baked"


def line_of(output: str, beginning: str) -> str:
    """The line with a command's result, which podman may print between those of the log."""
    lines = [line for line in output.splitlines() if line.startswith(beginning) and not line.startswith("prefect-uv: ")]
    assert lines, output
    return lines[0]


@dataclass(frozen=True)
class Projects:
    """Runs prefect-uv in containers of the node, next to a registry on it."""

    podman: Podman
    registry: Registry

    def run(self, project: Path, *options: str, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Run a command where a project is."""
        mount = (f"--volume={project}:/project:ro", "--workdir=/project")
        return self.podman.call("run", "--rm", *mount, *options, IMAGE, "prefect-uv", *command)

    def export(self, project: Path, *options: str) -> str:
        """Export a project's environment from a container, without an engine, and pull its image to the node."""
        name = f"{self.registry.address}/{project.name}"
        (page,) = run_by("test_image_volume_is_a_hit", PAGE)
        script = replaced(page, {"registry.example.com/team/etl:main": f"{name}:main"})
        mount = (f"--volume={project}:/project:ro", "--workdir=/project")
        done = self.podman.call("run", "--rm", *mount, "--network=host", *options, IMAGE, "sh", "-euc", script)
        assert done.returncode == 0, done.stdout
        image = line_of(done.stdout, f"{name}@sha256:")
        pulled = self.podman.call("pull", "--quiet", "--tls-verify=false", image)
        assert pulled.returncode == 0, pulled.stdout
        return image


@pytest.fixture(scope="module")
def projects(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Projects]:
    """A registry, and the node of the cluster."""
    with Registry.start(tmp_path_factory.mktemp("registry"), CONFIGURATION) as registry:
        yield Projects(cluster.podman, registry)


@dataclass(frozen=True)
class Exported:
    """An exported environment, and the project that it was exported for."""

    projects: Projects
    project: Path
    image: str

    def run(self, *options: str, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        """Run a command of prefect-uv where the project is."""
        return self.projects.run(self.project, *options, command=command)


@pytest.fixture(scope="module")
def exported(projects: Projects, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The environment of a small project; its index is gone when the tests begin."""
    with PackageIndex.with_prefect(bridge_address()) as index:
        project = locked_project(tmp_path_factory.mktemp("exported") / "etl", [f"prefect=={PREFECT}"], index.settings)
        return Exported(projects, project, projects.export(project))


def assert_found(done: subprocess.CompletedProcess[str], place: str) -> None:
    """Check that the flow's Prefect is below a place, and that uv was not asked for it."""
    assert done.returncode == 0, done.stdout
    assert "uv --no-progress" not in done.stdout, done.stdout
    assert line_of(done.stdout, place)


def test_image_volume_is_a_hit(exported: Exported) -> None:
    """On a read-only root, for any user, with an empty cache volume, no network and no capability."""
    mount = f"--mount=type=image,source={exported.image},destination={PLACE}"
    options = (*CLOSED, mount, "--user=54321:0", "--tmpfs=/cache")
    done = exported.run(*options, command=("exec", "--verbose", "--", "python", "-c", SHOW))
    assert_found(done, f"{PLACE}/environment/lib/")
    assert "(hit " in exported.run(*options, command=("sync",)).stdout


def test_start_without_the_image_volume_is_refused(exported: Exported) -> None:
    """PREFECT_UV_BAKED=refuse: nothing is built, wherever from."""
    options = ("--tmpfs=/cache", "--env=PREFECT_UV_BAKED=refuse", "--network=host")
    done = exported.run(*options, command=("exec", "--", "python", "-c", SHOW))
    assert done.returncode == 76, done.stdout
    assert f"There is no environment in {PLACE}, and PREFECT_UV_BAKED is `refuse`." in done.stdout


def test_init_container_is_a_hit(exported: Exported, tmp_path: Path) -> None:
    """It imports into an emptyDir, as on the page; the main container has no network."""
    place = tmp_path / "baked"
    place.mkdir()
    place.chmod(0o777)
    into = f"--volume={place}:{PLACE}"
    options = ("--network=host", "--read-only", "--tmpfs=/tmp", into)
    imported = exported.run(*options, command=("import", "--baked", exported.image))
    assert imported.returncode == 0, imported.stdout
    key = line_of(imported.stdout, "")
    closed = (*CLOSED, f"{into}:ro", "--tmpfs=/cache")
    done = exported.run(*closed, command=("exec", "--verbose", "--", "python", "-c", SHOW))
    assert_found(done, f"{PLACE}/envs/v1/{key}/lib/")


@pytest.mark.full  # the tests above hold the promise without a flow run
def test_flow_runs_with_the_environment_of_its_deployment(pool: Pool, flows: Repository, projects: Projects) -> None:
    """The template's variable names the image; the pod has no cache volume, and nothing but the image is allowed."""
    variables = [f"--env={name}={value}" for name, value in job_environment(bridge_address()).items()]
    if bundle := os.environ.get("SSL_CERT_FILE"):
        variables.append(f"--volume={bundle}:{CERTIFICATES}:ro")
    image = projects.export(flows.work, *variables)
    pool.use("--no-cache", "--environment-image", "registry.example.com/nothing:1")
    allowed = {"environment_image": image, "env": {"PREFECT_UV_BAKED": "refuse"}}
    deployment = pool.deploy("mounted", "flows.py:hello", [git_clone(flows.url)], **allowed)
    run = pool.finish(pool.api.create_run(deployment))
    assert run.state == "Completed", run.report
    assert "(hit " in "\n".join(run.messages), run.report
