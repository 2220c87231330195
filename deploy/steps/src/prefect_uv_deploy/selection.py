"""What a build selects: by arguments, or by the variables of the deployment's job."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prefect_uv_deploy.errors import DeployError

# Variables of the entrypoint that change what is baked. Those for the run alone, such as the cache's, change nothing.
SETTINGS = {
    "EXTRA_PIP_PACKAGES",
    "EXTRA_PY_DEPS",
    "PREFECT_UV_EXTRAS",
    "PREFECT_UV_EXTRA_PACKAGES",
    "PREFECT_UV_EXTRA_REQUIREMENTS",
    "PREFECT_UV_GROUPS",
    "PREFECT_UV_LOCK",
    "PREFECT_UV_ONLY_GROUPS",
    "PREFECT_UV_PACKAGE",
    "PREFECT_UV_PROJECT",
    "PREFECT_UV_PYTHON",
}
TOOLS = re.compile(r"(?:UV|PIP)_\w+")
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|CREDENTIAL|USERNAME|_FILE$")
LOGIN = re.compile(r"://[^\s/]+@")


def bake_options(
    groups: Sequence[str] | str | None,
    only_groups: Sequence[str] | str | None,
    extras: Sequence[str] | str | None,
    package: str | None,
    project: str | None,
) -> tuple[str, ...]:
    """The options of `prefect-uv bake` for these arguments.

    Raises:
        DeployError: a name is not a name.
    """
    named = {"--group": groups, "--only-group": only_groups, "--extra": extras, "--package": package}
    words = [word for option, value in named.items() for name in _names(option, value) for word in (option, name)]
    if project:
        words += ["--project", project]
    return tuple(words)


def build_environment(job_variables: Mapping[str, Any] | None, environment: Mapping[str, str] | None) -> dict[str, str]:
    """The variables that change what is baked, from the job's variables and from those given for the build.

    What looks like a secret is left out of the job's, because every layer of an image can be read.

    Raises:
        DeployError: a variable for the build looks like a secret, or is not a string.
    """
    of_job = (job_variables or {}).get("env") or {}
    chosen = {
        name: value
        for name, value in of_job.items()
        if isinstance(value, str) and (name in SETTINGS or TOOLS.fullmatch(name)) and not _is_secret(name, value)
    }
    for name, value in (environment or {}).items():
        if not isinstance(value, str):
            raise DeployError(f"The value of {name} in the build's environment is not a string: put it in quotes.")
        if _is_secret(name, value):
            raise DeployError(f"{name} looks like a secret: set it where you deploy, and name it in `secrets`.")
    return {**chosen, **(environment or {})}


def _names(option: str, value: Sequence[str] | str | None) -> Iterator[str]:
    names = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value or ()
    for name in filter(None, names):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", str(name)):
            raise DeployError(f"{name!r} cannot be the name of a {option.lstrip('-').replace('-', ' ')}.")
        yield str(name)


def _is_secret(name: str, value: str) -> bool:
    return bool(SECRET.search(name) or LOGIN.search(value))
