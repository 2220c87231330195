"""Each shape of project gets the packages of its selection and its own modules, and each mistake is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

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
ETL = ("etl", "stock")
CASES = (
    Case("plain", "virtual project plain, uv.lock next to it", "prefect", ("flows",), HERE),
    Case("src-layout", "package shop (uv_build, src layout)", "prefect", ("shop.prices",), HERE),
    Case("package-hatchling", "package shop (hatchling)", "prefect", ("shop",), HERE),
    Case("package-setuptools", "package shop (setuptools, src layout)", "prefect", ("shop",), HERE),
    Case("workspace", MEMBER, "prefect", ETL, HERE, variables={"PROJECT": "packages/etl"}),
    Case(
        "workspace", f"{MEMBER}, groups ml", "prefect trinket", ETL, HERE, variables={"PACKAGE": "etl", "GROUPS": "ml"}
    ),
    Case("workspace", MEMBER, "bauble prefect", ETL, HERE, variables={"PACKAGE": "etl", "EXTRAS": "charts"}),
    Case("workspace", MEMBER, "prefect trinket", ETL, HERE, variables={"PACKAGE": "etl", "GROUPS": "nightly"}),
    Case("workspace-without-project", "workspace project", "prefect trinket", ("flows",), HERE),
    Case("siblings", "package my-app (uv_build, src layout)", "prefect", ("my_app", "my_lib"), ("my_app",), "my_app"),
    Case("prefect-client", "virtual project etl", "prefect-client", (), HERE),
    Case("prefect-in-group", "virtual project etl", "prefect trinket", ("flows",), HERE, variables={"GROUPS": "flows"}),
    Case("prefect-in-group", "virtual project etl", "prefect", ("flows",), HERE, variables={"ONLY_GROUPS": "flows"}),
    Case("script", "script flows.py without a lock", "prefect trinket", ("flows",), variables={"PROJECT": "flows.py"}),
    Case(
        "script",
        "script flows.py with its lock",
        "prefect trinket",
        ("flows",),
        ("flows.py",),
        variables={"PROJECT": "flows.py"},
    ),
    Case("requirements", "requirements file requirements.txt", "prefect trinket", ("flows",)),
    Case(
        "requirements-without-prefect", "requirements file requirements.txt; prefect==3.8.8 is added", "prefect trinket"
    ),
    Case("requirements-local", "requirements file requirements.txt", "prefect trinket", ("lib",)),
    Case(
        "requirements-folder",
        "requirements files requirements/base.txt, requirements/etl.txt",
        "prefect trinket",
        variables={"REQUIREMENTS": "requirements/*.txt"},
    ),
    Case(
        "requirements-and-lock",
        "virtual project etl, uv.lock next to it; requirements.txt is not used",
        "prefect",
        (),
        HERE,
    ),
    Case(
        "requirements-and-no-lock",
        "requirements file requirements.txt, because pyproject.toml has no uv.lock",
        "prefect",
    ),
    Case("no-pyproject", "no project, script or requirements file", "prefect", ("flows",)),
    Case("extras", "virtual project etl", "prefect trinket", ("flows",), HERE),
    Case(
        "extras",
        "virtual project etl",
        "bauble prefect",
        ("flows",),
        HERE,
        variables={"EXTRA_REQUIREMENTS": "flows/*.txt"},
    ),
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
    assert outcome.stdout.split() == ["3.8.8", "hello"]
    line = "look: no project, script or requirements file: only prefect==3.8.8, the image's version"
    assert f"prefect-uv: {line}\n" in outcome.stderr


@dataclass(frozen=True)
class Refusal:
    """A mistake, and the error that it ends in.

    Attributes:
        project: its name in tests/projects.
        exit_code: the container's exit code.
        headline: the slug and the beginning of the headline.
        locks: the directories or scripts to lock.
        variables: job variables without their prefix.
    """

    project: str
    exit_code: int
    headline: str
    locks: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


REFUSALS = (
    Refusal("workspace", 65, "selection-invalid]: PREFECT_UV_GROUPS names spark", HERE, {"GROUPS": "spark"}),
    Refusal("workspace", 72, "project-missing]: PREFECT_UV_PROJECT names web", HERE, {"PROJECT": "web"}),
    Refusal(
        "workspace",
        73,
        "lockfile-missing]: No uv.lock in /project/packages/apart.",
        HERE,
        {"PROJECT": "packages/apart"},
    ),
    Refusal(
        "only-group",
        74,
        "prefect-missing]: Prefect is not among the selected dependencies",
        HERE,
        {"ONLY_GROUPS": "etl"},
    ),
    Refusal(
        "script-without-prefect",
        74,
        "prefect-missing]: Prefect is not among the dependencies of flows.py.",
        ("flows.py",),
        {"PROJECT": "flows.py"},
    ),
    Refusal("requirements-hashed", 74, "prefect-missing]: Prefect is not among the hashed requirements"),
    Refusal("requirements-include-missing", 72, "requirements-missing]: /project/requirements.txt includes base.txt"),
    Refusal("requirements-local-missing", 72, "dependency-unreachable]: /project/requirements.txt installs ./lib"),
)


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: "-".join([case.project, *case.variables]).lower())
def test_mistake_is_refused(shapes: Shapes, case: Refusal) -> None:
    """It ends with its exit code before anything is built; the unit tests hold the full texts."""
    project = shapes.copy(case.project, *case.locks)
    before = shapes.environments()
    variables = {f"PREFECT_UV_{name}": value for name, value in case.variables.items()}
    outcome = shapes.start(project, "print('not reached')", environment=variables)
    assert (outcome.exit_code, outcome.stdout) == (case.exit_code, ""), outcome.output
    assert f"prefect-uv: error[{case.headline}" in outcome.stderr
    assert shapes.environments() == before
