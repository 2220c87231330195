"""A project with a made-up `prefect`, which a real uv locks and builds from wheels without a network."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import UnlockedProject, find_project
from prefect_uv.project.files.requirements_files import Requirements
from prefect_uv.settings import Settings
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

WHEEL = "prefect-3.8.8-py3-none-any.whl"
HTML = {"Content-Type": "text/html"}
ENGINE = {"prefect/__init__.py": "", "prefect/flow_engine.py": "print('engine')\n"}


class Etl:
    """A project that depends on a made-up `prefect` from a directory of wheels."""

    def __init__(self, directory: Path, uv_cache: Path) -> None:
        self.directory = directory
        self.wheels = directory.parent / "wheels"
        self._uv_cache = uv_cache

    def write(self, *dependencies: str, requires_python: str = ">=3.11", comment: str = "") -> None:
        """Write pyproject.toml."""
        (self.directory / "pyproject.toml").write_text(
            f"""{comment}
[project]
name = "etl"
version = "0.1.0"
requires-python = "{requires_python}"
dependencies = {list(dependencies)}

[tool.uv]
no-index = true
find-links = ["../wheels"]
"""
        )

    def lock(self) -> None:
        """Lock the project as a user does."""
        command = ["uv", "lock", "--quiet", "--python", sys.executable, "--cache-dir", str(self._uv_cache)]
        environ = {**os.environ, "UV_HTTP_RETRIES": "0"}
        subprocess.run(command, cwd=self.directory, env=environ, check=True, timeout=20)

    def edit_lock(self, pattern: str, text: str) -> None:
        """Replace what matches a pattern in uv.lock."""
        path = self.directory / "uv.lock"
        content, changes = re.subn(pattern, text, path.read_text())
        assert changes
        path.write_text(content)

    def move_to(self, index: Server) -> None:
        """Switch the project from the wheels to an index over HTTP, and lock it again."""
        wheel = (self.wheels / WHEEL).read_bytes()
        link = f"<a href='{WHEEL}#sha256={hashlib.sha256(wheel).hexdigest()}'>{WHEEL}</a>"
        index.on("GET /api/prefect/", Answer(body=link.encode(), headers=HTML))
        index.on(f"GET /api/prefect/{WHEEL}", Answer(body=wheel))
        path = self.directory / "pyproject.toml"
        path.write_text(path.read_text().partition("[tool.uv]")[0] + f'[[tool.uv.index]]\nurl = "{index.url}"\n')
        self.lock()


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Etl:
    """The project that each test gets a copy of, with a cache for uv to lock with."""
    parent = tmp_path_factory.mktemp("template")
    (parent / "etl" / ".git").mkdir(parents=True)
    etl = Etl(parent / "etl", parent / "uv-cache")
    build_wheel(etl.wheels, "prefect", "3.8.8", ENGINE)
    build_wheel(etl.wheels, "helper", "1.0", {"helper.py": "x = 1\n"})
    etl.write("prefect")
    etl.lock()
    return etl


@pytest.fixture
def etl(template: Etl, tmp_path: Path) -> Etl:
    """A locked project."""
    parent = template.directory.parent
    for name in ("etl", "wheels"):
        shutil.copytree(parent / name, tmp_path / name)
    return Etl(tmp_path / "etl", parent / "uv-cache")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache directory."""
    return tmp_path / "cache"


@pytest.fixture
def make_store(
    make_settings: Callable[..., Settings], log: RunLog, cache: Path, this_image: Image
) -> Callable[..., EnvironmentStore]:
    """Makes environment stores on the cache directory, one per start."""
    assert this_image

    def make(**variables: str) -> EnvironmentStore:
        return EnvironmentStore(make_settings({"PREFECT_UV_CACHE_DIR": str(cache), **variables}), log)

    return make


def environments(cache: Path) -> list[Path]:
    """The published environments."""
    return sorted((cache / "envs" / "v1").glob("*"))


def leftovers(cache: Path) -> list[Path]:
    """What builds and deletions have left behind."""
    return [path for name in ("tmp", "trash") for path in (cache / "envs" / name).glob("*")]


def sync(store: EnvironmentStore, etl: Etl) -> Environment:
    """The environment of the project, as a start gets it."""
    return store.environment(find_project(etl.directory, None, store.settings))


def sync_at_once(make_store: Callable[..., EnvironmentStore], etl: Etl, starts: int) -> list[Environment]:
    """The environments that simultaneous starts get."""
    with ThreadPoolExecutor(starts) as pool:
        return list(pool.map(lambda _: sync(make_store(), etl), range(starts)))


def only_wheels(etl: Etl) -> str:
    """Write a uv configuration that allows only the directory of wheels; returns its path."""
    path = etl.wheels / "uv.toml"
    path.write_text(f'no-index = true\nfind-links = ["{etl.wheels}"]\n')
    return str(path)


def unlocked(*requirements: str, files: Sequence[Path] = (), constraints: Sequence[str] = ()) -> UnlockedProject:
    """An unlocked project, as project discovery finds it."""
    directory = files[0].parent if files else Path("/")
    return UnlockedProject(
        name="etl",
        shape="requirements",
        directory=directory,
        root=directory,
        inputs=Requirements.read(directory, files, {}).inputs,
        source_roots=(),
        requirements=requirements,
        files=tuple(files),
        constraints=tuple(constraints),
    )
