"""A state of a flow run, as the API returns it."""

from __future__ import annotations

from dataclasses import dataclass

from prefect_uv.api.client import Json

# Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/schemas/objects.py (TERMINAL_STATES)
FINAL_STATES = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True)
class State:
    """A state of a flow run.

    Attributes:
        id: the state's own id, not the run's.
        type: such as `CANCELLING`.
        name: such as `Cancelling`, or `AwaitingRetry` of the type `SCHEDULED`.
        suspended: it is Paused without an engine; when it is resumed, a new container starts. A run that is merely
            Paused needs the engine that waits in it.
        lease: the id of the lease on a slot of the deployment's concurrency limit; empty if there is none.
    """

    id: str
    type: str
    name: str
    suspended: bool = False
    lease: str = ""

    @classmethod
    def of(cls, document: Json | None) -> State:
        """The state as the API returns it; a run without a state counts as Pending."""
        document = document or {}
        state_type = str(document.get("type") or "PENDING")
        name = str(document.get("name") or state_type.title())
        details = document.get("state_details") or {}
        lease = str(details.get("deployment_concurrency_lease_id") or "")
        return cls(str(document.get("id")), state_type, name, bool(details.get("pause_reschedule")), lease)

    @property
    def final(self) -> bool:
        """Whether the run is over."""
        return self.type in FINAL_STATES

    @property
    def continues_later(self) -> bool:
        """Whether another container will execute the run."""
        return self.type == "SCHEDULED" or self.suspended

    @property
    def cancelling(self) -> bool:
        """Whether the run was asked to stop and end as Cancelled."""
        return self.type == "CANCELLING"
