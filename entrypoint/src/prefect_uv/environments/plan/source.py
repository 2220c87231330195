"""What every source of an environment knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from prefect_uv.environments.key.environment_contents import Contents, Package
from prefect_uv.environments.key.fingerprint import Field, tool_settings, uv_variables
from prefect_uv.environments.key.manifest import DescribedEnvironment
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.image_facts import Image, interpreter_facts
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project


@dataclass(frozen=True)
class Plan:
    """An answer of uv.

    Attributes:
        contents: what the environment is made of.
        install: brings an environment at a place to the contents, by a link mode.
        pinned: nothing in it was chosen by today's index: the answer stays true for ever.
        base: the environment that it is built upon in any case, where it is one more than another.
    """

    contents: Contents
    install: Callable[[Path, str], None]
    pinned: bool = True
    base: DescribedEnvironment | None = None


class Source(Protocol):
    """A source of an environment."""

    @property
    def project(self) -> Project:
        """Whose requirements they are."""

    @property
    def name(self) -> str:
        """What it is for, for people and manifests."""

    def fields(self) -> list[Field]:
        """Its raw inputs, for the fingerprint: files are read, nothing is asked."""

    def plan(self, uv: Uv, log: RunLog) -> Plan:
        """What would be installed, and how: uv is asked; what cannot work is refused."""


def contents_of(uv: Uv, project: Project, python: str, packages: dict[str, Package]) -> Contents:
    """The contents of an environment with these packages."""
    version, platform = _version_and_platform(python, uv.image)
    environ = uv.settings.environ
    settings = (*uv_variables(environ, project.directory, indexes=False), *tool_settings(project, environ))
    return Contents(uv.image.uv_minor, python, version, platform, settings, packages)


def _version_and_platform(python: str, image: Image) -> tuple[str, str]:
    """Version and platform: known for the image's own interpreter, asked of any other."""
    return (image.python_version, image.platform) if python == image.python else interpreter_facts(python)
