"""Versions that real build backends compute from tags: those of a full clone, although ours is shallow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.environments import Environment
from prefect_uv.image_facts import Image
from prefect_uv.project_code import ProjectCode
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.pull.conftest import KeptLog
from tests.stack.environment import index_environment
from tests.unit.conftest import Origin
from tests.unit.project_code.test_importable_code import locked_project

CLONE = "prefect.deployments.steps.git_clone"
BACKENDS = {
    "hatch-vcs": ('"hatchling", "hatch-vcs"', "hatchling.build", '[tool.hatch.version]\nsource = "vcs"\n'),
    "setuptools-scm": ('"setuptools>=64", "setuptools_scm>=8"', "setuptools.build_meta", "[tool.setuptools_scm]\n"),
    "pdm-backend": ('"pdm-backend"', "pdm.backend", '[tool.pdm.version]\nsource = "scm"\n'),
}
Versions = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """An environment as the store makes it, without packages."""
    command = ["uv", "venv", "--quiet", "--no-project", "--python", sys.executable, str(tmp_path / "env")]
    subprocess.run(command, check=True, timeout=30)
    return Environment(
        tmp_path / "env",
        "abc",
        hit=True,
        prefect="3.8.8",
        python_version="3.11.0",
        uv_cache=tmp_path / "uv",
        run_cache=None,
        lease=0,
    )


def package(root: Path, backend: str) -> Origin:
    """A repository of a package: a tag, commits after it, and another tag on the last one."""
    origin = Origin(root / backend / "shop")
    requires, name, table = BACKENDS[backend]
    (origin.path / "src" / "shop").mkdir(parents=True)
    (origin.path / "src" / "shop" / "__init__.py").touch()
    build = f'[build-system]\nrequires = [{requires}]\nbuild-backend = "{name}"\n'
    origin.commit("pyproject.toml", f'{build}[project]\nname = "shop"\ndynamic = ["version"]\n{table}')
    origin.git("tag", "v1.2.3")
    origin.commit("README.md", "one")
    origin.commit("README.md", "two")
    return origin


@pytest.fixture
def version(environment: Environment, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """Pulls a package as a new start does, installs it, and returns its version and the log's lines."""
    monkeypatch.setattr(Image, "read", classmethod(lambda _: image))
    given = {**os.environ, **index_environment(), "PREFECT_UV_INSTALL_PROJECT": "true"}
    starts = iter(range(9))

    def install(origin: Origin, **variables: str) -> tuple[str, list[str]]:
        start = tmp_path / f"start-{next(starts)}"
        start.mkdir()
        monkeypatch.chdir(start)
        settings = Settings.from_environ({**given, "PREFECT_UV_CACHE_DIR": str(tmp_path / "cache"), **variables})
        lines: list[str] = []
        log = KeptLog(lines, settings)
        checkout = pull({"pull_steps": [{CLONE: {"repository": origin.url}}]}, settings, log, None)
        code = ProjectCode(settings, log, lambda: start, checkout.clones)
        made = code.make_importable(locked_project(checkout.directory), environment)
        (info,) = made.import_path[0].glob("shop-*.dist-info")
        return info.name.removeprefix("shop-").removesuffix(".dist-info"), lines

    (tmp_path / "cache").mkdir()
    return install


def expected(origin: Origin, directory: Path) -> str:
    """The version that `uv build` computes in a full clone."""
    subprocess.run(["git", "clone", "--quiet", origin.url, str(directory)], check=True, timeout=20)
    command = ["uv", "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", "dist"]
    subprocess.run(command, cwd=directory, env={**os.environ, **index_environment()}, check=True, timeout=60)
    (wheel,) = directory.glob("dist/*.whl")
    return wheel.name.split("-")[1]


@pytest.mark.parametrize("backend", BACKENDS)
def test_version_is_that_of_a_full_clone(backend: str, version: Versions, tmp_path: Path) -> None:
    """Tags and history are fetched for the build."""
    origin = package(tmp_path, backend)
    wanted = expected(origin, tmp_path / "full")
    assert wanted.startswith("1.2.")
    assert version(origin)[0] == wanted


def test_version_after_a_restored_clone(version: Versions, tmp_path: Path) -> None:
    """A new tag on an old commit counts although the mirror had the clone; offline, a warning says what is missing."""
    origin = package(tmp_path, "hatch-vcs")
    assert version(origin)[0].startswith("1.2.4.dev2")
    origin.git("tag", "v2.0")
    assert version(origin)[0] == "2.0"
    _, lines = version(origin, PREFECT_UV_OFFLINE="true")
    (warning,) = (line for line in lines if "the version of" in line)
    assert "the version of shop may be wrong, because /" in warning
    assert warning.endswith("/shop lacks git's tags: it is a shallow clone")
