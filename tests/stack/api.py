"""The Prefect API, through Prefect's own client, for the tests, the demo and the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate, WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun, Log
from prefect.client.schemas.sorting import LogSort
from prefect.states import Pending

from tests.stack.process import wait_until
from tests.stack.server import PrefectServer

PAGE = 200


def git_clone(repository: str, branch: str = "main") -> dict[str, Any]:
    """The pull step that clones a repository, as `prefect deploy` writes it."""
    return {"prefect.deployments.steps.git_clone": {"repository": repository, "branch": branch}}


@dataclass(frozen=True)
class Api:
    """The deployments, flow runs and logs of a server."""

    client: SyncPrefectClient

    @classmethod
    @contextmanager
    def connect(cls, server: PrefectServer) -> Iterator[Api]:
        """Connect to this server."""
        with SyncPrefectClient(server.url, auth_string=server.auth_string) as client:
            yield cls(client)

    def create_pool(self, name: str, template: dict[str, Any]) -> None:
        """Create a Docker work pool with this base job template."""
        self.client.create_work_pool(WorkPoolCreate(name=name, type="docker", base_job_template=template))

    def is_served(self, pool: str) -> bool:
        """Whether a worker of this pool is online."""
        workers = self.client.request(
            "POST", "/work_pools/{work_pool_name}/workers/filter", path_params={"work_pool_name": pool}, json={}
        )
        return any(worker["status"] == "ONLINE" for worker in workers.json())

    def deploy(
        self,
        name: str,
        entrypoint: str,
        pull_steps: Sequence[dict[str, Any]],
        *,
        pool: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> UUID:
        """Create a deployment; without a pool, no worker picks up its runs."""
        return self.client.create_deployment(
            self.client.create_flow_from_name(name),
            name,
            entrypoint=entrypoint,
            pull_steps=list(pull_steps),
            work_pool_name=pool,
            job_variables=dict(job_variables or {}),
            enforce_parameter_schema=False,
            **others,
        )

    def set_variable(self, name: str, value: Any) -> None:
        """Create a Prefect Variable."""
        self.client.create_variable(VariableCreate(name=name, value=value))

    def create_run(
        self,
        deployment: UUID,
        parameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> UUID:
        """Create a flow run of a deployment, scheduled for now, with these environment variables and job variables."""
        variables |= {"env": dict(environment)} if environment else {}
        return self.client.create_flow_run_from_deployment(
            deployment, parameters=dict(parameters or {}), job_variables=variables or None
        ).id

    def submit(self, flow_run: UUID) -> None:
        """Set a flow run to Pending, as a worker does before it starts a container."""
        self.client.set_flow_run_state(flow_run, Pending())

    def worker_variables(self, flow_run: UUID | str) -> dict[str, str]:
        """What workers tell a container about its run; an id that is no UUID is passed on alone.

        Prefect 3.9.1: `_base_environment` of https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/workers/base.py
        """
        variables = {"PREFECT__FLOW_RUN_ID": str(flow_run)}
        if isinstance(flow_run, UUID):
            variables["PREFECT__DEPLOYMENT_ID"] = str(self.client.read_flow_run(flow_run).deployment_id)
        return variables

    def wait(self, flow_run: UUID, timeout: float) -> FlowRun:
        """Wait until the flow run is in a final state, and return it."""

        def final() -> FlowRun | None:
            current = self.client.read_flow_run(flow_run)
            return current if current.state is not None and current.state.is_final() else None

        return wait_until(final, f"flow run {flow_run} in a final state", timeout)

    def logs(self, flow_run: UUID) -> list[Log]:
        """The flow run's whole log, oldest first."""
        of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run]))
        logs: list[Log] = []
        while page := self.client.read_logs(of_run, limit=PAGE, offset=len(logs), sort=LogSort.TIMESTAMP_ASC):
            logs += page
        return logs

    def artifacts(self, flow_run: UUID) -> list[Artifact]:
        """The artifacts of a flow run, as its page shows them."""
        return self.client.read_artifacts(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run])))
