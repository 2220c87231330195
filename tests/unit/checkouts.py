"""Copies of tests/projects as a pull leaves them, locked by a real uv against made-up wheels."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_uv.errors import PrefectUvError
from prefect_uv.project import LockedProject, Project, UnlockedProject, find_project
from prefect_uv.settings import Settings
from tests.pins import PREFECT, PREFECT_CLIENT
from tests.suite.locks import lock_once
from tests.unit.wheels import build_wheel

PROJECTS = Path(__file__).parents[1] / "projects"
WHEELS = (("prefect", PREFECT), ("prefect-client", PREFECT_CLIENT), ("trinket", "1.0"), ("bauble", "1.0"))


@dataclass(frozen=True)
class Checkout:
    """A copy of a project, in a directory that looks like a git checkout.

    Attributes:
        directory: the project.
        wheels: the wheels to lock against.
    """

    directory: Path
    wheels: Path

    def lock(self, *folders: str, script: str = "") -> Checkout:
        """Lock the project, the projects in these folders, or a script, as a user does."""
        for folder in folders or ("",):
            options = ["--script", script] if script else []
            command = ["uv", "lock", "--quiet", "--python", sys.executable, "--no-index", "--find-links"]
            command += [str(self.wheels), "--cache-dir", str(self.wheels / "cache"), *options]
            lock_once([*command, "--directory", folder or "."], self.directory, os.environ)
        return self

    def write(self, name: str, content: str) -> None:
        """Write a file of the project."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def look(self, entrypoint: str | None = None, **variables: str) -> Project:
        """Find the project with these job variables: `groups` stands for PREFECT_UV_GROUPS."""
        environ = {f"PREFECT_UV_{name.upper()}": value for name, value in variables.items()}
        return find_project(self.directory, entrypoint, Settings.from_environ(environ))

    def locked(self, entrypoint: str | None = None, **variables: str) -> LockedProject:
        """Find the project, which must be locked."""
        project = self.look(entrypoint, **variables)
        assert isinstance(project, LockedProject)
        return project

    def unlocked(self, entrypoint: str | None = None, **variables: str) -> UnlockedProject:
        """Find the project, which must not be locked."""
        project = self.look(entrypoint, **variables)
        assert isinstance(project, UnlockedProject)
        return project

    def refusal(self, entrypoint: str | None = None, **variables: str) -> str:
        """The full text of the error that finding the project raises."""
        with pytest.raises(PrefectUvError) as caught:
            self.look(entrypoint, **variables)
        return self.text(caught.value)

    def text(self, error: PrefectUvError) -> str:
        """The full text of an error, with `/code` for the checkout."""
        return error.render().replace(str(self.directory), "/code")

    def names(self, project: Project) -> set[str]:
        """The project's source roots, relative to the checkout."""
        return {os.path.relpath(root, self.directory) for root in project.source_roots}


@pytest.fixture(scope="package")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheels of WHEELS."""
    directory = tmp_path_factory.mktemp("wheels")
    for name, version in WHEELS:
        module = name.replace("-", "_")
        build_wheel(directory, module, version, {f"{module}.py": ""})
    return directory


@pytest.fixture
def pulled(tmp_path: Path, wheels: Path) -> MakeCheckout:
    """Makes a checkout of a project of tests/projects, by name."""
    return MakeCheckout(tmp_path, wheels)


@dataclass(frozen=True)
class MakeCheckout:
    """Copies projects into checkouts."""

    directory: Path
    wheels: Path

    def __call__(self, name: str) -> Checkout:
        """A checkout of the project, which is not locked yet."""
        directory = self.directory / "code"
        shutil.copytree(PROJECTS / name, directory)
        (directory / ".git").mkdir()
        return Checkout(directory, self.wheels)
