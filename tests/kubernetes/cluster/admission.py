"""What the API server refuses or adds: service accounts, the Pod Security Standard, OpenShift's user ids.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
https://docs.redhat.com/en/documentation/openshift_container_platform/4.19/html/authentication_and_authorization/managing-pod-security-policies
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import kubernetes_validate

from tests.kubernetes.cluster.documents import Document, RefusedError, containers, forbidden
from tests.kubernetes.cluster.resources import RESOURCES

if TYPE_CHECKING:
    from tests.kubernetes.cluster.store import Store

RESTRICTED = "restricted"
"""The namespace that enforces the restricted Pod Security Standard."""
OPENSHIFT = "openshift"
"""The namespace whose pods get a user id of its own range, as the security context constraint restricted-v2 says."""
OPENSHIFT_USER = 1000710000
VERSION = kubernetes_validate.utils.all_versions()[-1]
ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim"}
ALLOWED_VOLUMES |= {"projected", "secret"}
"""Kubernetes 1.33 added `image`: https://github.com/kubernetes/kubernetes/pull/130394"""


def admit(store: Store, plural: str, document: Document) -> None:
    """Let an object in, with what the cluster adds to it.

    Raises:
        RefusedError: it is invalid, or breaks a rule of its namespace.
    """
    _validate(plural, document)
    if plural == "pods":
        pod, namespace = document["spec"], document["metadata"]["namespace"]
        _add_service_account(store, namespace, pod)
        if namespace == OPENSHIFT:
            _constrain(pod)
        if namespace in (RESTRICTED, OPENSHIFT) and (violations := list(violated(pod))):
            name = document["metadata"]["name"]
            message = f'violates PodSecurity "restricted:latest": {", ".join(violations)}'
            raise forbidden(f'pods "{name}" is forbidden: {message}')


def violated(pod: Document) -> Iterator[str]:
    """The rules of the restricted standard that a pod breaks."""
    shared = pod.get("securityContext") or {}
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "host namespaces"
    for volume in pod.get("volumes", []):
        if not ALLOWED_VOLUMES & volume.keys():
            yield f'restricted volume types (volume "{volume["name"]}")'
    for container in containers(pod):
        own = container.get("securityContext") or {}
        name = f'(container "{container["name"]}")'
        if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
            yield f"allowPrivilegeEscalation != false {name}"
        capabilities = own.get("capabilities") or {}
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"unrestricted capabilities {name}"
        if _effective(own, shared, "runAsNonRoot") is not True:
            yield f"runAsNonRoot != true {name}"
        if _effective(own, shared, "runAsUser") == 0:
            yield f"runAsUser=0 {name}"
        profile = _effective(own, shared, "seccompProfile") or {}
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"seccompProfile {name}"


def _effective(own: Document, shared: Document, name: str) -> Any:
    return own.get(name, shared.get(name))


def _validate(plural: str, document: Document) -> None:
    """The schema; fields that it does not know are dropped by a cluster, and ignored here."""
    try:
        kubernetes_validate.validate(document, VERSION)
    except kubernetes_validate.ValidationError as error:
        path = ".".join(map(str, error.path))
        name, kind = document["metadata"]["name"], RESOURCES[plural].kind
        message = f'{kind} "{name}" is invalid: {path}: {error.message}'
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message) from None


def _add_service_account(store: Store, namespace: str, pod: Document) -> None:
    """Name the pod's account and say whether its token is mounted; no pod is created for an account that is missing."""
    name = pod.get("serviceAccountName") or "default"
    accounts = {account["metadata"]["name"]: account for account in store.find("serviceaccounts", namespace)}
    if name != "default" and name not in accounts:
        message = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
        raise forbidden(message)
    pod["serviceAccountName"] = name
    mounts = accounts.get(name, {}).get("automountServiceAccountToken", True)
    pod.setdefault("automountServiceAccountToken", mounts)


def _constrain(pod: Document) -> None:
    """Restricted-v2: user and group from the namespace's range, nothing that adds rights."""
    shared = pod.setdefault("securityContext", {})
    if "fsGroup" in shared and shared["fsGroup"] != OPENSHIFT_USER:
        raise forbidden(f"fsGroup: Invalid value: {shared['fsGroup']}")
    shared |= {"fsGroup": OPENSHIFT_USER, "seccompProfile": {"type": "RuntimeDefault"}}
    for container in containers(pod):
        own = container.setdefault("securityContext", {})
        if own.get("runAsUser", OPENSHIFT_USER) != OPENSHIFT_USER:
            raise forbidden(f"runAsUser: Invalid value: {own['runAsUser']}")
        own |= {"runAsUser": OPENSHIFT_USER, "runAsNonRoot": True, "allowPrivilegeEscalation": False}
        own["capabilities"] = {"drop": ["ALL"]}
