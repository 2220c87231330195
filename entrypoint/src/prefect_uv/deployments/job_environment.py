"""The environment variables that a worker would give to the runs of a deployment.

Prefect 3.9.1: from_template_and_values, https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/workers/base.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from prefect_uv.api.client import Json
from prefect_uv.errors import SettingsInvalidError
from prefect_uv.pull.templating import Blocks, resolve_placeholders
from prefect_uv.shapes import TEXT_OR_NONE, mismatch

PREFIX = "env."
NAME = re.compile(r"[^=\0\ud800-\udfff]+")


def job_environment(
    deployment: Json, base_job_template: Json, environ: Mapping[str, str], blocks: Blocks
) -> dict[str, str]:
    """The variables of the work pool, and those of the deployment, which take precedence; without those that are null.

    Of the pool's job configuration only `env` counts: what a job manifest contains beyond that, such as variables from
    secrets, the container has itself if it is started from the same manifest.

    Args:
        deployment: the deployment's document.
        base_job_template: that of its work pool.
        environ: the variables that placeholders such as `{{ $NAME }}` stand for.
        blocks: the API's blocks and variables.

    Raises:
        SettingsInvalidError: `env` is something else than a mapping of names to texts.
        PullStepError: a block does not exist, or has no value at the given path.
    """
    properties = (base_job_template.get("variables") or {}).get("properties") or {}
    variables = {name: schema["default"] for name, schema in properties.items() if "default" in schema}
    given = deployment.get("job_variables") or {}
    dotted = {name.removeprefix(PREFIX): value for name, value in given.items() if name.startswith(PREFIX)}
    configured = (base_job_template.get("job_configuration") or {}).get("env")
    environments = (configured if isinstance(configured, dict) else {}, variables.get("env"), dotted, given.get("env"))
    env = {name: value for mapping in environments for name, value in _checked_mapping(mapping).items()}
    if invalid := [name for name in env if not NAME.fullmatch(name)]:
        raise SettingsInvalidError(f"The job variable env has {invalid[0]!r}, which cannot be the name of a variable.")
    resolved = resolve_placeholders(env, {**variables, **given}, environ, blocks)
    if wrong := mismatch(resolved, {...: TEXT_OR_NONE}, "env"):
        raise SettingsInvalidError(f"The job variable env is invalid: {wrong}.", hint="Make every value a string.")
    return {name: value for name, value in resolved.items() if value is not None}


def _checked_mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value or {}, dict):
        raise SettingsInvalidError("The job variable env is not a mapping.", hint="Write `NAME: value` below `env:`.")
    return value or {}
