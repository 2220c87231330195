"""A virtual environment that a pull step made, and that the flow does not use: what it has and the flow's does not."""

from __future__ import annotations

from pathlib import Path

from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.key.environment_contents import joined_differences
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project

WAYS = (
    "Select groups and extras with PREFECT_UV_GROUPS and PREFECT_UV_EXTRAS, or use `pip install` in the pull step,"
    " which adds packages to the run."
)


def log_unused_environment(path: Path, environment: Path, project: Project, log: RunLog) -> None:
    """Warn if the virtual environment has packages that the flow's lacks; otherwise say that nobody needs it.

    Args:
        path: the virtual environment.
        environment: the flow's.
        project: the project, whose own packages are imported from their sources.
        log: the log.
    """
    try:
        there, here = installed_versions(path), installed_versions(environment)
    except FileNotFoundError:
        return
    own = {package.name for package in project.local_packages}
    differences = [
        f"{name} {here[name]} instead of {version}" if name in here else f"no {name} {version}"
        for name, version in sorted(there.items())
        if here.get(name) != version and name not in own
    ]
    if differences:
        log.warning(
            f"the flow does not use {path}, which a pull step made; its environment has"
            f" {joined_differences(differences)}. {WAYS}"
        )
    else:
        log.info(f"the flow does not use {path}, which a pull step made: its environment has the same packages")
