"""A virtual environment that a script makes is noticed, and compared with the environment of the flow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.unused_environment import WAYS, log_unused_environment
from prefect_uv.project import find_project
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.unit.etl import Etl
from tests.unit.wheels import build_wheel

SET = "prefect.deployments.steps.set_working_directory"
SHELL = "prefect.deployments.steps.run_shell_script"
SYNC = f"uv sync --locked --python {sys.executable}"
VENV = f"uv venv --python {sys.executable}"
INSTALL = f"{VENV} && uv pip install --python .venv --find-links ../wheels --no-index"
SAME = "prefect-uv: the flow does not use .venv, which a pull step made: its environment has the same packages\n"


def lacks(packages: str) -> str:
    """The warning about these packages."""
    unused = "the flow does not use .venv, which a pull step made"
    return f"prefect-uv: warning: {unused}; its environment has {packages}. {WAYS}\n"


@pytest.fixture
def project(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> Etl:
    """A project with a group that no run selects, in the working directory."""
    build_wheel(etl.wheels, "helper", "2.0", {"helper.py": ""})
    build_wheel(etl.wheels, "trinket", "1.0", {"trinket.py": ""})
    etl.write("prefect", "helper==1.0")
    with (etl.directory / "pyproject.toml").open("a") as file:
        file.write('\n[dependency-groups]\nmore = ["trinket"]\n')
    etl.lock()
    monkeypatch.chdir(etl.directory.parent)
    monkeypatch.setenv("UV_CACHE_DIR", str(etl.directory.parent / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return etl


@pytest.mark.parametrize(
    ("steps", "logged"),
    [
        ([{SHELL: {"script": SYNC, "directory": "etl"}}], SAME),
        ([{SET: {"directory": "etl"}}, {SHELL: {"script": f"{SYNC} --group more"}}], lacks("no trinket 1.0")),
        (
            [{SHELL: {"script": f"{INSTALL} helper==2.0 trinket", "directory": "etl", "shell": True}}],
            lacks("helper 1.0 instead of 2.0, no trinket 1.0"),
        ),
        ([{SHELL: {"script": f"{VENV}\nrm -r .venv/lib", "directory": "etl"}}], ""),
        ([{SHELL: {"script": "mkdir .venv", "directory": "etl"}}], ""),
    ],
)
def test_virtual_environment_of_a_script(
    project: Etl,
    make_store: Callable[..., EnvironmentStore],
    capsys: pytest.CaptureFixture[str],
    steps: list[object],
    logged: str,
) -> None:
    """What it has and the flow's environment lacks is a warning that names the settings; otherwise nobody needs it."""
    store = make_store()
    checkout = pull({"pull_steps": steps}, Settings.from_environ(os.environ), store.log, None)
    flow = find_project(project.directory, None, store.settings)
    environment = store.environment(flow)
    capsys.readouterr()
    for path in checkout.virtual_environments:
        log_unused_environment(path, environment.path, flow, store.log)
    assert capsys.readouterr().err.replace(f"{project.directory}/", "") == logged
