"""The template of a Docker work pool: the cache in a named volume, and hardened containers.

prefect-docker 0.7.4: https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-docker/prefect_docker/worker.py
"""

from __future__ import annotations

from typing import Any

from prefect_uv.options.template_options import TemplateOptions
from prefect_uv.templates.job_template import CACHE, set_default

HARDENED = {
    "cap_drop": ["ALL"],
    "read_only": True,
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": ""},  # noqa: S108 (in the container)
}


def adapt_docker(document: dict[str, Any], options: TemplateOptions) -> None:
    """Set the defaults of the variables; a deployment may still set others.

    Raises:
        TemplateUnknownError: the template lacks one of the variables.
    """
    if options.image:
        set_default(document, "image", options.image)
    set_default(document, "image_pull_policy", "IfNotPresent")
    if not options.no_cache:
        set_default(document, "volumes", [f"{options.volume}:{CACHE}"])
    if options.restricted:
        set_default(document, "container_create_kwargs", HARDENED)
