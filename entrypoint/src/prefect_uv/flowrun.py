"""The flow run, its deployment, and what may be done with a run in its state."""

from __future__ import annotations

from typing import Any

from prefect_uv.api import Api, Json, NotFoundError
from prefect_uv.errors import DeploymentNotFoundError, FlowRunNotFoundError

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Settled(Exception):  # noqa: N818 (not an error: there is nothing left to do)
    """The run is in a final state and must not be executed."""


class FlowRun:
    """A flow run that the API knows.

    Raises:
        FlowRunNotFoundError: the API does not know it.
    """

    def __init__(self, api: Api, flow_run_id: str) -> None:
        self.id = flow_run_id
        self._api = api
        self._read = self._ask()

    @property
    def name(self) -> str:
        """The name that people know the run by."""
        return str(self._read["name"])

    def deployment(self) -> Json:
        """The run's deployment as the API gives it.

        Raises:
            DeploymentNotFoundError: there is none, or it was deleted.
        """
        deployment_id = self._read.get("deployment_id")
        if deployment_id is None:
            raise DeploymentNotFoundError(
                f"Flow run {self.name} has no deployment.",
                "Only a deployment says where the code of a flow run is; this run has none, or it was deleted.",
                "Deploy again, and create a new run from the deployment.",
            )
        try:
            return self._api.deployment(deployment_id)
        except NotFoundError:
            raise DeploymentNotFoundError(
                f"The deployment of flow run {self.name} does not exist any more.",
                f"The API does not know the deployment {deployment_id}.",
                "Deploy again, and create a new run from the deployment.",
            ) from None

    def refuse_when_settled(self, *, again: bool = False) -> None:
        """A run that is over, or was cancelled before it started, must not run; ask `again` right before launch.

        The server would accept Running over any final state (Prefect 3.9.1), so nobody else refuses.

        Raises:
            Settled: the run is final, or was Cancelling and is Cancelled now.
        """
        if again:
            self._read = self._ask()
        state: dict[str, Any] = self._read.get("state") or {}
        if state.get("type") == "CANCELLING":
            self._api.set_state(self.id, "CANCELLED", message="Cancelled before the flow started.", force=True)
            message = f"flow run {self.name} was cancelled before it started"
            raise Settled(message)
        if state.get("type") in FINAL:
            message = f"flow run {self.name} is {state.get('name')} already: nothing to do"
            raise Settled(message)

    def crash(self, message: str) -> None:
        """Propose Crashed; a state that is final already stays."""
        self._api.set_state(self.id, "CRASHED", message=message)

    def _ask(self) -> Json:
        try:
            return self._api.flow_run(self.id)
        except NotFoundError:
            raise FlowRunNotFoundError(
                f"The API does not know the flow run {self.id}.",
                hint="It was deleted, or PREFECT_API_URL leads to another server or workspace.",
            ) from None
