"""Finding deployments by the names of work pools and queues, by tags, or by their own names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_uv.api.client import ApiClient, Json
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.errors import DeploymentNotFoundError, SettingsInvalidError, UsageError
from prefect_uv.options.warm_options import WarmOptions
from prefect_uv.settings import Settings


@dataclass(frozen=True)
class Deployment:
    """A deployment: its full name, such as `etl/daily`, and its document as the API returns it."""

    name: str
    document: Json


def connect_to_api(settings: Settings) -> ApiClient:
    """The API that knows the deployments.

    Raises:
        SettingsInvalidError: PREFECT_API_URL is not set.
    """
    if not settings.api_url:
        hint = "Set it, and PREFECT_API_KEY or PREFECT_API_AUTH_STRING if the API needs one: `docker run -e …`."
        raise SettingsInvalidError("PREFECT_API_URL is not set.", hint=hint)
    return ApiClient(settings)


def find_deployments(api: ApiClient, options: WarmOptions) -> list[Deployment]:
    """All deployments that the options choose, each once, by name.

    Raises:
        DeploymentNotFoundError: there are none, or a named one does not exist.
    """
    chosen = {name: named_deployment(api, name) for name in options.names}
    if options.pools or options.queues or options.tags:
        documents = {document["id"]: document for filters in _filters(options) for document in api.deployments(filters)}
        flows = {"flows": {"id": {"any_": sorted({document["flow_id"] for document in documents.values()})}}}
        names = api.flow_names(flows) if documents else {}
        for document in documents.values():
            name = f"{names.get(document['flow_id'], '?')}/{document['name']}"
            chosen[name] = Deployment(name, document)
    if not chosen:
        raise DeploymentNotFoundError(
            "There is no such deployment.",
            f"The Prefect API has none for {options}.",
            "Compare with the work pools, queues and tags that `prefect deployment ls` shows.",
        )
    return [chosen[name] for name in sorted(chosen)]


def named_deployment(api: ApiClient, full_name: str) -> Deployment:
    """The deployment with this full name.

    Raises:
        UsageError: it is not a full name.
        DeploymentNotFoundError: it does not exist.
    """
    flow, _, name = full_name.partition("/")
    if not flow or not name:
        raise UsageError(f"{full_name!r} is not the full name of a deployment.", hint="Write FLOW/NAME: `etl/daily`.")
    try:
        return Deployment(full_name, api.deployment_by_name(flow, name))
    except NotFoundError:
        hint = "`prefect deployment ls` lists those that exist."
        raise DeploymentNotFoundError(f"There is no deployment {full_name!r}.", hint=hint) from None


def _filters(options: WarmOptions) -> Iterator[Json]:
    """One filter for each tag: the operator `any_` for tags is younger than Prefect 3.0.

    Prefect 3.9.1: https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/server/schemas/filters.py
    """
    filters: Json = {}
    if options.pools:
        filters["work_pools"] = {"name": {"any_": options.pools}}
    if options.queues:
        filters["work_pool_queues"] = {"name": {"any_": options.queues}}
    for tag in options.tags or (None,):
        yield {**filters, **({"deployments": {"tags": {"all_": [tag]}}} if tag else {})}
