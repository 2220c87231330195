"""The import path of a run, compared with that of an editable installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.import_path import HOOK, add_hook, import_variables
from prefect_uv.settings.tool_variables import IMPORT_PATH
from tests.unit.etl import Etl, sync

PROBE = "import json, logging, shared, sys; print(json.dumps([sys.path, logging.__file__, shared.__file__]))"
IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {PROBE!r}], check=True)"


@pytest.fixture
def make_environment(tmp_path: Path) -> Callable[[str], Path]:
    """Makes environments in which one module is installed."""

    def make(name: str) -> Path:
        environment = tmp_path / name
        subprocess.run(["uv", "venv", "-q", "--no-project", "-p", sys.executable, environment], check=True, timeout=30)
        (site_packages(environment) / "shared.py").touch()
        return environment

    return make


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Two source roots, with modules named like one of the standard library and one that is installed."""
    directories = (tmp_path / "src", tmp_path / "lib")
    for directory in directories:
        directory.mkdir()
        (directory / "logging.py").write_text("raise SystemExit('not the standard library')")
        (directory / "shared.py").touch()
    return directories


def site_packages(environment: Path) -> Path:
    """The directory of an environment's packages."""
    return next(environment.glob("lib/*/site-packages"))


def probe(environment: Path, *options: str, **variables: str) -> Any:
    """What a probe prints, with `ENVIRONMENT` for the environment's path."""
    environ = {"PATH": os.environ["PATH"], **variables}
    command = [str(environment / "bin" / "python"), *options]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True, timeout=20)
    return json.loads(done.stdout.replace(str(environment), "ENVIRONMENT"))


@pytest.mark.parametrize("options", [("-c", PROBE), ("-I", "-c", PROBE), ("-c", IN_A_CHILD)])
def test_same_path_as_an_editable_installation(
    make_environment: Callable[[str], Path], roots: tuple[Path, Path], options: tuple[str, ...]
) -> None:
    """The roots come behind the standard library and the packages, also without PYTHONPATH and in child processes."""
    editable, ours = make_environment("editable"), make_environment("ours")
    (site_packages(editable) / "_etl.pth").write_text("\n".join(map(str, roots)))
    add_hook(ours)
    variables = import_variables(ours, roots, "/their/own")
    assert "PYTHONPATH" not in variables
    own = {"PYTHONPATH": "/their/own"}
    assert probe(ours, *options, **own, **variables) == probe(editable, *options, **own)


def test_without_roots(make_environment: Callable[[str], Path]) -> None:
    """Without the variable, and if it is empty, nothing is added."""
    environment = make_environment("ours")
    before = probe(environment, "-c", PROBE)
    add_hook(environment)
    assert probe(environment, "-c", PROBE) == before
    assert probe(environment, "-c", PROBE, **import_variables(environment, (), "")) == before


def test_environment_of_an_earlier_release(tmp_path: Path, roots: tuple[Path, Path]) -> None:
    """Without the hook, the roots come first, in front of the user's own directories."""
    assert import_variables(tmp_path, roots, "/their/own") == {"PYTHONPATH": f"{roots[0]}:{roots[1]}:/their/own"}


def test_hook_is_in_every_environment_that_is_built(etl: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The store adds it; in an environment that is linked to another one, it is a file of its own."""
    built = sync(make_store(), etl).path
    assert import_variables(built, (), "") == {IMPORT_PATH: ""}
    linked = built.with_name("linked")
    (linked / "lib" / "python3" / "site-packages").mkdir(parents=True)
    hook = linked / "lib" / "python3" / "site-packages" / HOOK
    hook.hardlink_to(site_packages(built) / HOOK)
    add_hook(linked)
    assert not hook.samefile(site_packages(built) / HOOK)
    assert hook.read_text() == (site_packages(built) / HOOK).read_text()
