"""`compose.yaml`: what somebody sees who tries prefect-uv."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.exceptions import ObjectNotFound
from ruamel.yaml import YAML

from images import apt
from images.family import ROOT
from tests.commands import replaced, shell
from tests.pages import run_by
from tests.stack import image_name
from tests.stack.containers import bridge_address
from tests.stack.environment import job_environment, job_volumes
from tests.stack.process import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(480)]

SERVICES = ("server", "worker", "git")
START_SECONDS = 240
RUN_SECONDS = 120
LOG_SECONDS = 30
FLOW = "hello/hello"


@dataclass(frozen=True)
class Trial:
    """The running services: a client of their API, and the port of their git server on this machine."""

    client: SyncPrefectClient
    git_port: int

    def run(self, *expected: str, **parameters: str) -> None:
        """Run the deployment to its end, and wait for these texts in the flow run's log."""
        deployment = self.client.read_deployment_by_name(FLOW)
        flow_run = self.client.create_flow_run_from_deployment(deployment.id, parameters=parameters).id

        def completed() -> bool:
            state = self.client.read_flow_run(flow_run).state
            assert state
            assert state.is_completed() or not state.is_final(), f"{state}\n{log()}"
            return state.is_completed()

        def log() -> str:
            return "\n".join(entry.message for entry in self.client.read_logs() if entry.flow_run_id == flow_run)

        wait_until(completed, f"the end of {flow_run}", RUN_SECONDS)
        wait_until(lambda: all(text in log() for text in expected), f"{expected} in the log", LOG_SECONDS)


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """Start the services with the README's command, in containers that have this machine's index and certificates."""
    if not shutil.which("docker-compose"):
        apt.install("docker-compose", "a test runs compose.yaml")
    gateway = bridge_address()
    variables, volumes = job_environment(gateway), job_volumes("prefect-uv-try-cache")
    changes = {"environment": variables, "volumes": volumes[1:]}
    with (tmp_path / "machine.yaml").open("w") as file:
        YAML().dump({"services": dict.fromkeys(SERVICES, changes)}, file)
    compose = f"docker-compose --project-name prefect-uv-try --file {ROOT / 'compose.yaml'} --file machine.yaml"
    server_port, git_port = _free_ports(2)
    environ = {"TRY_IMAGE": image_name("py313"), "PREFECT_PORT": str(server_port), "GIT_PORT": str(git_port)}
    (command,) = run_by("test_compose_file", "README.md")
    words = {"docker compose up": f"{compose} up --detach"}
    try:
        shell(replaced(command, words), tmp_path, environ)
        with SyncPrefectClient(f"http://127.0.0.1:{server_port}/api") as client:
            wait_until(lambda: _is_deployed(client), "the deployment", START_SECONDS)
            deployment = client.read_deployment_by_name(FLOW)
            job: dict[str, Any] = {**deployment.job_variables, "env": variables, "volumes": volumes}
            client.update_deployment(deployment.id, DeploymentUpdate(job_variables=job))
            yield Trial(client, git_port)
    except BaseException:
        sys.stderr.write(shell(f"{compose} logs --no-color", tmp_path, environ))
        raise
    finally:
        shell(f"{compose} down --volumes --remove-orphans", tmp_path, environ)


def test_compose_file(trial: Trial, tmp_path: Path) -> None:
    """The flow runs cold and warm; a change that is pushed is what runs next."""
    trial.run("(miss ", "Hello, world!")
    trial.run("(hit ", "Hello, Ada!", name="Ada")
    work = tmp_path / "hello"
    script = f"""
        git clone --quiet git://127.0.0.1:{trial.git_port}/hello.git {work}
        cd {work}
        sed -i 's/Hello/Good evening/' flows.py
        git commit --quiet --all --message 'Change the greeting'
        git push --quiet
    """
    shell(script, tmp_path)
    trial.run("(hit ", "Good evening, world!")


def _is_deployed(client: SyncPrefectClient) -> bool:
    try:
        return bool(client.read_deployment_by_name(FLOW))
    except (HTTPError, ObjectNotFound):
        return False


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
