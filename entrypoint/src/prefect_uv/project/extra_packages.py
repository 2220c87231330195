"""What one deployment wants beside its project's environment, and where that was said."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prefect_uv.project.files.requirements_files import expand_patterns
from prefect_uv.project.model import ExtraPackages, Project
from prefect_uv.settings import Settings

EXTRA_REQUIREMENTS = "requirements-extras.txt"


def find_extra_packages(
    directory: Path, project: Project, settings: Settings, more: Sequence[str] = ()
) -> ExtraPackages:
    """The packages of the settings and of `more` (a Prefect Variable), and requirements files for them.

    Without files in the settings it is the nearest requirements-extras.txt: where the flow's file is, in the project,
    or in the working directory.

    Raises:
        RequirementsMissingError: a file that is named in the settings is not there.
    """
    named = expand_patterns(directory.resolve(), settings.extra_requirements, "PREFECT_UV_EXTRA_REQUIREMENTS")
    found = (place / EXTRA_REQUIREMENTS for place in (*project.places, directory.resolve()))
    files = named or tuple(file for file in found if file.is_file())[:1]
    requirements = (*settings.extra_packages, *more)
    what = [*requirements, *(os.path.relpath(file, directory.resolve()) for file in files)]
    return ExtraPackages(requirements, files, f"extra packages: {', '.join(what)}" if what else "")
