"""`prefect-uv warm`, with a real git repository, real builds, and deployments from a scripted API."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from prefect_uv.deployments.warm_command import warm
from prefect_uv.errors import DeploymentNotFoundError, UsageError
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.command_options import read_options
from prefect_uv.recipe import sync
from prefect_uv.session import Session
from tests.unit.conftest import MakeSettings, Origin
from tests.unit.etl import ENGINE, Etl, environments, leftovers
from tests.unit.http_server import Answer, Request, Server
from tests.unit.wheels import build_wheel

pytestmark = pytest.mark.usefixtures("template", "this_image", "empty_directory")

IDENTITY = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
PAGE = 20
LOCKS = 12
DEPLOYMENTS = 50
POOL = {"base_job_template": {"variables": {"properties": {"env": {"default": {"FROM_POOL": "1"}}}}}}


class Outcome(NamedTuple):
    """What a command did: its exit code, the lines of its result, and its log."""

    code: int
    lines: list[str]
    log: str


Command = Callable[..., Outcome]


class Deployments:
    """A server's deployments, with the filters that it understands."""

    def __init__(self, server: Server, url: str) -> None:
        self.documents: list[dict[str, Any]] = []
        self._server = server
        self._url = url
        server.on("POST /api/deployments/filter", self._filter)
        server.on("POST /api/flows/filter", self._flows)
        server.on("GET /api/work_pools/k8s", Answer(body=POOL))

    def add(self, entrypoint: str, **fields: Any) -> None:
        """Deploy a flow."""
        number = len(self.documents)
        clone: dict[str, Any] = {"prefect.deployments.steps.git_clone": {"repository": self._url}}
        document: dict[str, Any] = {
            "id": f"d{number:02}",
            "name": f"d{number:02}",
            "flow_id": f"f{number % 7}",
            "tags": ["nightly"],
        }
        document |= {"work_pool_name": "k8s", "entrypoint": entrypoint, "pull_steps": [clone], **fields}
        self.documents.append(document)
        self._server.on(f"GET /api/deployments/name/flow/{document['name']}", Answer(body=document))

    def _filter(self, request: Request) -> Answer:
        pools = request.json.get("work_pools", {}).get("name", {}).get("any_")
        tags = request.json.get("deployments", {}).get("tags", {}).get("all_", [])
        found = [
            document
            for document in self.documents
            if (not pools or document["work_pool_name"] in pools) and {*tags} <= {*document["tags"]}
        ]
        begin = request.json["offset"]
        return Answer(body=found[begin : begin + PAGE])

    def _flows(self, request: Request) -> Answer:
        ids = request.json["flows"]["id"]["any_"]
        return Answer(body=[{"id": name, "name": "flow"} for name in ids if request.json["offset"] == 0])


@pytest.fixture(scope="package")
def locked(tmp_path_factory: pytest.TempPathFactory, template: Etl) -> Origin:
    """A repository with projects that need different packages, each locked."""
    origin = Origin(tmp_path_factory.mktemp("projects") / "flows")
    build_wheel(origin.path / "wheels", "prefect", "3.8.8", ENGINE)
    for number in range(LOCKS):
        build_wheel(origin.path / "wheels", f"helper{number}", "1.0", {f"helper{number}.py": "x = 1\n"})
        folder = origin.path / f"p{number}"
        folder.mkdir()
        (folder / "flow.py").touch()
        project = Etl(folder, template.directory.parent / "uv-cache")
        project.write("prefect", f"helper{number}")
        project.lock()
    origin.commit("README.md", "projects")
    return origin


@pytest.fixture
def deployments(server: Server, locked: Origin) -> Deployments:
    """The deployments of the server."""
    return Deployments(server, locked.url)


@pytest.fixture
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    (tmp_path / "flows").mkdir()
    monkeypatch.chdir(tmp_path / "flows")


