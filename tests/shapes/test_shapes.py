"""Each kind of project in a container: its packages and modules; tests/corpus runs every shape without one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.pins import PREFECT
from tests.shapes.conftest import Shapes

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

REPORT = """
import importlib, importlib.metadata, json
names = {found.name.replace("_", "-") for found in importlib.metadata.distributions()}
print(json.dumps([sorted(names), [importlib.import_module(name).__name__ for name in %r]]))
"""


KNOWN = {"prefect", "prefect-client", "trinket", "bauble"}


@dataclass(frozen=True)
class Case:
    """A project, how it is run, and what it gets.

    Attributes:
        project: its name in tests/projects.
        summary: the beginning of the log line.
        packages: the packages to be installed from the index.
        modules: the project's own modules to import.
        locks: the directories or scripts to lock.
        directory: the working directory.
        variables: job variables without their prefix.
    """

    project: str
    summary: str
    packages: str
    modules: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    directory: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)


HERE = (".",)
MEMBER = "workspace member etl in packages/etl (hatchling, src layout), uv.lock in the workspace root"
CASES = (
    Case(
        "workspace",
        f"{MEMBER}, groups ml",
        "prefect trinket",
        ("etl", "stock"),
        HERE,
        variables={"PACKAGE": "etl", "GROUPS": "ml"},
    ),
    Case("siblings", "package my-app (uv_build, src layout)", "prefect", ("my_app", "my_lib"), ("my_app",), "my_app"),
    Case(
        "script",
        "script flows.py with its lock",
        "prefect trinket",
        ("flows",),
        ("flows.py",),
        variables={"PROJECT": "flows.py"},
    ),
    Case("pylock", "pylock.toml, locked by uv", "prefect trinket", ("flows",), ("pylock.toml",)),
    Case("requirements-local", "requirements file requirements.txt", "prefect trinket", ("lib",)),
    Case("extras", "virtual project etl", "prefect trinket", ("flows",), HERE),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case.project, *case.variables]).lower())
def test_shape(shapes: Shapes, case: Case) -> None:
    """The log names it; exactly the selected packages are installed; its own modules can be imported."""
    project = shapes.copy(case.project, *case.locks)
    variables = {f"PREFECT_UV_{name}": value for name, value in case.variables.items()}
    outcome = shapes.start(project, REPORT % (list(case.modules),), case.directory, variables)
    assert outcome.exit_code == 0, outcome.output
    assert f"prefect-uv: look: {case.summary}" in outcome.stderr
    packages, modules = json.loads(outcome.stdout)
    assert [name for name in packages if name in KNOWN] == case.packages.split()
    assert modules == list(case.modules)


def test_nothing_but_a_flow(shapes: Shapes) -> None:
    """A flow without a project gets the real Prefect that the image was built for."""
    project = shapes.copy("no-pyproject")
    code = "import flows, prefect; print(prefect.__version__, flows.hello.name)"
    outcome = shapes.run(project, code, ".", {})
    assert outcome.exit_code == 0, outcome.output
    assert outcome.stdout.split() == [PREFECT, "hello"]
    line = f"look: no project, script or requirements file: only prefect=={PREFECT}, the image's version"
    assert f"prefect-uv: {line}\n" in outcome.stderr


def test_mistake_is_refused(shapes: Shapes) -> None:
    """It ends with its exit code before anything is built; the unit tests hold the full texts."""
    project = shapes.copy("only-group", ".")
    before = shapes.environments()
    outcome = shapes.start(project, "print('not reached')", environment={"PREFECT_UV_ONLY_GROUPS": "etl"})
    assert (outcome.exit_code, outcome.stdout) == (74, ""), outcome.output
    assert "prefect-uv: error[prefect-missing]: Prefect is not among the selected dependencies" in outcome.stderr
    assert shapes.environments() == before
