"""Sources and plans: what every source of an environment offers, and what uv answers for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prefect_uv.environments.key.environment_contents import Contents, Package
from prefect_uv.environments.key.fingerprint import Field, tool_settings, uv_variables
from prefect_uv.environments.key.manifest import DescribedEnvironment
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.image_facts import interpreter_facts
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project
from prefect_uv.settings.tool_variables import variables_for_builds

if TYPE_CHECKING:
    from prefect_uv.environments.plan.origins import Origins


@dataclass(frozen=True)
class Plan:
    """uv's answer for a source.

    Attributes:
        contents: what the environment is made of.
        install: installs the contents into an environment; takes its directory and a link mode.
        pinned: no version depends on what the index has today, so the answer never becomes stale.
        base: the environment that this one extends and must be built on; None for all but extra packages.
        origins: says where the packages come from, without those of the base.
    """

    contents: Contents
    install: Callable[[Path, str], None]
    pinned: bool = True
    base: DescribedEnvironment | None = None
    origins: Callable[[], Origins] = dict


class Source(Protocol):
    """Where the packages of an environment come from."""

    @property
    def project(self) -> Project:
        """The project that has the requirements."""

    @property
    def name(self) -> str:
        """What the environment is for, in the log and in manifests."""

    def fields(self) -> list[Field]:
        """The raw inputs for the fingerprint, from files alone, without uv."""

    def hashed_names(self) -> set[str]:
        """The packages that the project pins by hashes, if another project may have led to the same key without."""

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """Ask uv what to install; refuse what cannot work."""


def contents_of(uv: Uv, project: Project, python: str, packages: dict[str, Package]) -> Contents:
    """The contents of a project's environment on an interpreter, with these packages."""
    version, platform = _version_and_platform(uv, python)
    environ = uv.settings.environ
    settings = (*uv_variables(environ, project.directory, indexes=False), *tool_settings(project, environ))
    return Contents(uv.image.uv_minor, python, version, platform, settings, packages)


def _version_and_platform(uv: Uv, python: str) -> tuple[str, str]:
    """Facts of an interpreter: known for the image's own, any other has to be started."""
    if python == uv.image.python:
        return uv.image.python_version, uv.image.platform
    return interpreter_facts(python, variables_for_builds(uv.environ))
