"""Print how each worker starts the container of a flow run, as the worker's own code renders it.

Runs where the workers' packages are installed, and for nothing else: see `test_start_forms.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.workers.base import BaseWorker

Form = tuple[list[str] | None, list[str]]
"""What takes the place of the image's ENTRYPOINT, if anything does, and its arguments."""

RUN = FlowRun(id=UUID(int=1), flow_id=UUID(int=2), name="brave-fox")
VALUES: dict[str, dict[str, Any]] = {
    "azure-container-instance": {"resource_group_name": "x", "subscription_id": str(UUID(int=3))},
    "cloud-run": {"region": "x"},
    "cloud-run-v2": {"region": "x"},
    "vertex-ai": {"region": "x", "image": "x", "service_account_name": "x"},
    "snowpark-container-service": {
        "image": "x",
        "image_registry": "x.y.z",
        "compute_pool": "x.y.z",
        "snowflake_credentials": {"account": "x", "user": "x", "password": "x"},
    },
    "azure-container-apps-sessions": {"pool_management_endpoint": "http://x"},
}
"""Job variables without which a worker has no job to render."""
GOOGLE = {"type": "authorized_user", "client_id": "x", "client_secret": "x", "refresh_token": "x"}
"""Credentials that Google's libraries load without asking anybody."""


def docker(worker: Any, configuration: Any) -> Form:
    """docker-py splits a command that is text, and a command alone keeps the ENTRYPOINT."""
    engine = SimpleNamespace(version=lambda: {"Version": "28.0.0"})
    given = worker._build_container_settings(engine, configuration)  # noqa: SLF001
    return given.get("entrypoint"), given["command"].split()


def kubernetes(_worker: Any, configuration: Any) -> Form:
    """A container's `command` replaces the ENTRYPOINT, and `args` are its arguments."""
    container = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]
    return container.get("command"), container["args"]


def ecs(worker: Any, configuration: Any) -> Form:
    """A task definition may have an `entryPoint`, an override cannot. Without a network, the worker would ask AWS."""
    configuration.task_run_request["networkConfiguration"] = {"awsvpcConfiguration": {"subnets": ["x"]}}
    worker._work_pool_name = "pool"  # noqa: SLF001
    definition = worker._prepare_task_definition(configuration, "eu-west-1", RUN)  # noqa: SLF001
    request = worker._prepare_task_run_request(configuration, definition, "arn", new_task_definition_registered=False)  # noqa: SLF001
    (container,) = definition["containerDefinitions"]
    (override,) = request["overrides"]["containerOverrides"]
    return container.get("entryPoint"), override["command"]


def cloud_run(_worker: Any, configuration: Any) -> Form:
    """`command` replaces the ENTRYPOINT."""
    container = configuration.job_body["spec"]["template"]["spec"]["template"]["spec"]["containers"][0]
    return container["command"], container.get("args") or []


def cloud_run_v2(_worker: Any, configuration: Any) -> Form:
    """As above."""
    container = configuration.job_body["template"]["template"]["containers"][0]
    return container["command"], container.get("args") or []


def vertex(_worker: Any, configuration: Any) -> Form:
    """As above."""
    container = configuration.job_spec["worker_pool_specs"][0]["container_spec"]
    return container["command"], container.get("args") or []


def container_instance(_worker: Any, configuration: Any) -> Form:
    """As above."""
    container = configuration.arm_template["resources"][0]["properties"]["containers"][0]
    return container["properties"]["command"], []


def snowpark(_worker: Any, configuration: Any) -> Form:
    """As in Kubernetes."""
    (container,) = configuration.job_manifest["spec"]["containers"]
    return container.get("command"), container["args"]


def nomad(_worker: Any, configuration: Any) -> Form:
    """Nomad's driver for Docker has an `entrypoint` of its own; `command` and `args` are the arguments."""
    (group,) = configuration.build_nomad_job_spec()["Job"]["TaskGroups"]
    (task,) = group["Tasks"]
    given = task["Config"]
    return given.get("entrypoint"), [given["command"], *given.get("args", [])]


def sessions(_worker: Any, configuration: Any) -> Form:
    """The agent in the session runs the command with `sh -c`."""
    return ["sh", "-c", configuration.command], []


FORMS: dict[str, Callable[[Any, Any], Form]] = {
    "docker": docker,
    "kubernetes": kubernetes,
    "ecs": ecs,
    "cloud-run": cloud_run,
    "cloud-run-v2": cloud_run_v2,
    "vertex-ai": vertex,
    "azure-container-instance": container_instance,
    "snowpark-container-service": snowpark,
    "nomad": nomad,
    "azure-container-apps-sessions": sessions,
}


def render(worker: type[BaseWorker[Any, Any, Any]]) -> Form:
    """The form that this worker uses with our template of its type, or else with its own default."""
    own = Path(f"/templates/{worker.type}.json")
    template = json.loads(own.read_text()) if own.exists() else worker.get_default_base_job_template()
    values = VALUES.get(worker.type, {})
    client = PrefectClient("http://x/api")
    configuration = asyncio.run(worker.job_configuration.from_template_and_values(template, values, client=client))
    configuration.prepare_for_flow_run(RUN)
    return FORMS[worker.type](object.__new__(worker), configuration)


def main() -> None:
    """Print a JSON object with the form of each worker whose module is given."""
    credentials = Path("google.json").absolute()
    credentials.write_text(json.dumps(GOOGLE))
    os.environ |= {"GOOGLE_APPLICATION_CREDENTIALS": str(credentials), "GOOGLE_CLOUD_PROJECT": "x"}
    os.environ["AWS_DEFAULT_REGION"] = "eu-west-1"
    for module in sys.argv[1:]:
        import_module(module)
    workers = BaseWorker.__subclasses__()
    print(json.dumps({worker.type: render(worker) for worker in workers if worker.type in FORMS}))  # noqa: T201


if __name__ == "__main__":
    main()
