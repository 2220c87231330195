"""The files that are sent for dependencies are all that decide an environment, for every shape of project."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv.environments.plan import source_of
from prefect_uv.errors import PrefectUvError
from prefect_uv.project import find_extra_packages, find_project
from prefect_uv.settings import Settings
from prefect_uv_deploy.dependency_files import dependency_files
from prefect_uv_deploy.working_tree import listed_files

PROJECTS = ROOT / "tests" / "projects"
NAMES = sorted(path.name for path in PROJECTS.iterdir() if path.is_dir() and path.name != "__pycache__")
LOCK = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n'
SCRIPTS = {"script", "script-broken", "script-twice", "script-without-prefect"}


def outcome(directory: Path, settings: Settings) -> object:
    """What the entrypoint makes of a directory: the inputs of the fingerprint, or the error."""
    try:
        project = find_project(directory, None, settings)
        extra = find_extra_packages(directory, project, settings)
    except PrefectUvError as error:
        return type(error)
    return source_of(project, settings).fields(), [str(file.relative_to(directory)) for file in extra.files]


@pytest.mark.parametrize("name", NAMES)
def test_a_start_and_a_build_see_the_same(name: str, tmp_path: Path) -> None:
    """With the code and without it, the fingerprint has the same inputs, or the error is the same."""
    whole, sent = tmp_path / "whole", tmp_path / "sent"
    shutil.copytree(PROJECTS / name, whole)
    if (whole / "pyproject.toml").is_file() and name != "no-lockfile" and not (whole / "uv.lock").is_file():
        (whole / "uv.lock").write_text(LOCK)
    scripts = sorted(path.name for path in whole.glob("*.py")) if name in SCRIPTS else []
    variables = {"PREFECT_UV_PROJECT": scripts[0]} if scripts else {}
    for file in dependency_files(whole, listed_files(whole), [*variables.values()], []):
        (sent / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(whole / file, sent / file)
    sent.mkdir(exist_ok=True)
    settings = Settings.from_environ(variables)
    assert outcome(sent, settings) == outcome(whole, settings)
