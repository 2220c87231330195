"""Locked projects: scripts, wheels in the repository, selections, and which edits cause a build."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import LockfileStaleError, PrefectMissingError, SelectionInvalidError
from prefect_uv.project import LockedProject, find_project
from prefect_uv.project.selection import Selection
from tests.unit.environments.plan.test_unlocked_source import SCRIPT, age
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.etl import Etl, environments, sync
from tests.unit.wheels import build_wheel

GROUPS = '\n[dependency-groups]\nml = ["helper"]\ndocs = ["tools"]\n'


@pytest.fixture
def script(etl: Etl) -> Path:
    """A script with its own lock."""
    path = etl.directory / "flow.py"
    path.write_text(SCRIPT.format(wheels=etl.wheels))
    lock_script(path)
    return path


def lock_script(path: Path) -> None:
    """Lock a script as a user does."""
    command = ["uv", "lock", "--quiet", "--python", sys.executable, "--script", path.name]
    subprocess.run(command, cwd=path.parent, check=True, timeout=20)


def locked_script(store: EnvironmentStore, script: Path) -> LockedProject:
    """The script as a project, as a start finds it."""
    project = find_project(script.parent, f"{script.name}:flow", store.settings)
    assert isinstance(project, LockedProject)
    assert project.script == script
    return project


def test_locked_script(
    script: Path, cache: Path, make_store: Callable[..., EnvironmentStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own lock decides; an edit of its code changes nothing."""
    first = make_store().environment(locked_script(make_store(), script))
    assert installed_versions(first.path) == {"prefect": "3.8.8", "helper": "1.0"}
    assert environments(cache) == [first.path]
    monkeypatch.setattr(Uv, "run", no_uv)
    script.write_text(script.read_text() + "more = 'code'\n")
    assert make_store().environment(locked_script(make_store(), script)).hit


