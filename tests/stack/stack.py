"""The whole stack as one object that runs flows and waits for them."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any
from uuid import UUID

from docker.models.containers import Container

from tests.stack.api import Api
from tests.stack.containers import HARDENED, Containers, bridge_address, remove_labelled
from tests.stack.environment import job_environment, job_volumes
from tests.stack.git import GitServer
from tests.stack.process import tool, wait_until
from tests.stack.run import Run
from tests.stack.server import PrefectServer
from tests.stack.volume import CacheVolume
from tests.stack.worker import base_job_template, start_worker
from tests.suite import mark

POOL = "docker"
RUN_SECONDS = 180
START_SECONDS = 120
DEPLOY_SECONDS = 180
END_SECONDS = 90
EXCHANGE = "/exchange"


@dataclass(frozen=True)
class Stack:
    """A running server, worker and git server, and a cache volume that all of the pool's runs share."""

    image: str
    containers: Containers
    server: PrefectServer
    api: Api
    git: GitServer
    cache: CacheVolume

    @classmethod
    @contextmanager
    def start(cls, image: str, label: str) -> Iterator[Stack]:
        """Start everything; at the end, stop and remove exactly that."""
        with ExitStack() as pieces:
            home = Path(pieces.enter_context(TemporaryDirectory(prefix=f"{label}-", dir=mark.folder())))
            password = f"admin:{secrets.token_hex(16)}"
            server = pieces.enter_context(PrefectServer.start(bridge_address(), password, home))
            stack = pieces.enter_context(cls.around(server, image, label))
            pieces.enter_context(stack.worker({}))
            yield stack

    @classmethod
    @contextmanager
    def around(cls, server: PrefectServer, image: str, label: str) -> Iterator[Stack]:
        """Start everything except the worker for a running server."""
        with ExitStack() as pieces:
            home = Path(pieces.enter_context(TemporaryDirectory(prefix=f"{label}-", dir=mark.folder())))
            containers = pieces.enter_context(Containers.connect(label))
            cache = pieces.enter_context(CacheVolume.create(containers, image))
            git = pieces.enter_context(GitServer.start(containers.gateway, home))
            api = pieces.enter_context(Api.connect(server))
            yield cls(image, containers, server, api, git, cache)

    @contextmanager
    def worker(self, options: Mapping[str, Any]) -> Iterator[None]:
        """Create the pool, whose containers use our cache volume and get these options, and start a worker for it."""
        gateway, home = self.containers.gateway, self.git.root
        template = base_job_template(
            job_environment(gateway), job_volumes(self.cache.name), self.containers.labels, options
        )
        self.api.create_pool(POOL, template)
        with start_worker(self.server, self.api, POOL, home):
            yield

    def deploy(self, name: str, entrypoint: str, pull_steps: Sequence[dict[str, Any]], **variables: Any) -> UUID:
        """Create a deployment on the Docker pool that uses our image; `variables` are further job variables."""
        return self.api.deploy(
            name, entrypoint, pull_steps, pool=POOL, job_variables={"image": self.image, **variables}
        )

    def prefect_deploy(self, project: Path, names: Sequence[str]) -> list[UUID]:
        """Run `prefect deploy --all` in a project, and return the IDs of the deployments with these full names."""
        subprocess.run(
            [tool("prefect"), "--no-prompt", "deploy", "--all"],
            cwd=project,
            env={**os.environ, **self.server.environment},
            check=True,
            timeout=DEPLOY_SECONDS,
        )
        return [self.api.client.read_deployment_by_name(name).id for name in names]

    def follow(self, flow_run: UUID, timeout: float = RUN_SECONDS) -> Run:
        """Wait until a flow run of the worker has ended: for its container first, because that needs no polling."""
        container = self.find_container(flow_run, timeout)
        container.wait(timeout=timeout)
        self.api.wait(flow_run, END_SECONDS)
        return self.finish(flow_run, container, END_SECONDS)

    def find_container(self, flow_run: UUID, timeout: float = RUN_SECONDS) -> Container:
        """Wait until the worker has created a flow run's container, and return it."""
        return wait_until(lambda: self.containers.of_run(flow_run), f"container of {flow_run}", timeout)

    def run_and_wait(
        self,
        deployment: UUID,
        parameters: Mapping[str, Any] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
        expected: Sequence[str] = (),
    ) -> Run:
        """Run a deployment through the worker, and wait until the run has ended.

        Raises:
            AssertionError: no expression in `expected` matches a warning or an error.
        """
        run = self.follow(self.api.create_run(deployment, parameters, environment))
        run.require_quiet(expected)
        return run

    def run_together(self, deployments: Sequence[UUID], environment: Mapping[str, str] | None = None) -> list[Run]:
        """Run several deployments at the same time, without checking for warnings and errors."""
        started = [self.api.create_run(deployment, environment=environment) for deployment in deployments]
        return [self.follow(flow_run) for flow_run in started]

    def wait_for_file(self, path: Path, container: Container) -> None:
        """Wait until a container has written a file to a folder of the host."""

        def is_written() -> bool:
            container.reload()
            if container.status == "exited":
                raise RuntimeError(container.logs().decode(errors="replace"))
            return path.exists()

        wait_until(is_written, str(path), START_SECONDS)

    def start_directly(
        self,
        flow_run: UUID | str,
        environment: Mapping[str, str] | None = None,
        *,
        cache: str | None = None,
        exchange: Path | None = None,
        command: Sequence[str] = ("prefect", "flow-run", "execute"),
        **options: Any,
    ) -> Container:
        """Start a hardened container for a flow run without a worker.

        `exchange` is a folder that it shares with the host; `options` come before those of HARDENED.
        """
        variables = {**self.server.environment, **self.api.worker_variables(flow_run), **(environment or {})}
        volumes = [*job_volumes(cache or self.cache.name), *options.pop("volumes", [])]
        if exchange is not None:
            exchange.chmod(0o777)
            volumes.append(f"{exchange}:{EXCHANGE}")
        return self.containers.start(self.image, command, variables, volumes, **HARDENED | options)

    def finish(self, flow_run: UUID, container: Container, timeout: float = RUN_SECONDS) -> Run:
        """Wait until the container has exited, and read the flow run and its log from the API."""
        outcome = self.containers.wait(container, timeout)
        return Run(self.api.client.read_flow_run(flow_run), self.api.logs(flow_run), container, outcome)


def remove_left(label: str) -> None:
    """Remove what stacks with this label left behind when they were killed; no such stack may be running."""
    remove_labelled(label)
    for folder in Path(gettempdir()).glob(f"{label}-*"):
        shutil.rmtree(folder)
