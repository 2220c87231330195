"""Extra packages from a Prefect Variable: templated by a real worker, or read when the run starts."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.prefect.conftest import PROJECTS
from tests.stack import PackageIndex, Repository, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

FLOW = '''
from prefect import flow, get_run_logger


@flow
def says():
    """Import the packages that only the Variable names."""
    import bauble
    import trinket

    get_run_logger().info("%s and %s", trinket.SAYS, bauble.SAYS)
'''


@pytest.fixture(scope="module")
def repository(stack: Stack) -> Repository:
    """A project with a flow that needs packages that are not locked."""
    repository = stack.git.create("variable", PROJECTS / "plain")
    (repository.work / "saying.py").write_text(FLOW)
    repository.commit("Add a flow that needs extra packages")
    return repository


@pytest.mark.parametrize(
    ("value", "environment"),
    [
        (["trinket==1.0", "bauble==1.0"], {"PREFECT_UV_EXTRA_PACKAGES": "{{ prefect.variables.%s }}"}),
        pytest.param(
            "trinket==1.0 bauble==1.0",
            {"PREFECT_UV_EXTRA_PACKAGES": "{{ prefect.variables.%s }}"},
            marks=pytest.mark.full,
        ),
        (["trinket==1.0", "bauble==1.0"], {"PREFECT_UV_EXTRA_PACKAGES_VARIABLE": "%s"}),
    ],
    ids=["templated list", "templated text", "list at run time"],
)
def test_variable(
    stack: Stack, repository: Repository, index: PackageIndex, value: Any, environment: dict[str, str]
) -> None:
    """A list or a string works in a placeholder that the worker resolves, and a list works by the Variable's name."""
    index.publish("bauble", "1.0", f"SAYS = 'gleam {uuid4()}'\n")
    name = f"packages_{uuid4().hex}"
    stack.api.set_variable(name, value)
    more = {key: text % name for key, text in environment.items()}
    deployment = stack.deploy("variable", "saying.py:says", [git_clone(repository.url)])
    run = stack.run_and_wait(deployment, environment={"UV_INDEX": index.url, **more})
    assert run.state.name == "Completed", run.report()
    assert "clink" in run.messages, run.report()
    assert "gleam" in run.messages, run.report()
