"""The kinds of objects that the API server knows, and the documents in which clients look them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


@dataclass(frozen=True)
class Resource:
    """A kind of object; the core group has no name."""

    group: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What stands in a manifest."""
        return f"{self.group}/v1" if self.group else "v1"


RESOURCES = {
    resource.plural: resource
    for resource in (
        Resource("", "events", "Event"),
        Resource("", "namespaces", "Namespace", namespaced=False),  # none is stored: kopf asks whether there are any
        Resource("", "persistentvolumeclaims", "PersistentVolumeClaim"),
        Resource("", "pods", "Pod"),
        Resource("", "secrets", "Secret"),
        Resource("", "serviceaccounts", "ServiceAccount"),
        Resource("batch", "cronjobs", "CronJob"),
        Resource("batch", "jobs", "Job"),
        Resource("networking.k8s.io", "networkpolicies", "NetworkPolicy"),
        Resource("policy", "poddisruptionbudgets", "PodDisruptionBudget"),
    )
}


def discovery() -> dict[str, dict[str, Any]]:
    """The documents at fixed paths, with which kubectl and kopf learn what there is."""
    groups = sorted({resource.group for resource in RESOURCES.values()} - {""})
    lists = {f"/apis/{group}/v1": _resources(group) for group in groups}
    return {
        "/version": {"major": "1", "minor": "37", "gitVersion": "v1.37.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(group) for group in groups]},
        "/api/v1": _resources(""),
        **lists,
    }


def _group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> dict[str, Any]:
    members = [resource for resource in RESOURCES.values() if resource.group == group]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/v1" if group else "v1",
        "resources": [
            {
                "name": resource.plural,
                "singularName": resource.kind.lower(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": VERBS,
            }
            for resource in members
        ],
    }
