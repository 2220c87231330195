"""The templates of work pools on the platforms of cloud providers: image, memory for a build, and what SIGTERM means.

prefect-aws 0.7.12: https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-aws/prefect_aws/workers/ecs_worker.py
prefect-gcp 0.6.22: https://github.com/PrefectHQ/prefect/tree/main/src/integrations/prefect-gcp/prefect_gcp/workers
prefect-azure 0.4.13: https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-azure/prefect_azure/workers/container_instance.py
"""

from __future__ import annotations

from typing import Any

from prefect_uv.errors import TemplateUnknownError
from prefect_uv.options.template_options import TemplateOptions
from prefect_uv.shapes import mismatch
from prefect_uv.templates.job_template import BEHAVIOR, CACHE, MADE_BY, set_default

TASK = {"task_definition": {"containerDefinitions": [dict]}}
STOP_SECONDS = 120
"""The most that ECS allows on Fargate."""


def adapt_ecs(document: dict[str, Any], options: TemplateOptions) -> None:
    """The cache on a file system of EFS; a task that is stopped hands its run on, which the worker's observer accepts.

    Raises:
        TemplateUnknownError: the template is not that of an ECS worker, or has volumes.
    """
    definition, container = _task(document["job_configuration"])
    _set_image(document, options)
    _reschedule(document)
    container["stopTimeout"] = STOP_SECONDS
    if options.file_system:
        files = {"fileSystemId": options.file_system, "transitEncryption": "ENABLED"}
        definition["volumes"] = [{"name": "cache", "efsVolumeConfiguration": files}]
        container["mountPoints"] = [{"sourceVolume": "cache", "containerPath": CACHE}]


def adapt_cloud_run(document: dict[str, Any], options: TemplateOptions) -> None:
    """Memory for a build. What SIGTERM does stays a crash: the worker reports one, whatever the state is."""
    _set_image(document, options)
    set_default(document, "memory", "2Gi")


def adapt_container_instance(document: dict[str, Any], options: TemplateOptions) -> None:
    """Memory for a build; a container that is stopped hands its run on."""
    _set_image(document, options)
    set_default(document, "memory", 2.0)
    _reschedule(document)


def _set_image(document: dict[str, Any], options: TemplateOptions) -> None:
    if options.image:
        set_default(document, "image", options.image)


def _reschedule(document: dict[str, Any]) -> None:
    """A deployment's own variables are added to these."""
    given = document["variables"]["properties"].get("env", {}).get("default") or {}
    set_default(document, "env", {BEHAVIOR: "reschedule", **given})


def _task(configuration: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The task definition and its container, if they are what we understand."""
    if wrong := mismatch(configuration, TASK, "the job configuration"):
        raise TemplateUnknownError(f"This is not the template of an ECS worker: {wrong}.", hint=MADE_BY)
    definition: dict[str, Any] = configuration["task_definition"]
    containers = definition["containerDefinitions"]
    if len(containers) != 1 or {"volumes"} & definition.keys() or {"mountPoints", "entryPoint"} & containers[0].keys():
        headline = "The task definition has several containers, volumes or an entry point of its own."
        raise TemplateUnknownError(headline, hint=MADE_BY)
    return definition, containers[0]
