"""The projects of tests/projects as they are pulled, locked by a real uv with made-up wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_uv.errors import PrefectUvError
from prefect_uv.project import LockedProject, Project, UnlockedProject, find_project
from prefect_uv.settings import Settings
from tests.unit.wheels import build_wheel

PROJECTS = Path(__file__).parents[1] / "projects"
WHEELS = (("prefect", "3.8.8"), ("prefect-client", "3.8.8"), ("trinket", "1.0"), ("bauble", "1.0"))


@dataclass(frozen=True)
class Checkout:
    """A copy of a project in a directory that git made."""

    directory: Path
    wheels: Path

    def lock(self, *folders: str, script: str = "") -> Checkout:
        """Lock here and in these directories, or a script, as a user does."""
        for folder in folders or ("",):
            options = ["--script", script] if script else []
            command = ["uv", "lock", "--quiet", "--python", sys.executable, "--no-index", "--find-links"]
            command += [str(self.wheels), "--cache-dir", str(self.wheels / "cache"), *options]
            subprocess.run(command, cwd=self.directory / folder, check=True, timeout=30)
        return self

    def write(self, name: str, content: str) -> None:
        """Write a file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def look(self, entrypoint: str | None = None, **variables: str) -> Project:
        """The look with job variables, `groups` for PREFECT_UV_GROUPS."""
        environ = {f"PREFECT_UV_{name.upper()}": value for name, value in variables.items()}
        return find_project(self.directory, entrypoint, Settings.from_environ(environ))

    def locked(self, entrypoint: str | None = None, **variables: str) -> LockedProject:
        """A look that finds a lock."""
        project = self.look(entrypoint, **variables)
        assert isinstance(project, LockedProject)
        return project

    def unlocked(self, entrypoint: str | None = None, **variables: str) -> UnlockedProject:
        """A look that finds none."""
        project = self.look(entrypoint, **variables)
        assert isinstance(project, UnlockedProject)
        return project

    def refusal(self, entrypoint: str | None = None, **variables: str) -> str:
        """The full text of the error that a look ends in."""
        with pytest.raises(PrefectUvError) as caught:
            self.look(entrypoint, **variables)
        return self.text(caught.value)

    def text(self, error: PrefectUvError) -> str:
        """An error's full text, with `/code` for the checkout."""
        return error.render().replace(str(self.directory), "/code")

    def names(self, project: Project) -> set[str]:
        """Where its code is imported from, relative to the checkout."""
        return {os.path.relpath(root, self.directory) for root in project.source_roots}


@pytest.fixture(scope="package")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels."""
    directory = tmp_path_factory.mktemp("wheels")
    for name, version in WHEELS:
        module = name.replace("-", "_")
        build_wheel(directory, module, version, {f"{module}.py": ""})
    return directory


@pytest.fixture
def pulled(tmp_path: Path, wheels: Path) -> MakeCheckout:
    """A maker of checkouts by the name of a project in tests/projects."""
    return MakeCheckout(tmp_path, wheels)


@dataclass(frozen=True)
class MakeCheckout:
    """Copies projects."""

    directory: Path
    wheels: Path

    def __call__(self, name: str) -> Checkout:
        """A checkout of this project, not locked."""
        place = self.directory / "code"
        shutil.copytree(PROJECTS / name, place)
        (place / ".git").mkdir()
        return Checkout(place, self.wheels)
