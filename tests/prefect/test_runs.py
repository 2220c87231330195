"""Successful flow runs through a real worker; of us, the deployments know only the image."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import pytest

from tests.prefect.conftest import PROJECTS
from tests.stack import POOL, CacheVolume, Repository, Run, Stack, git_clone
from tests.stack.environment import job_volumes, unreachable_network

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]

SUMMARY = re.compile(r"ready in \d+ ms: read \d+, ask \d+, pull \d+, look \d+, sync \d+ \((hit|miss) [0-9a-f]{12}\)")


def _environment_phase(run: Run) -> list[str]:
    return SUMMARY.findall(run.messages)


def test_second_run_is_a_hit_without_network(stack: Stack, plain: Repository, cache: CacheVolume) -> None:
    """The first run builds the environment; the second finds it without network access.

    On two processors, it starts its engine early, and that imports from the bundle that the first one has left. Its
    record says what it was started from.
    """
    deployment = stack.deploy(
        "cold-and-warm", "flows.py:hello", [git_clone(plain.url)], volumes=job_volumes(cache.name)
    )
    cold = stack.run_and_wait(deployment)
    assert cold.state.name == "Completed", cold.report()
    assert _environment_phase(cold) == ["miss"], cold.report()
    more = {"PREFECT_UV_VERBOSE": "true", "PREFECT_UV_RECORD": "stderr,artifact"}
    environment = {**unreachable_network(stack.containers.gateway), **more}
    warm = stack.run_and_wait(deployment, environment=environment, expected=['^{"record": 1, .+"error": null'])
    assert warm.state.name == "Completed", warm.report()
    assert _environment_phase(warm) == ["hit"], warm.report()
    assert ("the engine was started early" in warm.messages) == (len(os.sched_getaffinity(0)) > 1), warm.report()
    (line,) = (line for line in warm.outcome.stderr.splitlines() if line.startswith("{"))
    record = json.loads(line)
    assert (record["environment"]["hit"], record["code"][0]["remote"]) == (True, plain.url)
    assert re.fullmatch(r"[0-9a-f]{40}", record["code"][0]["commit"])
    assert record["received"] > 0
    assert "imports-v1" in cache.run("sh", "-c", "ls /cache/envs/v1/*")
    assert cache.leftovers() == []


@pytest.fixture(scope="module")
def run(stack: Stack, plain: Repository) -> Run:
    """A run with parameters, whose result is to be persisted."""
    deployment = stack.deploy("parameters", "flows.py:hello", [git_clone(plain.url)])
    persist = {"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true"}
    return stack.run_and_wait(deployment, {"name": "Ada", "times": 3}, environment=persist)


def test_parameters_arrive(run: Run) -> None:
    """The engine gets the flow run's parameters with their types."""
    assert run.state.name == "Completed", run.report()
    assert "hello Ada x3" in run.messages


def test_container_is_hardened(run: Run) -> None:
    """The tests' pool runs flows with a read-only root, without capabilities and without a way to get more rights."""
    host = run.container.attrs["HostConfig"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["SecurityOpt"]) == (True, ["ALL"], ["no-new-privileges"])
    assert host["Tmpfs"] == {"/tmp": ""}


def test_result_is_persisted_without_a_writable_home(run: Run) -> None:
    """Prefect stores results for as long as the container lives, as it does where the home is writable."""
    assert "/prefect-uv-home-" in str(run.state.data.storage_key), run.report()


def test_summary_is_on_stderr_and_in_the_log(run: Run) -> None:
    """The container's stderr and the flow run's log have the same lines."""
    assert len(SUMMARY.findall(run.outcome.stderr)) == 1, run.report()
    ours = [log.message for log in run.logs if log.name == "prefect_uv"]
    on_stderr = [line for line in run.outcome.stderr.splitlines() if line.startswith("prefect-uv: ")]
    assert [line.removeprefix("prefect-uv: ") for line in on_stderr] == ours, run.report()


def test_deployment_made_by_prefect_deploy(stack: Stack, plain: Repository) -> None:
    """A prefect.yaml that only sets `image:` works as `prefect deploy` registers it."""
    deployment: dict[str, Any] = {
        "name": "by-cli",
        "entrypoint": "flows.py:hello",
        "parameters": {"name": "CLI"},
        "work_pool": {"name": POOL, "job_variables": {"image": stack.image}},
    }
    manifest = {"name": "plain", "pull": [git_clone(plain.url)], "deployments": [deployment]}
    (plain.work / "prefect.yaml").write_text(json.dumps(manifest))
    (deployment_id,) = stack.prefect_deploy(plain.work, ["hello/by-cli"])
    run = stack.run_and_wait(deployment_id)
    assert run.state.name == "Completed", run.report()
    assert "hello CLI x1" in run.messages


def test_undecorated_function(stack: Stack, plain: Repository) -> None:
    """A plain function as the entrypoint runs as a flow."""
    deployment = stack.deploy("undecorated", "flows.py:undecorated", [git_clone(plain.url)])
    run = stack.run_and_wait(deployment, {"path": "/cache/undecorated", "text": "was here"})
    assert run.state.name == "Completed", run.report()
    assert stack.cache.run("cat", "/cache/undecorated") == "was here"


def test_module_path_entrypoint(stack: Stack, plain: Repository) -> None:
    """A module path as the entrypoint is imported from the project."""
    run = stack.run_and_wait(stack.deploy("module-path", "flows.hello", [git_clone(plain.url)]))
    assert run.state.name == "Completed", run.report()
    assert "hello world x1" in run.messages


@pytest.mark.parametrize(
    "entrypoint", ["src/shop/flows.py:report", pytest.param("shop.flows.report", marks=pytest.mark.full)]
)
def test_src_layout(stack: Stack, src_layout: Repository, entrypoint: str) -> None:
    """A package in a src layout is importable, for both forms of entrypoint; tests/corpus has the second."""
    run = stack.run_and_wait(stack.deploy("src-layout", entrypoint, [git_clone(src_layout.url)]))
    assert run.state.name == "Completed", run.report()
    assert "total 123" in run.messages


@pytest.fixture(scope="module")
def src_layout(stack: Stack) -> Repository:
    """A repository with a project in a src layout."""
    return stack.git.create("src-layout", PROJECTS / "src-layout")


def test_failing_flow(stack: Stack, plain: Repository) -> None:
    """A flow that raises ends Failed, and the container with 0: this is not a crash."""
    expected = ["fails on purpose", "Traceback", "Engine execution exited with unexpected exception"]
    deployment = stack.deploy("failing", "flows.py:failing", [git_clone(plain.url)])
    run = stack.run_and_wait(deployment, expected=expected)
    assert run.state.name == "Failed", run.report()
    assert run.outcome.exit_code == 0, run.report()


def test_exit_code_passes_through(stack: Stack, plain: Repository) -> None:
    """The container ends with the engine's exit code, and the run is Crashed."""
    deployment = stack.deploy("exiting", "flows.py:exiting", [git_clone(plain.url)])
    run = stack.run_and_wait(deployment, {"code": 3}, expected=["exited with", "exit code 3", "crash", "Crash"])
    assert run.outcome.exit_code == 3, run.report()
    assert run.state.name == "Crashed", run.report()
