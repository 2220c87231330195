"""The requests to Prefect's REST API that we need, so that a start does not have to import Prefect.

Prefect 3.8.8: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/client/orchestration/__init__.py
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import uuid4

from prefect_uv.api.documents import (
    BLOCK_DOCUMENT,
    DEPLOYMENT,
    FLOW,
    FLOW_RUN,
    NAMED_DEPLOYMENT,
    PREFECT_VARIABLE,
    TRANSITION,
    WORK_POOL,
    WORKER_METADATA,
)
from prefect_uv.api.json_api import JsonApi, NotFoundError
from prefect_uv.api.patience import RetryPolicy
from prefect_uv.errors import ApiRefusedError
from prefect_uv.settings import Settings

Json = dict[str, Any]


class ApiClient:
    """The API at `PREFECT_API_URL`; safe to use from several threads.

    Every method raises what `JsonApi.request` raises.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._api = JsonApi(settings)

    def hurry(self) -> None:
        """Let every request, present or future, take a few seconds at most; a signal handler may call this."""
        self._api.hurry()

    def version(self, policy: RetryPolicy | None = None) -> str:
        """The server's version of Prefect."""
        version: str = self._api.request("GET", "/admin/version", str, policy=policy)
        return version

    def flow_run(self, flow_run_id: str, policy: RetryPolicy | None = None) -> Json:
        """The flow run as the API returns it."""
        document: Json = self._api.request("GET", f"/flow_runs/{_quoted(flow_run_id)}", FLOW_RUN, policy=policy)
        return document

    def deployment(self, deployment_id: str, policy: RetryPolicy | None = None) -> Json:
        """The deployment as the API returns it."""
        path = f"/deployments/{_quoted(deployment_id)}"
        document: Json = self._api.request("GET", path, DEPLOYMENT, policy=policy)
        return document

    def deployment_by_name(self, flow: str, name: str) -> Json:
        """The deployment with these names of its flow and its own."""
        path = f"/deployments/name/{_quoted(flow)}/{_quoted(name)}"
        document: Json = self._api.request("GET", path, NAMED_DEPLOYMENT)
        return document

    def deployments(self, filters: Json) -> list[Json]:
        """All deployments that the filters select.

        Prefect 3.9.1: https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/server/api/deployments.py (`/filter`)
        """
        return self._all_pages("/deployments/filter", filters, NAMED_DEPLOYMENT)

    def flow_names(self, filters: Json) -> dict[str, str]:
        """The names of the flows that the filters select, by their ids."""
        return {flow["id"]: flow["name"] for flow in self._all_pages("/flows/filter", filters, FLOW)}

    def work_pool(self, name: str) -> Json:
        """The work pool as the API returns it."""
        document: Json = self._api.request("GET", f"/work_pools/{_quoted(name)}", WORK_POOL)
        return document

    def _all_pages(self, path: str, filters: Json, shape: Any) -> list[Json]:
        """Everything that the filters select: the server decides how much it sends at once."""
        found: dict[str, Json] = {}
        while True:
            try:
                page = self._api.request("POST", path, [shape], {**filters, "offset": len(found)})
            except NotFoundError:
                raise ApiRefusedError(
                    f"What answers at {self._settings.api_url} is not a Prefect API: it has no {path}.",
                    hint="Correct PREFECT_API_URL; the URL of a self-hosted server ends in /api.",
                ) from None
            before = len(found)
            found |= {item["id"]: item for item in page}
            if len(found) == before:
                return list(found.values())

    def block(self, type_slug: str, name: str) -> Json:
        """A block document, secrets included."""
        names = f"{_quoted(type_slug)}/block_documents/name/{_quoted(name)}"
        document: Json = self._api.request("GET", f"/block_types/slug/{names}?include_secrets=true", BLOCK_DOCUMENT)
        return document

    def block_by_id(self, document_id: str) -> Json:
        """A block document, secrets included."""
        path = f"/block_documents/{_quoted(document_id)}?include_secrets=true"
        document: Json = self._api.request("GET", path, BLOCK_DOCUMENT)
        return document

    def variable(self, name: str) -> Any:
        """The value of a Prefect Variable, of any JSON type."""
        return self._api.request("GET", f"/variables/name/{_quoted(name)}", PREFECT_VARIABLE).get("value")

    def worker_metadata(self) -> Json:
        """The workers that the server knows, by their collection and type, with their default base job templates."""
        document: Json = self._api.request("GET", "/collections/views/aggregate-worker-metadata", WORKER_METADATA)
        return document

    def set_state(  # noqa: PLR0913 (the fields of a proposal)
        self,
        flow_run_id: str,
        type_: str,
        *,
        name: str | None = None,
        message: str = "",
        force: bool = False,
        policy: RetryPolicy | None = None,
    ) -> Json:
        """Propose a state; every retry carries the same transition id, so the server makes the transition only once.

        Prefect 3.8.8, PreventDuplicateTransitions: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py

        Returns:
            `{"status": "ACCEPT" | "REJECT" | "ABORT" | "WAIT", "state": …, "details": …}`.
        """
        details = {"transition_id": str(uuid4())}
        state = {"type": type_, "name": name, "message": message, "state_details": details}
        body = {"state": state, "force": force}
        path = f"/flow_runs/{_quoted(flow_run_id)}/set_state"
        result: Json = self._api.request("POST", path, TRANSITION, body, policy)
        return result

    def renew_lease(self, lease: str, seconds: float, policy: RetryPolicy) -> None:
        """Make a lease on concurrency slots expire this many seconds from now, a minute or more."""
        path = f"/v2/concurrency_limits/leases/{_quoted(lease)}/renew"
        self._api.request("POST", path, object, {"lease_duration": seconds}, policy)

    def create_artifact(self, artifact: Json, policy: RetryPolicy) -> None:
        """Add an artifact; one with a key is the newest version of what has that key.

        Prefect 3.9.1: https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/server/schemas/actions.py
        (`ArtifactCreate`)
        """
        self._api.request("POST", "/artifacts/", object, artifact, policy)

    def send_logs(self, entries: list[Json]) -> None:
        """Add entries to a flow run's log, with a single retry."""
        timeout = self._settings.api_timeout
        self._api.request("POST", "/logs/", object, entries, RetryPolicy(1, timeout, 2 * timeout))


def _quoted(part: str) -> str:
    """A single part of a path."""
    return quote(part, safe="", errors="replace")
