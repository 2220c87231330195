"""Programs that other people have written get the variables that they need, and no secret that is not for them."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.errors import CloneError, PackageBuildError
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import find_project
from prefect_uv.project_code import install_project
from prefect_uv.pull import pull
from tests.unit.conftest import MakeSettings
from tests.unit.etl import Etl, sync
from tests.unit.wheels import build_wheel

API = {
    "PREFECT_API_KEY": "pnu_planted-key",
    "PREFECT_API_AUTH_STRING": "admin:planted-word",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"X-Token": "planted-header"}',
    "PREFECT_API_DATABASE_CONNECTION_URL": "postgresql://planted-user@host/db",
    "PREFECT_UV_EXTRA_PACKAGES_VARIABLE": "",
}
PUBLISHING = {"UV_PUBLISH_TOKEN": "planted-token"}
INDEX = {
    "UV_INDEX_CORP_USERNAME": "planted-reader",
    "UV_INDEX_CORP_PASSWORD": "planted-password",
    "UV_INDEX": "corp=http://planted-name:planted-pass@127.0.0.1:9/simple",
    "UV_GITHUB_TOKEN": "planted-github",
}
FLOWS = {
    "DB_PASSWORD": "planted-db",
    "AWS_SECRET_ACCESS_KEY": "planted-aws",
    "WAREHOUSE": "postgresql://planted-owner:planted-phrase@host/db",
    "SLACK_HOOK": "planted-hook",
    "MYSQL_CONFIG": "mysql://planted-mysql:x@host",
    "NODE_AUTH_TOKEN": "planted-node",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "http.https://example.com/.extraHeader",
    "GIT_CONFIG_VALUE_0": "Authorization: Basic planted-git",
}
SECRETS = API | PUBLISHING | INDEX | FLOWS
FOR_BUILDS = {
    "SETUPTOOLS_SCM_PRETEND_VERSION": "1.0",
    "CMAKE_ARGS": "-DX=1",
    "CC": "cc",
    "CFLAGS": "-O1",
    "HDF5_DIR": "/opt/hdf5",
    "USE_BUNDLED": "1",
    "MY_BACKENDS_OWN": "named",
    "PREFECT_UV_TOOL_VARIABLES": "MY_BACKENDS_*",
    "GIT_AUTHOR_NAME": "ada",
    "LANG": "C.UTF-8",
    "HTTPS_PROXY": "http://127.0.0.1:9",
}
BACKEND = """
import base64, hashlib, json, os, pathlib, zipfile

