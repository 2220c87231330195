"""The flow run and its deployment: reading its state, refusing to run it if it is over, proposing another one."""

from __future__ import annotations

import math
import threading
from typing import Any

from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.api.run_state import State
from prefect_uv.errors import DeploymentNotFoundError, FlowRunNotFoundError, PrefectUvError
from prefect_uv.processes.background_call import BackgroundCall
from prefect_uv.processes.signals import LOOK_SECONDS, raise_noted_signal

REPORT_SECONDS = 300.0
REPORT_POLICY = RetryPolicy(math.inf, 60.0, REPORT_SECONDS)
"""For what must be reported or known at the end of a run: until it succeeds, for some minutes."""
SHOW_POLICY = RetryPolicy(0, 10.0, 10.0)
AHEAD_SECONDS = 5.0
AHEAD_POLICY = RetryPolicy(0, AHEAD_SECONDS, AHEAD_SECONDS)


class AlreadyOver(Exception):  # noqa: N818 (not an error: there is nothing left to do)
    """The run is over and must not be executed."""


class FlowRun:
    """A flow run as it was when it was first read; `state` reads it again.

    Attributes:
        found: the state in which we found it, before the launch.

    Raises:
        FlowRunNotFoundError: the API has no such run; methods that ask the API raise it too.
    """

    def __init__(
        self, api: ApiClient, flow_run_id: str, policy: RetryPolicy | None = None, deployment_id: str = ""
    ) -> None:
        self.id = flow_run_id
        self._api = api
        self._proposing = threading.Lock()
        self._shows = True
        self.read(policy, deployment_id)

    def read(self, policy: RetryPolicy | None = None, deployment_id: str = "") -> None:
        """Read the run, anew if it was read before.

        Args:
            policy: how long that may take.
            deployment_id: the deployment that is probably the run's, which is read at the same time; empty for none.
        """
        self._deployment_ahead = (
            BackgroundCall(self._api.deployment, deployment_id, AHEAD_POLICY) if deployment_id else None
        )
        self._document = self._fetch(policy)
        self.found = State.of(self._document.get("state"))

    @property
    def name(self) -> str:
        """The run's name, such as `brave-fox`."""
        return str(self._document["name"])

    @property
    def document(self) -> Json:
        """The run as the API returned it when it was last read."""
        return self._document

    @property
    def attempts(self) -> int:
        """How often the run has been Running before."""
        return int(self._document.get("run_count") or 0)

    def deployment(self) -> Json:
        """The run's deployment as the API returns it.

        Raises:
            DeploymentNotFoundError: the run has none, or it was deleted.
        """
        deployment_id = self._document.get("deployment_id")
        if deployment_id is None:
            raise DeploymentNotFoundError(
                f"Flow run {self.name} has no deployment.",
                "The deployment says where the code is; this run was created without one, or it was deleted.",
                "Deploy the flow again, and create a new run from its deployment.",
            )
        document = self._deployment_ahead.result(AHEAD_SECONDS) if self._deployment_ahead else None
        if document and document.get("id") == deployment_id:
            return document
        try:
            return self._api.deployment(deployment_id)
        except NotFoundError:
            raise DeploymentNotFoundError(
                f"The deployment of flow run {self.name} no longer exists.",
                f"The Prefect API has no deployment {deployment_id}.",
                "Deploy the flow again, and create a new run from its deployment.",
            ) from None

    def refuse_when_over(self, *, again: bool = False) -> None:
        """Refuse to execute a run that is over; set one that is Cancelling to Cancelled, and refuse it, too.

        With `again`, the state is read again.

        The server does not refuse: it accepts Running over every final state except a Completed with a stored result.

        Prefect 3.8.8, HandleFlowTerminalStateTransitions: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py

        Raises:
            AlreadyOver: the run is in a final state, or was Cancelling and has now been set to Cancelled.
        """
        if again:
            self._show_no_more()
            self.found = self.state()
        state = self.found
        if state.cancelling:
            self.cancel("Cancelled before the flow started.")
            message = f"flow run {self.name} was cancelled before it started"
            raise AlreadyOver(message)
        if state.final:
            message = f"flow run {self.name} is already {state.name}: nothing to do"
            raise AlreadyOver(message)

    def hurry(self) -> None:
        """Let every request, present or future, take a few seconds at most; a signal handler may call this."""
        self._api.hurry()

    def state(self, policy: RetryPolicy | None = None) -> State:
        """Read the run's current state."""
        return State.of(self._fetch(policy).get("state"))

    def show(self, name: str, message: str) -> None:
        """Say in a Pending state what a start is doing, as far as the server takes it.

        It is proposed only to a run that is Pending, which keeps its slot, and never once anything else was proposed or
        the state was read for the launch: a server would accept it over Crashed or AwaitingRetry.

        Prefect before 3.6.22 refuses any Pending after Pending, and every server refuses it after Running, Cancelling
        or Cancelled; then nothing is shown any more.
        Prefect 3.8.8, PreventPendingTransitions: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py
        """
        with self._proposing:
            if not self._shows:
                return
            try:
                result = self._api.set_state(self.id, "PENDING", name=name, message=message, policy=SHOW_POLICY)
            except (PrefectUvError, NotFoundError):
                self._shows = False
                return
            if result["status"] != "ACCEPT":
                self._shows = False

    def _show_no_more(self) -> None:
        """Let no `show` follow, and wait for one under way; a signal ends the wait as `raise_noted_signal` does."""
        self._shows = False
        while not self._proposing.acquire(timeout=LOOK_SECONDS):
            raise_noted_signal()
        self._proposing.release()

    def crash(self, message: str) -> State:
        """Propose Crashed and return the state that the run is in afterwards; a final state stays."""
        return self._propose("CRASHED", message=message)

    def cancel(self, message: str) -> State:
        """Set Cancelled by force, as Prefect's runner does.

        Prefect 3.8.8, propose_cancelled: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/_state_proposer.py
        """
        return self._propose("CANCELLED", message=message, force=True)

    def reschedule(self) -> State:
        """Propose AwaitingRetry, so that a worker starts the run again.

        Prefect 3.8.8: https://docs.prefect.io/v3/concepts/states
        """
        return self._propose("SCHEDULED", name="AwaitingRetry")

    def renew_lease(self, lease: str, seconds: float, policy: RetryPolicy) -> None:
        """Renew the lease on a concurrency slot, from now on for this many seconds.

        Raises:
            NotFoundError: the server has no leases.
            ApiRefusedError: the lease has expired, or the server refuses for another reason.
        """
        self._api.renew_lease(lease, seconds, policy)

    def _propose(self, type_: str, **fields: Any) -> State:
        self._show_no_more()
        try:
            result = self._api.set_state(self.id, type_, policy=REPORT_POLICY, **fields)
        except NotFoundError:
            raise _not_found(self.id) from None
        return State.of(result["state"]) if result.get("state") else self.state(REPORT_POLICY)

    def _fetch(self, policy: RetryPolicy | None = None) -> Json:
        try:
            return self._api.flow_run(self.id, policy)
        except NotFoundError:
            raise _not_found(self.id) from None


def _not_found(flow_run_id: str) -> FlowRunNotFoundError:
    return FlowRunNotFoundError(
        f"The Prefect API has no flow run {flow_run_id}.",
        hint="Check that the run was not deleted, and that PREFECT_API_URL points to its server or workspace.",
    )
