"""Which variables a program gets: all that it may need, and no secret of the API that it has no use for.

uv and git start programs that other people have written: build backends, credential helpers, filters. Nobody knows
which variables those need (CC, CMAKE_ARGS, SETUPTOOLS_SCM_PRETEND_VERSION, …), so there is no list of what is allowed.
What is kept from them are Prefect's variables and ours, and from all but uv the credentials of indexes (ADR 14).
"""

from __future__ import annotations

from collections.abc import Mapping

from prefect_uv.settings.environment_secrets import is_index_secret
from prefect_uv.settings.secret_files import INDEX_SECRETS

PREFECT_PREFIX = "PREFECT"
OUR_PREFIX = "PREFECT_UV_"
PUBLISHING_PREFIX = "UV_PUBLISH_"


def variables_for_uv(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without Prefect's variables, ours, and those for publishing packages."""
    return {name: value for name, value in environ.items() if not name.startswith((PREFECT_PREFIX, PUBLISHING_PREFIX))}


def without_index_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for a program that asks no index, such as git or the Python of an environment."""
    kept = variables_for_uv(environ)
    return {name: value for name, value in kept.items() if name not in INDEX_SECRETS and not is_index_secret(name)}