pathlib.Path({dump!r}).write_text(json.dumps(dict(os.environ, _=open("/proc/self/environ").read())))

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = "{name}-1.0.dist-info"
    files = {{
        "{name}.py": "",
        info + "/METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n",
        info + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    digest = lambda text: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
    record = "".join(f"{{n}},sha256={{digest(t)}},{{len(t)}}\\n" for n, t in files.items())
    with zipfile.ZipFile(directory + "/{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, text in {{**files, info + "/RECORD": record + info + "/RECORD,,\\n"}}.items():
            wheel.writestr(path, text)
    return "{name}-1.0-py3-none-any.whl"
"""
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def write_sdist(directory: Path, dump: Path) -> None:
    """Write a source distribution whose build backend stores its environment."""
    project = '[project]\nname = "probe"\nversion = "1.0"\n'
    metadata = "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n"
    backend = BACKEND.format(dump=str(dump), name="probe")
    files = {"pyproject.toml": BUILD_SYSTEM + project, "PKG-INFO": metadata, "backend.py": backend}
    with tarfile.open(directory / "probe-1.0.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"probe-1.0/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def seen(dump: Path) -> dict[str, str]:
    """The environment that a program has stored."""
    variables: dict[str, str] = json.loads(dump.read_text())
    return variables


def expected(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of the given variables that are not ours."""
    return {name: value for name, value in variables.items() if not name.startswith("PREFECT")}


def found(secrets: Mapping[str, str], variables: Mapping[str, str]) -> list[str]:
    """The names whose planted values are visible in some variable."""
    values = "\n".join(variables.values())
    return [name for name, value in secrets.items() if "planted" in value and value in values]


def test_build_backend_of_a_dependency(etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """It gets what the deployment sets for it, and none of Prefect's variables."""
    dump = tmp_path / "environ"
    write_sdist(etl.wheels, dump)
    etl.write("prefect", "probe")
    etl.lock()
    dump.unlink(missing_ok=True)
    sync(make_store(**SECRETS, **FOR_BUILDS), etl)
    assert found(SECRETS, seen(dump)) == []
    assert {name: seen(dump).get(name) for name in expected(FOR_BUILDS)} == expected(FOR_BUILDS)


def test_build_backend_of_the_project(etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path) -> None:
    """The project's own backend gets the same."""
    dump, target = tmp_path / "environ", tmp_path / "target"
    store = make_store(**SECRETS, **FOR_BUILDS)
    pyproject = etl.directory / "pyproject.toml"
    pyproject.write_text(BUILD_SYSTEM + pyproject.read_text().replace("../wheels", str(etl.wheels)))
    (etl.directory / "backend.py").write_text(BACKEND.format(dump=str(dump), name="etl"))
    etl.lock()
    target.mkdir()
    project = find_project(etl.directory, None, store.settings)
    install_project(store.settings, store.log, project, store.environment(project), target)
    assert found(SECRETS, seen(dump)) == []
    assert {name: seen(dump).get(name) for name in expected(FOR_BUILDS)} == expected(FOR_BUILDS)


def test_code_that_a_package_runs_at_every_start(
    etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """While we check an environment, its .pth files see no secret, not even of an index."""
    dump = tmp_path / "environ"
    line = f"import json, os, pathlib; pathlib.Path({str(dump)!r}).write_text(json.dumps(dict(os.environ)))\n"
    build_wheel(etl.wheels, "helper", "1.0", {"helper.py": "", "helper.pth": line})
    etl.write("prefect", "helper")
    etl.lock()
    sync(make_store(**SECRETS, **FOR_BUILDS), etl)
    assert found(SECRETS, seen(dump)) == []


@pytest.mark.parametrize("named", ["", "MY_*"])
def test_programs_that_git_starts(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """They get what credential helpers read, and what is named for them; neither Prefect's nor an index's."""
    dump, program = tmp_path / "environ", tmp_path / "ssh"
    program.write_text(f"#!/bin/sh\nenv > {dump}\nexit 1\n")
    program.chmod(0o755)
    own = {"GIT_SSH_COMMAND": str(program), "MY_TOKEN": "mine", "PREFECT_UV_TOOL_VARIABLES": named}
    settings = make_settings({**API, **INDEX, **FLOWS, **own})
    monkeypatch.chdir(tmp_path)
    step = {"prefect.deployments.steps.git_clone": {"repository": "ssh://git@127.0.0.1/x"}}
    with pytest.raises(CloneError):
        pull({"pull_steps": [step]}, settings, RunLog(Mask()), None)
    lines = dump.read_text()
    assert found(SECRETS, {"all": lines}) == ["AWS_SECRET_ACCESS_KEY", "GIT_CONFIG_VALUE_0"]
    assert ("MY_TOKEN=mine\n" in lines) == bool(named)


def test_failed_build_names_what_it_did_not_get(
    etl: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """So that nobody has to guess why a build works with uv alone."""
    dump = tmp_path / "gone" / "environ"
    dump.parent.mkdir()
    write_sdist(etl.wheels, dump)
    etl.write("prefect", "probe")
    etl.lock()
    shutil.rmtree(dump.parent)
    with pytest.raises(PackageBuildError) as raised:
        sync(make_store(WAREHOUSE="a", CC="cc"), etl)
    assert "Builds do not get" in raised.value.hint
    assert "WAREHOUSE" in raised.value.hint
    assert " CC" not in raised.value.hint


def test_shell_step(make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script gets everything, as in Prefect: it may call the API."""
    monkeypatch.chdir(tmp_path)
    step = {"prefect.deployments.steps.run_shell_script": {"script": "env", "stream_output": False}}
    checkout = pull({"pull_steps": [step]}, make_settings({**API, **INDEX}), RunLog(Mask()), None)
    planted = {name: value for name, value in {**API, **INDEX}.items() if value}
    assert found(planted, {"all": checkout.outputs["stdout"]}) == list(planted)
