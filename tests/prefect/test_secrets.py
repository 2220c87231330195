"""The credentials of a flow run appear in no log, state, process list or file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.prefect.conftest import PROJECTS
from tests.prefect.hunt import Planted, hunt, in_files, in_volume
from tests.stack import EXCHANGE, WRITABLE, GitServer, PackageIndex, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

API_KEY = "pnu_3f1c9a7e5b2d4c68"
GIT_TOKEN = "ghp-8d'2b\\6e%0a\"1c ä97"  # noqa: S105 - planted to be looked for
INDEX_TOKEN = "pypi-71c5/e9d3@b8a2f604"  # noqa: S105 - planted to be looked for
SLOW = 0.5
"""Seconds that git server and index take to respond, so that their clients appear in the process list."""


SECRETS = "/run/secrets"
NAMED = {"UV_INDEX_LOCAL_USERNAME": "ci", "UV_INDEX_LOCAL_PASSWORD": INDEX_TOKEN}

FILES: dict[str, str] = {
    "index-password": f"{INDEX_TOKEN}\n",
    "api-key": f"{API_KEY}\n",
    "netrc": f"machine %(host)s login ci password {INDEX_TOKEN}\n",
}


def with_token(index: PackageIndex, token: str) -> str:
    """The index's address with a token in it."""
    return index.url.replace("://", f"://ci:{quote(token, safe='')}@")


INDEX_CREDENTIALS: dict[str, Callable[[PackageIndex], dict[str, str]]] = {
    "in-variables": lambda _: {**NAMED, "PREFECT_API_KEY": f"{API_KEY}\n"},
    "in-the-url": lambda index: {
        "UV_INDEX": f"local={with_token(index, INDEX_TOKEN)}",
        "PREFECT_API_KEY": API_KEY,
    },
    "in-files": lambda _: {
        "UV_INDEX_LOCAL_USERNAME": "ci",
        "UV_INDEX_LOCAL_PASSWORD_FILE": f"{SECRETS}/index-password",
        "PREFECT_API_KEY_FILE": f"{SECRETS}/api-key",
    },
    "in-netrc": lambda _: {"NETRC": f"{SECRETS}/netrc", "PREFECT_API_KEY_FILE": f"{SECRETS}/api-key"},
}


def mounted(folder: Path, index: PackageIndex) -> list[str]:
    """Volumes for files with one secret each, as an orchestrator mounts them."""
    for name, content in FILES.items():
        (folder / name).write_text(content % {"host": index.address.partition(":")[0]})
    return [f"{folder / name}:{SECRETS}/{name}:ro" for name in FILES]


@pytest.fixture
def private_git(stack: Stack, tmp_path: Path) -> Iterator[GitServer]:
    """A slow git server that requires a token."""
    with GitServer.start(stack.containers.gateway, tmp_path, GIT_TOKEN, SLOW) as running:
        yield running


@pytest.fixture
def private_index(stack: Stack) -> Iterator[PackageIndex]:
    """A slow index that requires a token."""
    with PackageIndex.start(stack.containers.gateway, INDEX_TOKEN, SLOW) as running:
        running.publish("trinket", "1.0", f"SAYS = 'clink {uuid4()}'\n")
        yield running


