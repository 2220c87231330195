"""What every template has: variables with defaults, which deployments override."""

from __future__ import annotations

from typing import Any

from prefect_uv.errors import TemplateUnknownError

CACHE = "/cache"
BEHAVIOR = "PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"
MADE_BY = "Start from the default of the installed worker: `prefect work-pool get-default-base-job-template`."


def set_default(document: dict[str, Any], name: str, value: Any) -> None:
    """Set the default of a variable.

    Raises:
        TemplateUnknownError: the template has no such variable, or does not use it.
    """
    variable = document["variables"]["properties"].get(name)
    if not isinstance(variable, dict) or f"{{{{ {name} }}}}" not in str(document["job_configuration"]):
        raise TemplateUnknownError(f"The template has no variable {name}, or does not use it.", hint=MADE_BY)
    variable["default"] = value