@pytest.fixture
def command(make_settings: MakeSettings, log: RunLog, cache: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command."""

    def run(verb: str, *words: str, **variables: str) -> Outcome:
        options = read_options([verb, *words])
        settings = make_settings({"PREFECT_UV_CACHE_DIR": str(cache), "UV_PYTHON": sys.executable, **variables})
        log.verbose = settings.verbose
        session = Session(settings, log, options)
        capsys.readouterr()
        with session.cleanup:
            code = {"warm": warm, "sync": sync}[verb](session)
        printed = capsys.readouterr()
        return Outcome(code, printed.out.splitlines(), printed.err)

    return run


def test_pool_is_warm_after_one_build_per_lock(deployments: Deployments, command: Command, cache: Path) -> None:
    """A pool of many deployments needs one build for each lock and one checkout; the second time, all are there."""
    for number in range(DEPLOYMENTS):
        deployments.add(f"p{number % LOCKS}/flow.py:main")
    code, lines, log = command("warm", "--pool", "k8s", PREFECT_UV_VERBOSE="true")
    assert code == 0
    assert log.count("Executing deployment step: git_clone") == 1
    assert lines[0].split() == ["DEPLOYMENT", "RESULT", "ENVIRONMENT", "SECONDS", "WHY"]
    assert [line.split()[0] for line in lines[1:-1]] == [f"flow/d{number:02}" for number in range(DEPLOYMENTS)]
    assert lines[-1].startswith("50 deployment(s) with 12 environment(s): 12 built, 38 there, 0 failed (")
    keys = {line.split()[2] for line in lines[1:-1]}
    assert keys == {path.name[:12] for path in environments(cache)}
    assert all(
        [*path.glob("lib/*/site-packages/prefect/__pycache__/flow_engine.*.pyc")] for path in environments(cache)
    )
    assert leftovers(cache) == []
    code, lines, _ = command("warm", "--pool", "k8s")
    assert code == 0
    assert lines[-1].startswith("50 deployment(s) with 12 environment(s): 0 built, 50 there, 0 failed (")


def test_one_failure_stops_no_other(deployments: Deployments, command: Command) -> None:
    """Each deployment that fails has its reason in the table, and the exit code says that one did."""
    deployments.add("p0/flow.py:main")
    deployments.add("nowhere/flow.py:main")
    deployments.add(
        "p1/flow.py:main", pull_steps=[{"prefect.deployments.steps.git_clone": {"repository": "file:///x"}}]
    )
    deployments.add("p1/flow.py:main", job_variables={"env": {"PREFECT_UV_LOCK": "sometimes"}})
    deployments.add("p1/flow.py:main", pull_steps=None, path="/nowhere")
    deployments.add("p2/flow.py:main")
    code, lines, _ = command("warm", "--tag", "nightly")
    assert code == 1
    slugs = ("flow-file-missing", "repository-not-found", "settings-invalid", "pull-step-invalid")
    results = [re.sub(r" +", " ", line.replace(line.split()[0], "", 1)).strip() for line in lines[1:-1]]
    assert [result.partition(" ")[0] for result in results] == ["built", *["failed"] * 4, "built"]
    for result, slug in zip(results[1:5], slugs, strict=True):
        assert f"error[{slug}" in result
    assert "2 built, 0 there, 4 failed (" in lines[-1]


def test_room_for_one_is_not_made_at_the_expense_of_another(
    deployments: Deployments, command: Command, cache: Path
) -> None:
    """All environments of one call are in use until it ends, even if there is room for none."""
    for number in range(3):
        deployments.add(f"p{number}/flow.py:main")
    assert command("warm", "--pool", "k8s", PREFECT_UV_CACHE_LIMIT="1").code == 0
    assert len(environments(cache)) == 3


def test_build_that_fails_is_not_repeated(
    deployments: Deployments, command: Command, locked: Origin, tmp_path: Path
) -> None:
    """Deployments that would build the same get the error of the first one."""
    without_wheel = shutil.copytree(locked.path, tmp_path / "without-wheel")
    (wheel,) = without_wheel.glob("wheels/helper0-*")
    wheel.unlink()
    subprocess.run(
        ["git", "-C", str(without_wheel), *IDENTITY, "commit", "--quiet", "-am", "x"], check=True, timeout=20
    )
    steps = [{"prefect.deployments.steps.git_clone": {"repository": f"file://{without_wheel}"}}]
    for _ in range(2):
        deployments.add("p0/flow.py:main", pull_steps=steps)
    lines = command("warm", "--pool", "k8s").lines
    assert [line.split()[1] for line in lines[1:3]] == ["failed", "failed"]
    assert "(Remembered: " not in lines[1]
    assert "(Remembered: " in lines[2]


def test_deployment_has_the_variables_of_its_runs(
    deployments: Deployments, command: Command, cache: Path, locked: Origin
) -> None:
    """Two deployments of one project that select different packages get an environment each."""
    deployments.add("p0/flow.py:main")
    deployments.add("p0/flow.py:main", job_variables={"env": {"PREFECT_UV_EXTRA_PACKAGES": "helper1==1.0"}})
    find = {"UV_FIND_LINKS": str(locked.path / "wheels")}
    assert (
        command("warm", "--deployment", "flow/d01", **find)
        .lines[-1]
        .startswith("1 deployment(s) with 1 environment(s)")
    )
    assert len(environments(cache)) == 2  # the project's own, and the one with the extra package
    assert (
        command("warm", "--pool", "k8s", **find)
        .lines[-1]
        .startswith("2 deployment(s) with 2 environment(s): 0 built, 2 there, 0 failed")
    )
    assert command("sync", "--deployment", "flow/d01", **find).code == 0
    assert len(environments(cache)) == 2


def test_nothing_chosen_is_an_error(deployments: Deployments, command: Command) -> None:
    """Neither the whole server is warmed by mistake, nor does a wrong name look like success."""
    with pytest.raises(UsageError, match="does not know which deployments"):
        command("warm")
    with pytest.raises(DeploymentNotFoundError) as error:
        command("warm", "--pool", "k9s")
    assert "--pool k9s" in error.value.found
    with pytest.raises(DeploymentNotFoundError, match="flow/other"):
        command("sync", "--deployment", "flow/other")
    with pytest.raises(UsageError, match="not the full name"):
        command("warm", "--deployment", "d00")
    deployments.add("p0/flow.py:main")
    with pytest.raises(UsageError, match="a flow run and a deployment"):
        command("sync", "--deployment", "flow/d00", PREFECT__FLOW_RUN_ID=str(uuid4()))
