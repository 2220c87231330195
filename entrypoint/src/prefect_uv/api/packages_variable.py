"""Extra packages of a deployment that a Prefect Variable holds, read when the run starts."""

from __future__ import annotations

import json

from prefect_uv.api.client import ApiClient, NotFoundError
from prefect_uv.errors import SettingsInvalidError, VariableMissingError
from prefect_uv.settings.parsers import package_list, requirements

SETTING = "PREFECT_UV_EXTRA_PACKAGES_VARIABLE"


def read_packages_variable(name: str, api: ApiClient | None) -> tuple[str, ...]:
    """The requirements that a Prefect Variable holds: a text like PREFECT_UV_EXTRA_PACKAGES, or a list of them.

    Raises:
        SettingsInvalidError: there is no API to read it from, or it holds something else.
        VariableMissingError: it does not exist.
    """
    if api is None:
        raise SettingsInvalidError(
            f"{SETTING} needs the Prefect API, and PREFECT_API_URL is not set.",
            f"The Prefect Variable {name!r} cannot be read.",
            "Set PREFECT_API_URL, or name the packages themselves in PREFECT_UV_EXTRA_PACKAGES.",
        )
    try:
        value = api.variable(name)
    except NotFoundError:
        raise VariableMissingError(
            f"There is no Prefect Variable {name!r}.",
            f"{SETTING} names it as the deployment's extra packages.",
            f"Create it: `prefect variable set {name} 'cowsay==6.1'`, or correct {SETTING}.",
        ) from None
    try:
        return package_list(value) if isinstance(value, str) else requirements(value)
    except ValueError as error:
        raise SettingsInvalidError(
            f"The Prefect Variable {name!r} is no list of packages.",
            f"Its value {json.dumps(value)} {error}.",
            "Make it a text as of PREFECT_UV_EXTRA_PACKAGES, or a list of requirements.",
        ) from None
