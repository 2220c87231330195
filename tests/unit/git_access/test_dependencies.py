"""Dependencies on git repositories: uv's git has the login of the clone if a setting says so, for its host only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import Environment
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import IndexUnreachableError
from prefect_uv.git_access.clone import Clone
from prefect_uv.git_access.git_credentials import Login
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.preparation import prepare
from prefect_uv.pull import pull
from prefect_uv.session import Session
from tests.pull.repositories import package
from tests.unit.conftest import MakeSettings, Origin
from tests.unit.etl import Etl
from tests.unit.git_server import git_server
from tests.unit.http_server import Answer, running_server

PASSWORD = "s3cr3t-t0ken"  # noqa: S105 (planted, to look for it)
SHARED = {"PREFECT_UV_GIT_LOGIN_FOR_DEPENDENCIES": "true"}


@pytest.fixture
def repositories(tmp_path: Path) -> Path:
    """A directory with the repository of a dependency."""
    package(tmp_path / "repositories")
    return tmp_path / "repositories"


@pytest.fixture
def hosted(repositories: Path) -> Iterator[str]:
    """`host:port` of a server that gives the repositories to the user bot with PASSWORD."""
    with git_server(repositories, f"bot:{PASSWORD}") as address:
        yield address


@pytest.fixture
def flows(etl: Etl, repositories: Path, hosted: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a repository, without a login, whose locked project needs the dependency from the same host."""
    etl.write("prefect", f"dep @ git+http://{hosted}/dep")
    pyproject = etl.directory / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("../wheels", str(etl.wheels)))
    local = {"KEY_0": f"url.file://{repositories}/.insteadOf", "VALUE_0": f"http://{hosted}/", "COUNT": "1"}
    with monkeypatch.context() as patch:
        for name, value in local.items():
            patch.setenv(f"GIT_CONFIG_{name}", value)
        etl.lock()
    origin = Origin(repositories / "flows")
    for name in ("pyproject.toml", "uv.lock"):
        origin.commit(name, (etl.directory / name).read_text())
    return f"{hosted}/flows"


@pytest.fixture
def environment_of(
    make_settings: MakeSettings, cache: Path, this_image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Environment]:
    """Pulls a repository into a new directory, and returns the environment of its flow; collects the log's lines."""
    assert this_image
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def pull_and_prepare(repository: str, **variables: str) -> Environment:
        session = Session(make_settings(PREFECT_UV_CACHE_DIR=str(cache), **variables), RunLog(Mask()))
        deployment = {"pull_steps": [{"prefect.deployments.steps.git_clone": {"repository": repository}}]}
        try:
            flow = prepare(session, deployment, pull(deployment, session.settings, session.log, None))
        finally:
            session.cleanup.close()
        os.close(flow.environment.lease)
        return flow.environment

    return pull_and_prepare


def test_login_of_the_clone(
    flows: str, environment_of: Callable[..., Environment], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It gives access to dependencies only if the setting says so; it is in no file and no line of the log."""
    with pytest.raises(IndexUnreachableError) as caught:
        environment_of(f"http://bot:{PASSWORD}@{flows}")
    assert caught.value.headline == "A git server refused access to a dependency."
    assert "PREFECT_UV_GIT_LOGIN_FOR_DEPENDENCIES" in caught.value.hint
    environment = environment_of(f"http://bot:{PASSWORD}@{flows}", **SHARED)
    assert installed_versions(environment.path)["dep"] == "1.0"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
    assert PASSWORD not in capsys.readouterr().err


def test_login_is_for_the_clones_host(
    make_settings: MakeSettings, cache_directory: CacheDirectory, image: Image
) -> None:
    """A dependency on another port of the host does not get it, although uv has it."""
    settings = make_settings()
    clone = Clone(Path(), "http://127.0.0.1:9/flows", Login("bot", PASSWORD))
    with running_server() as other:
        other.on("GET /api/dep/info/refs", Answer(401, headers={"WWW-Authenticate": 'Basic realm="git"'}))
        uv = Uv(settings, image, cache_directory, RunLog(Mask()), clone=clone)
        assert PASSWORD in uv.environ.values()
        finished = uv.run("pip", "install", "--dry-run", "--python", sys.executable, f"dep @ git+{other.url}/dep")
        asked = other.to("GET", "/api/dep/info/refs")
    assert finished.exit_code
    assert [request.headers.get("authorization") for request in asked] == [None] * len(asked)
    assert asked