LONG = {"in-files"}
"""Left out by `make test`: the other tests have a file with the index's password, and one with the API's key."""
FORMS = [pytest.param(form, marks=[pytest.mark.full] if form in LONG else []) for form in INDEX_CREDENTIALS]


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_is_found(  # noqa: PLR0913, PLR0917 (fixtures)
    stack: Stack, private_git: GitServer, private_index: PackageIndex, form: str, exchange: Path, tmp_path: Path
) -> None:
    """Plant an auth string, an API key, a token in the git URL and one for the index; look everywhere."""
    addresses = {"http://index.invalid/simple": private_index.url}
    repository = private_git.create("private", PROJECTS / "private-index", replace=addresses, environment=NAMED)
    url = repository.url.replace("://", f"://ada:{quote(GIT_TOKEN, safe='')}@")
    planted = Planted((stack.server.auth_string, API_KEY, f"ada:{GIT_TOKEN}", f"ci:{INDEX_TOKEN}"))
    deployment = stack.api.deploy("secrets", "flows.py:waiting", [git_clone(url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    environment = INDEX_CREDENTIALS[form](private_index)
    volumes = mounted(tmp_path, private_index)
    container = stack.start_directly(flow_run, environment, exchange=exchange, volumes=volumes, **WRITABLE)
    found = hunt(stack, flow_run, container, exchange, planted)
    assert re.search(r"\bgit clone|git-remote-http", found.command_lines), found.command_lines
    assert re.search(r"\buv .*\b(sync|install)", found.command_lines), found.command_lines
    environs = (exchange / "environ").read_bytes()
    assert bool(Planted((f"ci:{INDEX_TOKEN}",)).found_in(environs)) == (form in {"in-variables", "in-the-url"})
    assert API_KEY.encode() in environs, "the engine has the API's key"
    assert in_files(container, Planted(("import trinket",))), "the search does not work"
    assert in_volume(stack.cache, Planted(("clink",))), "the search does not work"


def test_no_secret_is_found_when_the_index_refuses(
    stack: Stack, private_git: GitServer, private_index: PackageIndex, tmp_path: Path
) -> None:
    """A wrong password in a file and in a variable of pip appears neither in the error nor on the volume."""
    addresses = {"http://index.invalid/simple": private_index.url}
    private_index.publish("trinket", "1.0", f"SAYS = 'clank {uuid4()}'\n")
    repository = private_git.create("closed", PROJECTS / "private-index", replace=addresses, environment=NAMED)
    file, token = tmp_path / "index-password", "pypi-wrong/5a9c@2e7d"
    file.write_text(token)
    environment = {
        "UV_INDEX_LOCAL_USERNAME": "ci",
        "UV_INDEX_LOCAL_PASSWORD_FILE": f"{SECRETS}/index-password",
        "PIP_EXTRA_INDEX_URL": with_token(private_index, token),
    }
    url = repository.url.replace("://", f"://ada:{quote(GIT_TOKEN, safe='')}@")
    flow_run = stack.api.create_run(stack.api.deploy("closed", "flows.py:waiting", [git_clone(url)]))
    stack.api.submit(flow_run)
    container = stack.start_directly(flow_run, environment, volumes=[f"{file}:{SECRETS}/index-password:ro"], **WRITABLE)
    run = stack.finish(flow_run, container)
    planted = Planted((f"ci:{token}", f"ada:{GIT_TOKEN}"))
    assert "error[index-unauthorized]" in run.outcome.stderr, run.report()
    assert "pip's variables used for uv: PIP_EXTRA_INDEX_URL as UV_INDEX" in run.messages, run.report()
    assert run.outcome.exit_code == 76, run.report()
    assert planted.found_in(run.report().encode()) == []
    assert in_files(container, planted) == {}
    assert in_volume(stack.cache, planted) == []


def test_no_secret_is_found_when_the_clone_fails(stack: Stack, private_git: GitServer) -> None:
    """The error of a refused clone quotes git without the credentials."""
    repository = private_git.create("refusing", PROJECTS / "no-pyproject", lock=False)
    token = "ghp-wrong-5a9c2e7d"  # noqa: S105 - planted to be looked for
    deployment = stack.api.deploy(
        "refused", "flows.py:hello", [git_clone(repository.url.replace("://", f"://ada:{token}@"))]
    )
    flow_run = stack.api.create_run(deployment)
    stack.api.submit(flow_run)
    container = stack.start_directly(flow_run, **WRITABLE)
    run = stack.finish(flow_run, container)
    planted = Planted((f"ada:{token}", stack.server.auth_string))
    assert "error[git-unauthorized]" in run.outcome.stderr, run.report()
    assert run.outcome.exit_code == 71, run.report()
    assert planted.found_in(run.report().encode()) == []
    assert in_files(container, planted) == {}
