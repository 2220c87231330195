"""`prefect-uv template`: print a work pool's base job template, made from the worker's own default."""

from __future__ import annotations

import json

from prefect_uv.errors import UsageError
from prefect_uv.session import Session
from prefect_uv.templates.cloud_templates import adapt_cloud_run, adapt_container_instance, adapt_ecs
from prefect_uv.templates.default_template import read_default
from prefect_uv.templates.docker_template import adapt_docker
from prefect_uv.templates.kubernetes_template import adapt_kubernetes

ADAPT = {
    "kubernetes": adapt_kubernetes,
    "docker": adapt_docker,
    "ecs": adapt_ecs,
    "cloud-run": adapt_cloud_run,
    "cloud-run-v2": adapt_cloud_run,
    "azure-container-instance": adapt_container_instance,
}


def template(session: Session) -> int:
    """Print the template on stdout.

    Raises:
        UsageError: the type of the work pool is missing.
    """
    options = session.options.template
    if options is None or not options.type:
        hint = "`prefect-uv template --help` lists the types."
        raise UsageError("`prefect-uv template` needs a type of work pool, such as `kubernetes`.", hint=hint)
    document = read_default(options, session.settings)
    ADAPT[options.type](document, options)
    session.log.show(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
