"""A real `prefect worker start --type docker`, and the base job template of its pool."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect_docker.worker import DockerWorker

from tests.stack.api import Api
from tests.stack.process import background, ensure_running, tool, wait_until
from tests.stack.server import PrefectServer, plain_environment

START_SECONDS = 60
QUERY_SECONDS = "3"  # each query costs the server 40 ms of processor time (Prefect 3.8.8)


def base_job_template(
    environment: Mapping[str, str], volumes: Sequence[str], labels: Mapping[str, str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Prefect's own template for Docker pools, with the defaults that the cache volume and this machine require.

    `options` are further options of docker-py for every container.
    """
    template: dict[str, Any] = DockerWorker.get_default_base_job_template()
    defaults: dict[str, Any] = {
        "image_pull_policy": "Never",
        "env": dict(environment),
        "volumes": list(volumes),
        "labels": dict(labels),
        "container_create_kwargs": dict(options),
    }
    for name, value in defaults.items():
        template["variables"]["properties"][name]["default"] = value
    return template


@contextmanager
def start_worker(server: PrefectServer, api: Api, pool: str, home: Path) -> Iterator[None]:
    """Start a worker for this pool, and wait until it is online."""
    log = home / "worker.log"
    command = [tool("prefect"), "worker", "start", "--type", "docker", "--pool", pool, "--install-policy", "never"]
    environment = {**plain_environment(home), **server.environment, "PREFECT_WORKER_QUERY_SECONDS": QUERY_SECONDS}
    with background(command, log, environment) as process:

        def online() -> bool:
            ensure_running(process, log)
            return api.is_served(pool)

        wait_until(online, f"worker of pool {pool}", START_SECONDS)
        yield