def test_stale_lock_of_a_script(script: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """The policy decides: refused, installed as it is, or locked again."""
    script.write_text(script.read_text().replace('"helper<2"', '"helper<2", "tools"'))
    build_wheel(script.parent.parent / "wheels", "tools", "1.0", {"tools.py": ""})
    with pytest.raises(LockfileStaleError):
        make_store().environment(locked_script(make_store(), script))
    frozen = make_store(PREFECT_UV_LOCK="frozen")
    assert "tools" not in installed_versions(frozen.environment(locked_script(frozen, script)).path)
    relocked = make_store(PREFECT_UV_LOCK="relock")
    assert "tools" in installed_versions(relocked.environment(locked_script(relocked, script)).path)


def test_relocked_versions_are_resolved_again_after_a_day(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """Nobody commits what `relock` locks, so newer versions are found, as for unpinned requirements."""
    etl.write("prefect", "helper")
    relocked = make_store(PREFECT_UV_LOCK="relock")
    for version in ("1.0", "2.0"):
        (etl.directory / "uv.lock").unlink()
        assert installed_versions(sync(relocked, etl).path)["helper"] == version
        (etl.directory / "uv.lock").unlink()
        build_wheel(etl.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
        assert sync(relocked, etl).hit
        (etl.directory / "uv.lock").write_text("")
        age(cache, 2)


def test_script_without_prefect(script: Path, make_store: Callable[..., EnvironmentStore]) -> None:
    """The hint has the command for a script."""
    script.write_text(script.read_text().replace('"prefect", ', ""))
    lock_script(script)
    with pytest.raises(PrefectMissingError) as caught:
        make_store().environment(locked_script(make_store(), script))
    assert caught.value.hint == "Run `uv add --script flow.py prefect`, commit flow.py and flow.py.lock, and push."


def vendored(etl: Etl, content: str) -> str:
    """Make the project depend on a wheel in its repository; returns the wheel's hash."""
    wheel = build_wheel(etl.directory / "vendor", "acme_tools", "1.0", {"acme_tools.py": content})
    etl.write("prefect", "acme-tools")
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + f'\n[tool.uv.sources]\nacme-tools = {{ path = "vendor/{wheel.name}" }}\n')
    (etl.directory / "uv.lock").unlink()
    etl.lock()
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_wheel_in_the_repository(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The wheel is installed, and its hash in the lock is part of the key."""
    vendored(etl, "x = 1\n")
    first = sync(make_store(), etl)
    assert installed_versions(first.path) == {"prefect": "3.8.8", "acme-tools": "1.0"}
    vendored(etl, "x = 2\n")
    second = sync(make_store(), etl)
    assert second.key != first.key
    assert next(second.path.glob("lib/*/site-packages/acme_tools.py")).read_text() == "x = 2\n"


def test_wheel_in_the_repository_and_the_wheel_directory(
    etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """It comes from the repository and all others from the directory; the environment is the same."""
    vendored(etl, "x = 1\n")
    first = sync(make_store(), etl)
    variables = {"PREFECT_UV_WHEELS": str(etl.wheels), "PREFECT_UV_CACHE_DIR": str(tmp_path / "other")}
    assert sync(make_store(**variables), etl).key == first.key


@pytest.fixture
def grouped(etl: Etl) -> Etl:
    """A project with two groups."""
    build_wheel(etl.wheels, "tools", "1.0", {"tools.py": ""})
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + GROUPS)
    etl.lock()
    return etl


@pytest.mark.parametrize("kind", ["groups", "only_groups", "extras"])
def test_unknown_selection(grouped: Etl, make_store: Callable[..., EnvironmentStore], kind: str) -> None:
    """uv refuses what project discovery has not refused before."""
    project = find_project(grouped.directory, None, make_store().settings)
    choice: dict[str, Any] = {kind: ("nope",)}
    mistaken = replace(project, selection=Selection(**choice))
    with pytest.raises(SelectionInvalidError) as caught:
        make_store().environment(mistaken)
    assert "`nope` is not defined in the " in caught.value.found


def test_edits_that_build_nothing(
    grouped: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Edits of code, README, another tool's settings, the description or an unselected group are hits."""
    first = sync(make_store(), grouped)
    path = grouped.directory / "pyproject.toml"
    capsys.readouterr()

    def edit_code() -> None:
        (grouped.directory / "flows.py").write_text("new = 'code'\n")
        (grouped.directory / "README.md").write_text("# New\n")

    def edit_tool_settings() -> None:
        path.write_text(path.read_text() + "\n[tool.ruff]\nline-length = 99\n")

    def edit_description() -> None:
        path.write_text(path.read_text().replace('version = "0.1.0"', 'version = "0.1.0"\ndescription = "New"'))

    def edit_unselected_group() -> None:
        path.write_text(path.read_text().replace('docs = ["tools"]', "docs = []"))
        grouped.lock()

    for edit in (edit_code, edit_tool_settings, edit_description, edit_unselected_group):
        edit()
        environment = sync(make_store(), grouped)
        assert (environment.hit, environment.key) == (True, first.key), edit.__name__
    assert environments(cache) == [first.path]
    assert "is new" not in capsys.readouterr().err


def test_edit_that_builds_says_why(
    grouped: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """A new version of a selected dependency is named in the log."""
    ml = {"PREFECT_UV_GROUPS": "ml"}
    first = sync(make_store(**ml), grouped)
    build_wheel(grouped.wheels, "helper", "2.0", {"helper.py": "x = 2\n"})
    shutil.rmtree(grouped.directory / ".venv", ignore_errors=True)
    (grouped.directory / "uv.lock").unlink()
    grouped.lock()
    capsys.readouterr()
    second = sync(make_store(**ml), grouped)
    line = f"prefect-uv: environment {second.key[:12]} is new; changes from {first.key[:12]}: helper 1.0 -> 2.0"
    assert line in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("variable", ["PREFECT_UV_GROUPS", "PREFECT_UV_ONLY_GROUPS"])
def test_developers_group_in_any_spelling(etl: Etl, make_store: Callable[..., EnvironmentStore], variable: str) -> None:
    """Group names are compared as uv compares them, so `Dev` selects `dev`."""
    path = etl.directory / "pyproject.toml"
    path.write_text(path.read_text() + '\n[dependency-groups]\nDev = ["helper", "prefect"]\n')
    etl.lock()
    first = sync(make_store(**{variable: "Dev,DEV"}), etl)
    assert set(installed_versions(first.path)) == {"prefect", "helper"}
    assert sync(make_store(**{variable: "dev"}), etl).hit


def test_two_selections_are_two_environments(
    grouped: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """Two groups of one lock: neither environment has the other's packages."""
    ml = sync(make_store(PREFECT_UV_GROUPS="ml"), grouped)
    docs = sync(make_store(PREFECT_UV_GROUPS="docs"), grouped)
    assert set(installed_versions(ml.path)) == {"prefect", "helper"}
    assert set(installed_versions(docs.path)) == {"prefect", "tools"}
    assert environments(cache) == sorted([ml.path, docs.path])
