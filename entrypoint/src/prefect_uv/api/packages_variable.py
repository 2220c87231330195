"""Extra packages of a deployment that are kept in a Prefect Variable, and read when the run starts.

Prefect 3.8.8: https://docs.prefect.io/v3/concepts/variables
"""

from __future__ import annotations

import json

from prefect_uv.api.client import ApiClient
from prefect_uv.api.json_api import NotFoundError
from prefect_uv.errors import SettingsInvalidError, VariableMissingError
from prefect_uv.settings.parsers import package_list, requirements

SETTING = "PREFECT_UV_EXTRA_PACKAGES_VARIABLE"


def read_packages_variable(name: str, api: ApiClient | None) -> tuple[str, ...]:
    """Read requirements from a Prefect Variable, a string as in PREFECT_UV_EXTRA_PACKAGES or a list of strings.

    Raises:
        SettingsInvalidError: there is no API, or the value is something else.
        VariableMissingError: the Variable does not exist.
    """
    if api is None:
        raise SettingsInvalidError(
            f"{SETTING} needs the Prefect API, but PREFECT_API_URL is not set.",
            f"The Prefect Variable {name!r} cannot be read.",
            "Set PREFECT_API_URL, or list the packages in PREFECT_UV_EXTRA_PACKAGES instead.",
        )
    try:
        value = api.variable(name)
    except NotFoundError:
        raise VariableMissingError(
            f"There is no Prefect Variable {name!r}.",
            f"{SETTING} names it as the source of extra packages.",
            f"Create it with `prefect variable set {name} 'cowsay==6.1'`, or correct {SETTING}.",
        ) from None
    try:
        return package_list(value) if isinstance(value, str) else requirements(value)
    except ValueError as error:
        raise SettingsInvalidError(
            f"The Prefect Variable {name!r} is not a list of packages.",
            f"Its value {json.dumps(value)} {error}.",
            "Make it a string as in PREFECT_UV_EXTRA_PACKAGES, or a list of requirements.",
        ) from None
