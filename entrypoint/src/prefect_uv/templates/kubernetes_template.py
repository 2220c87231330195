"""The template of a Kubernetes work pool: the cache, the init container, and the restricted Pod Security Standard.

prefect-kubernetes 0.8.0: https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-kubernetes/prefect_kubernetes/worker.py
Kubernetes 1.37: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from typing import Any

from prefect_uv.errors import TemplateUnknownError
from prefect_uv.options.template_options import TemplateOptions
from prefect_uv.shapes import mismatch
from prefect_uv.templates.job_template import BEHAVIOR, CACHE, MADE_BY, set_default

JOB_TEMPLATE = {"job_manifest": {"kind": str, "spec": {"template": {"spec": {"containers": [dict]}}}}}
GRACE_SECONDS = 60
GROUP = 1000
HOME = "/home/prefect"
HANDOVER = "/handover"
BAKED_MOUNT = "/opt/baked"
ENVIRONMENT_IMAGE = "environment_image"
LOCAL = "/local"
LOCAL_VARIABLE = {"PREFECT_UV_LOCAL_DIR": LOCAL}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
SYNC_RESOURCES = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
LABEL = "metadata.labels['prefect.io/flow-run-id']"


def adapt_kubernetes(document: dict[str, Any], options: TemplateOptions) -> None:
    """Add what our image needs to the pod.

    Raises:
        TemplateUnknownError: the template is not that of a Kubernetes worker, or has volumes or init containers.
    """
    pod = _pod(document["job_configuration"])
    container = pod["containers"][0]
    if options.image:
        set_default(document, "image", options.image)
    if options.service_account:
        set_default(document, "service_account_name", options.service_account)
    pod["terminationGracePeriodSeconds"] = GRACE_SECONDS
    pod["securityContext"] = _pod_security(options)
    volumes = {"cache": (CACHE, _cache(options))}
    if options.local_dir:
        volumes["local"] = (LOCAL, _directory_of_node(options.local_dir))
        given = document["variables"]["properties"].get("env", {}).get("default") or {}
        set_default(document, "env", {**given, **LOCAL_VARIABLE})
    if options.environment_image:
        volumes["environment"] = (BAKED_MOUNT, _environment_image(document, options.environment_image))
    if options.restricted:
        pod["automountServiceAccountToken"] = False
        volumes |= {"tmp": ("/tmp", {"emptyDir": {}}), "home": (HOME, {"emptyDir": {}})}  # noqa: S108 (in the pod)
    pod["volumes"] = [{"name": name, **source} for name, (_, source) in volumes.items()]
    mounts = [{"name": name, "mountPath": path} for name, (path, _) in volumes.items()]
    shared: dict[str, Any] = {"volumeMounts": mounts}
    if options.restricted:
        shared["securityContext"] = RESTRICTED
    container.update(shared)
    if options.init_container:
        pod["volumes"].append({"name": "handover", "emptyDir": {}})
        mounts.append({"name": "handover", "mountPath": HANDOVER})
        pod["initContainers"] = [_sync_container(document, options) | shared]


def _pod(configuration: dict[str, Any]) -> dict[str, Any]:
    """The pod of the job's manifest, if it is one that we understand."""
    if wrong := mismatch(configuration, JOB_TEMPLATE, "the job configuration"):
        raise TemplateUnknownError(f"This is not the template of a Kubernetes worker: {wrong}.", hint=MADE_BY)
    manifest = configuration["job_manifest"]
    pod: dict[str, Any] = manifest["spec"]["template"]["spec"]
    first = pod["containers"][0] if pod["containers"] else {}
    if manifest["kind"] != "Job" or first.get("args") != "{{ command }}" or "command" in first:
        headline = "The template's first container does not get the worker's command as its args."
        raise TemplateUnknownError(headline, hint=MADE_BY)
    ours = {"volumes", "initContainers", "securityContext"} & pod.keys() | {"volumeMounts"} & first.keys()
    if ours:
        raise TemplateUnknownError(f"The template already has {', '.join(sorted(ours))}.", hint=MADE_BY)
    return pod


def _pod_security(options: TemplateOptions) -> dict[str, Any]:
    """The image's user is numeric, so Kubernetes can check it; OpenShift chooses user and group itself."""
    context: dict[str, Any] = {"runAsNonRoot": True, "fsGroupChangePolicy": "OnRootMismatch"}
    if not options.openshift:
        context["fsGroup"] = GROUP
    if options.restricted:
        context["seccompProfile"] = {"type": "RuntimeDefault"}
    return context


def _cache(options: TemplateOptions) -> dict[str, Any]:
    """Where the cache is: on a node, in the pod, or on a claim."""
    if options.host_path:
        return _directory_of_node(options.host_path)
    if options.no_cache:
        return {"emptyDir": {}}
    return {"persistentVolumeClaim": {"claimName": options.claim}}


def _environment_image(document: dict[str, Any], image: str) -> dict[str, Any]:
    """An image volume, which is always read-only, and the variable that names it.

    Kubernetes 1.35: https://kubernetes.io/docs/concepts/storage/volumes/#image
    """
    document["variables"]["properties"][ENVIRONMENT_IMAGE] = {
        "title": "Environment Image",
        "description": "The image of an environment that `prefect-uv export` has pushed, by its digest.",
        "default": image,
        "type": "string",
    }
    return {"image": {"reference": f"{{{{ {ENVIRONMENT_IMAGE} }}}}", "pullPolicy": "IfNotPresent"}}


def _directory_of_node(path: str) -> dict[str, Any]:
    return {"hostPath": {"path": path, "type": "DirectoryOrCreate"}}


def _sync_container(document: dict[str, Any], options: TemplateOptions) -> dict[str, Any]:
    """The init container that builds the environment; the worker adds its variables to the first container only."""
    secret = {"name": options.api_key_secret, "optional": True}
    return {
        "name": "sync",
        "image": "{{ image }}",
        "imagePullPolicy": "{{ image_pull_policy }}",
        "args": ["prefect-uv", "sync"],
        "env": [
            {"name": "PREFECT__FLOW_RUN_ID", "valueFrom": {"fieldRef": {"fieldPath": LABEL}}},
            {"name": "PREFECT_API_URL", "value": options.api_url},
            {"name": "PREFECT_API_KEY", "valueFrom": {"secretKeyRef": {**secret, "key": "key"}}},
            {"name": "PREFECT_API_AUTH_STRING", "valueFrom": {"secretKeyRef": {**secret, "key": "auth-string"}}},
            {"name": BEHAVIOR, "value": _sigterm_behavior(document)},
            *({"name": name, "value": value} for name, value in LOCAL_VARIABLE.items() if options.local_dir),
        ],
        "resources": SYNC_RESOURCES,
    }


def _sigterm_behavior(document: dict[str, Any]) -> str:
    """What the worker sets for the pool's default: Kubernetes retries a job that has a backoffLimit, else Prefect."""
    limit = document["job_configuration"]["job_manifest"]["spec"].get("backoffLimit")
    if limit == "{{ backoff_limit }}":
        limit = document["variables"]["properties"].get("backoff_limit", {}).get("default")
    return "reschedule" if limit == 0 else "relinquish"
