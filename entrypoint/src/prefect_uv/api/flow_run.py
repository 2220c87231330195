"""The flow run, its deployment, and what may be done with a run in its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect_uv.api.client import ApiClient, Json, NotFoundError
from prefect_uv.api.transport import RetryPolicy
from prefect_uv.errors import DeploymentNotFoundError, FlowRunNotFoundError

FINAL_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class State:
    """A state of a flow run: its id, type and name."""

    id: str
    type: str
    name: str

    @classmethod
    def of(cls, answer: Json | None) -> State:
        """The state in an answer of the API; a run without one is Pending to us."""
        told = answer or {}
        kind = str(told.get("type") or "PENDING")
        return cls(str(told.get("id")), kind, str(told.get("name") or kind.title()))

    @property
    def final(self) -> bool:
        """Nothing follows it."""
        return self.type in FINAL_STATES

    @property
    def cancelling(self) -> bool:
        """Somebody wants the run to end as Cancelled."""
        return self.type == "CANCELLING"


class AlreadyOver(Exception):  # noqa: N818 (not an error: there is nothing left to do)
    """The run is in a final state and must not be executed."""


class FlowRun:
    """A flow run that the API knows.

    Raises:
        FlowRunNotFoundError: the API does not know it.
    """

    def __init__(self, api: ApiClient, flow_run_id: str) -> None:
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

    def refuse_when_over(self, *, again: bool = False) -> None:
        """A run that is over, or was cancelled before it started, must not run; ask `again` right before launch.

        The server would accept Running over any final state (Prefect 3.9.1), so nobody else refuses.

        Raises:
            Settled: the run is final, or was Cancelling and is Cancelled now.
        """
        state = self.state() if again else State.of(self._read.get("state"))
        if state.cancelling:
            self.cancel("Cancelled before the flow started.")
            message = f"flow run {self.name} was cancelled before it started"
            raise AlreadyOver(message)
        if state.final:
            message = f"flow run {self.name} is {state.name} already: nothing to do"
            raise AlreadyOver(message)

    def state(self, policy: RetryPolicy | None = None) -> State:
        """The state that the run is in now."""
        return State.of(self._ask(policy).get("state"))

    def crash(self, message: str) -> State:
        """Propose Crashed and say what the state is now; a state that is final already stays."""
        return self._propose("CRASHED", message=message)

    def cancel(self, message: str) -> State:
        """Set Cancelled; the server accepts it over Cancelling only by force."""
        return self._propose("CANCELLED", message=message, force=True)

    def reschedule(self) -> State:
        """Propose AwaitingRetry, from which a worker starts the run again."""
        return self._propose("SCHEDULED", name="AwaitingRetry")

    def _propose(self, type_: str, **fields: Any) -> State:
        try:
            answer = self._api.set_state(self.id, type_, **fields)
        except NotFoundError:
            raise _unknown(self.id) from None
        return State.of(answer["state"]) if answer.get("state") else self.state()

    def _ask(self, policy: RetryPolicy | None = None) -> Json:
        try:
            return self._api.flow_run(self.id, policy)
        except NotFoundError:
            raise _unknown(self.id) from None


def _unknown(flow_run_id: str) -> FlowRunNotFoundError:
    return FlowRunNotFoundError(
        f"The API does not know the flow run {flow_run_id}.",
        hint="It was deleted, or PREFECT_API_URL leads to another server or workspace.",
    )
