"""`prefect-uv doctor --project` and `--deployment`, with a real uv, a real git repository, and a scripted API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.command_line import VERBS
from prefect_uv.forecast.forecast_command import examine
from prefect_uv.image_facts import Image
from prefect_uv.recipe import sync
from prefect_uv.start import start
from tests.unit.etl import Etl, environments
from tests.unit.http_server import Answer, Server
from tests.unit.wheels import build_wheel

pytestmark = pytest.mark.usefixtures("this_image")

IDENTITY = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
CLONE = "prefect.deployments.steps.git_clone"
Doctor = Callable[..., "tuple[int, dict[str, Any]]"]


@pytest.fixture(autouse=True)
def in_project(etl: Etl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory is the project."""
    monkeypatch.chdir(etl.directory)


@pytest.fixture
def variables(server: Server, cache: Path) -> dict[str, str]:
    """A container's variables."""
    server.on("GET /api/admin/version", Answer(body="3.9.1"))
    own = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    return {**own, "PREFECT_API_URL": server.url, "PREFECT_UV_CACHE_DIR": str(cache)}


@pytest.fixture
def doctor(variables: dict[str, str], cache: Path, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs doctor with --json; whatever it finds, it changes nothing on the volume."""

    def run(*words: str, **more: str) -> tuple[int, dict[str, Any]]:
        before = _files(cache)
        code = start(examine, {**variables, **more}, ["doctor", "--json", *words])
        assert _files(cache) == before
        facts: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, facts

    return run


def _files(folder: Path) -> dict[str, int]:
    """The files, but the lock that uv leaves in an environment when it is asked about additions to it (uv 0.13.9)."""
    files = (path for path in folder.rglob("*") if not path.is_dir() and path.name != ".lock")
    return {str(path): path.lstat().st_mtime_ns for path in files}


@pytest.fixture
def deployed(etl: Etl, server: Server, tmp_path: Path) -> dict[str, Any]:
    """A deployment of the project, which is in a repository."""
    repository = tmp_path / "repository"
    shutil.copytree(etl.directory, repository, ignore=lambda *_: [".git"])
    pyproject = repository / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("../wheels", str(etl.wheels)))
    (repository / "flow.py").write_text("")
    subprocess.run(["uv", "lock", "--quiet", "--no-cache"], cwd=repository, check=True, timeout=20)
    for words in (["init", "--quiet"], ["add", "--all"], [*IDENTITY, "commit", "--quiet", "--message", "x"]):
        subprocess.run(["git", *words], cwd=repository, check=True, timeout=20)
    steps: list[Any] = [{CLONE: {"repository": f"file://{repository}"}}]
    document: dict[str, Any] = {"id": "d1", "name": "daily", "flow_id": "f1", "entrypoint": "flow.py:main"}
    document |= {"pull_steps": steps, "job_variables": {"env": {"UV_NO_BUILD": "1"}}}
    server.on("GET /api/deployments/name/etl/daily", Answer(body=document))
    return document


def test_project_without_its_environment(doctor: Doctor, cache: Path, image: Image) -> None:
    """Before the first start: the shape, the Python, the key, and that it has to be built."""
    code, facts = doctor("--project")
    assert code == 0
    assert (facts["project"], facts["shape"], facts["environment"]) == ("etl", "virtual project", "miss")
    assert facts["python"] == f"{image.python_version} (the image's)"
    assert facts["why"] == f"environment {facts['key'][:12]} is the first one here for etl"
    assert facts["result"] == "a start would build the environment"
    assert facts["api"].endswith("/api is Prefect 3.9.1")
    assert (facts["packages"], facts["error"]) == (1, None)
    assert environments(cache) == []


def test_policy_about_the_environment(doctor: Doctor, variables: dict[str, str]) -> None:
    """What the policy says is known after the first start with it; a start that it would refuse is one that fails."""
    rules = {"PREFECT_UV_POLICY": "warn", "PREFECT_UV_POLICY_LICENSES": "MIT"}
    assert doctor("--project", **rules)[1]["policy"] == "warn: the start works out what it says"
    assert start(sync, {**variables, **rules}, ["sync"]) == 0
    code, facts = doctor("--project", **rules)
    assert (code, facts["policy"]) == (0, "warn: prefect 3.8.8 names no license")
    code, facts = doctor("--project", **{**rules, "PREFECT_UV_POLICY": "refuse"})
    assert (code, facts["error"]["slug"]) == (76, "policy-violated")
    assert "policy" not in doctor("--project")[1]


def test_project_whose_environment_is_there(doctor: Doctor, variables: dict[str, str], etl: Etl, cache: Path) -> None:
    """After a start: what was foretold is there; and after a change of the lock, what changes."""
    _, before = doctor("--project")
    assert start(sync, variables, ["sync"]) == 0
    code, facts = doctor("--project", str(etl.directory))
    assert (code, facts["environment"], facts["result"]) == (0, "hit", "a start would find the environment")
    assert facts["why"] == "what it is made from is known here, and has not changed"
    assert [facts["key"]] == [before["key"]] == [path.name for path in environments(cache)]
    build_wheel(etl.wheels, "helper", "1.0", {"helper.py": ""})
    etl.write("prefect", "helper")
    etl.lock()
    _, changed = doctor("--project")
    old, new = facts["key"][:12], changed["key"][:12]
    assert changed["why"] == f"environment {new} is new; changes from {old}: + helper 1.0"


def test_project_that_cannot_start(doctor: Doctor, etl: Etl) -> None:
    """The error, the hint and the exit code are those that the start would have."""
    (etl.directory / "uv.lock").unlink()
    code, facts = doctor("--project", PREFECT_API_URL="")
    assert (code, facts["result"], facts["error"]["slug"]) == (
        73,
        "a start would fail: lockfile-missing",
        "lockfile-missing",
    )
    assert "Run `uv lock`" in facts["error"]["hint"]
    assert facts["api"] == "PREFECT_API_URL is not set"


def test_python_that_has_to_be_downloaded(doctor: Doctor, etl: Etl) -> None:
    """doctor downloads no Python: it says that a start would try to, or fails as the start would."""
    (etl.directory / ".python-version").write_text("3.99\n")
    code, facts = doctor("--project")
    assert (code, facts["environment"], facts["key"]) == (0, "miss", None)
    assert facts["why"].endswith("which is not available here. uv would try to download it.")
    code, facts = doctor("--project", UV_PYTHON_DOWNLOADS="never")
    assert (code, facts["error"]["slug"]) == (75, "python-missing")


def test_project_with_extra_packages(doctor: Doctor, variables: dict[str, str]) -> None:
    """What a deployment adds is resolved if the project's environment is there, and found once it was built."""
    extra = {"PREFECT_UV_EXTRA_PACKAGES": "helper==1.0"}
    _, first = doctor("--project", **extra)
    assert (first["environment"], first["key"]) == ("miss", None)
    assert first["why"].endswith("its extra packages are resolved when that environment is there")
    assert start(sync, variables, ["sync"]) == 0
    _, second = doctor("--project", **extra)
    assert (second["environment"], second["packages"]) == ("miss", 2)
    assert start(sync, {**variables, **extra}, ["sync"]) == 0
    _, third = doctor("--project", **extra)
    assert (third["environment"], third["key"]) == ("hit", second["key"])


def test_index_that_cannot_be_reached(doctor: Doctor, etl: Etl, server: Server) -> None:
    """Before a build, the indexes of the lock are asked: one that does not answer is named."""
    etl.move_to(server)
    _, facts = doctor("--project")
    assert facts["indexes"] == [{"index": server.url, "reached": True, "answer": "answers 200"}]
    etl.edit_lock('http://127[^"]+/api"', 'http://127.0.0.1:9/api"')
    _, facts = doctor("--project", PREFECT_UV_LOCK="frozen")
    assert facts["result"] == "a start would build the environment, but cannot reach http://127.0.0.1:9/api"


def test_deployment(doctor: Doctor, deployed: dict[str, Any], variables: dict[str, str]) -> None:
    """The code of a deployment is pulled into a directory that is removed, and its variables count."""
    code, facts = doctor("--deployment", "etl/daily")
    assert (code, facts["deployment"], facts["entrypoint"]) == (0, "etl/daily", "flow.py:main")
    assert (facts["project"], facts["environment"], facts["left_out"]) == ("etl", "miss", [])
    assert facts["code"][0].startswith(deployed["pull_steps"][0][CLONE]["repository"])
    assert start(sync, variables, ["sync", "--deployment", "etl/daily"]) == 0
    _, after = doctor("--deployment", "etl/daily")
    assert (after["environment"], after["key"]) == ("hit", facts["key"])


def test_steps_of_a_deployment_that_run_programs_are_left_out(doctor: Doctor, deployed: dict[str, Any]) -> None:
    """A script of a deployment is named and not run; if the code may come from it, nothing is foretold."""
    shell = {"prefect.deployments.steps.run_shell_script": {"script": "touch /tmp/ran"}}
    deployed["pull_steps"].append(shell)
    _, facts = doctor("--deployment", "etl/daily")
    assert (facts["left_out"], facts["environment"]) == ([*shell], "miss")
    deployed["pull_steps"] = [shell]
    code, facts = doctor("--deployment", "etl/daily")
    assert code == 0
    assert facts["result"].startswith("not known: prefect.deployments.steps.run_shell_script may fetch the code")


@pytest.mark.parametrize(
    ("repository", "api", "slug", "exit_code"),
    [("file:///nowhere", "", "repository-not-found", 71), ("", "http://127.0.0.1:9/api", "api-unreachable", 67)],
)
def test_deployment_that_cannot_be_reached(  # noqa: PLR0913, PLR0917 (a row of the table)
    doctor: Doctor, deployed: dict[str, Any], repository: str, api: str, slug: str, exit_code: int
) -> None:
    """A repository or an API that cannot be reached is the error of the start."""
    deployed["pull_steps"] = [{CLONE: {"repository": repository}}]
    code, facts = doctor("--deployment", "etl/daily", **({"PREFECT_API_URL": api} if api else {}))
    assert (code, facts["error"]["slug"]) == (exit_code, slug)


def test_words_for_people(variables: dict[str, str], etl: Etl, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json there is a line for each fact, and the error as the log would have it."""
    assert VERBS["doctor"] == (examine.__module__, "examine")
    assert start(examine, variables, ["doctor", "--project"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "environment     miss" in lines
    assert lines[-1] == "result          a start would build the environment"
    (etl.directory / "uv.lock").unlink()
    assert start(examine, variables, ["doctor", "--project"]) == 73
    assert "\n\nerror[lockfile-missing]: " in capsys.readouterr().out
