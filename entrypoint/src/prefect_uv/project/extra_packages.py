"""The packages that one deployment installs in addition to its project's environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prefect_uv.project.files.requirements_files import expand_patterns
from prefect_uv.project.model import ExtraPackages, Project
from prefect_uv.settings import Settings

EXTRA_REQUIREMENTS = "requirements-extras.txt"


def find_extra_packages(
    directory: Path, project: Project, settings: Settings, variable_packages: Sequence[str] = ()
) -> ExtraPackages:
    """Collect the extra packages from the settings, a Prefect Variable, and requirements files.

    If the settings name no files, the nearest requirements-extras.txt is used: next to the flow's file, in a directory
    above it, or in the working directory.

    Args:
        directory: the working directory.
        project: the project that the flow belongs to.
        settings: the deployment's settings.
        variable_packages: the packages of the Prefect Variable.

    Raises:
        RequirementsMissingError: a file that the settings name does not exist.
    """
    base = directory.resolve()
    named_files = expand_patterns(base, settings.extra_requirements, "PREFECT_UV_EXTRA_REQUIREMENTS")
    candidates = (parent / EXTRA_REQUIREMENTS for parent in (*project.search_directories, base))
    files = named_files or tuple(file for file in candidates if file.is_file())[:1]
    requirements = (*settings.extra_packages, *variable_packages)
    listed = [*requirements, *(os.path.relpath(file, base) for file in files)]
    return ExtraPackages(requirements, files, f"extra packages: {', '.join(listed)}" if listed else "")
