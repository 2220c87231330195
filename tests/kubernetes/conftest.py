"""One cluster and one pool for all tests in this directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.pool import IMAGE, Pool
from tests.stack import GitServer, PrefectServer, Repository, image_name
from tests.stack.api import Api
from tests.stack.containers import bridge_address
from tests.stack.environment import job_environment
from tests.suite import mark

HERE = Path(__file__).parent
PLAIN = HERE.parent / "projects" / "plain"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder for everything in this directory's tests."""
    with TemporaryDirectory(prefix="kubernetes-", dir=mark.folder()) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster whose node has our image."""
    with Cluster.start(folder, job_environment(bridge_address())) as running:
        running.podman.bring(image_name("py313"), IMAGE)
        yield running


@pytest.fixture(scope="session")
def pool(shared_server: PrefectServer, cluster: Cluster, folder: Path) -> Iterator[Pool]:
    """The pool and the worker of the page."""
    with ExitStack() as parts:
        git = parts.enter_context(GitServer.start(bridge_address(), folder))
        api = parts.enter_context(Api.connect(shared_server))
        running = Pool(cluster, shared_server, api, git)
        parts.enter_context(running.follow_page(folder, "test_three_commands_of_the_page"))
        yield running


@pytest.fixture(scope="session")
def api_secret(pool: Pool) -> str:
    """The name of a secret with the API's auth string, which init containers and manifests refer to."""
    name, content = "prefect-api-key", {"auth-string": pool.server.auth_string}
    pool.cluster.store.create("secrets", "default", {"metadata": {"name": name}, "stringData": content})
    return name


@pytest.fixture(scope="session")
def flows(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with flows that meet what happens to pods."""
    project = tmp_path_factory.mktemp("flows") / "project"
    shutil.copytree(PLAIN, project)
    shutil.copy(HERE / "pod_flows.py", project)
    return pool.git.create("flows", project)
