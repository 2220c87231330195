"""Credentials that a flow run is given are in no log, state, process list or file."""

from __future__ import annotations

import base64
import re
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.prefect.conftest import PROJECTS
from tests.stack import EXCHANGE, CacheVolume, GitServer, PackageIndex, Stack, git_clone

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

API_KEY = "pnu_3f1c9a7e5b2d4c68"
GIT_TOKEN = "ghp-8d2b6e4f0a1c3597"  # noqa: S105 - planted to be looked for
INDEX_TOKEN = "pypi-71c5e9d3b8a2f604"  # noqa: S105 - planted to be looked for
SAMPLE = 0.05
SLOW = 0.5
"""Seconds that git server and index take to answer, so that their clients are seen in the process list."""


@dataclass(frozen=True)
class Planted:
    """The secrets of one run (`user:secret` where they have a user), in every form in which they might be found."""

    values: tuple[str, ...]

    @property
    def needles(self) -> list[bytes]:
        """The secrets themselves and what HTTP's Basic authentication makes of them."""
        secrets = [value.rpartition(":")[2].encode() for value in self.values]
        return [*secrets, *(base64.b64encode(value.encode()).rstrip(b"=") for value in self.values)]

    def found_in(self, content: bytes) -> list[str]:
        """The secrets that are in this content."""
        return [needle.decode() for needle in self.needles if needle in content]


def _in_files(container: Container, planted: Planted) -> dict[str, list[str]]:
    """The files of a container's root file system that have a secret in them."""
    with tempfile.TemporaryFile() as spool:
        spool.writelines(cast("Iterator[bytes]", container.export()))
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            contents = ((member.name, archive.extractfile(member)) for member in archive if member.isreg())
            found = {name: planted.found_in(file.read()) for name, file in contents if file is not None}
    return {name: secrets for name, secrets in found.items() if secrets}


def _in_volume(cache: CacheVolume, planted: Planted) -> list[str]:
    """The files of the cache volume that have a secret in them."""
    patterns = [argument for needle in planted.needles for argument in ("-e", needle.decode())]
    script = 'grep --recursive --files-with-matches --text --fixed-strings "$@" /cache; test $? -le 1'
    return cache.run("sh", "-c", script, "sh", *patterns).splitlines()


@contextmanager
def _process_lists(container: Container) -> Iterator[set[str]]:
    """Every command line seen in the container, sampled twenty times a second."""
    seen: set[str] = set()
    over = threading.Event()

    def sample() -> None:
        while not over.wait(SAMPLE):
            with suppress(APIError):
                seen.update(row[-1] for row in container.top(ps_args="-eo pid,args")["Processes"] or ())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield seen
    finally:
        over.set()
        sampler.join()


INDEX_CREDENTIALS: dict[str, Callable[[PackageIndex], dict[str, str]]] = {
    "in-variables": lambda _: {"UV_INDEX_LOCAL_USERNAME": "ci", "UV_INDEX_LOCAL_PASSWORD": INDEX_TOKEN},
    "in-the-url": lambda index: {"UV_INDEX": f"local={index.url.replace('://', f'://ci:{INDEX_TOKEN}@')}"},
}


@pytest.fixture
def exchange(tmp_path: Path) -> Path:
    """A folder that the test and the flow share."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    return folder


@pytest.fixture
def private_git(stack: Stack, tmp_path: Path) -> Iterator[GitServer]:
    """A slow git server that wants a token."""
    with GitServer.start(stack.containers.gateway, tmp_path, GIT_TOKEN, SLOW) as running:
        yield running


@pytest.fixture
def private_index(stack: Stack) -> Iterator[PackageIndex]:
    """A slow index that wants a token."""
    with PackageIndex.start(stack.containers.gateway, INDEX_TOKEN, SLOW) as running:
        running.publish("trinket", "1.0", f"SAYS = 'clink {uuid4()}'\n")
        yield running


@pytest.mark.parametrize("form", INDEX_CREDENTIALS)
def test_no_secret_is_found(
    stack: Stack,
    private_git: GitServer,
    private_index: PackageIndex,
    form: str,
    exchange: Path,
) -> None:
    """Plant an auth string, an API key, a token in the git URL and one for the index; look everywhere."""
    credentials = INDEX_CREDENTIALS[form](private_index)
    addresses = {"http://index.invalid/simple": private_index.url}
    repository = private_git.create("private", PROJECTS / "private-index", replace=addresses, environment=credentials)
    url = repository.url.replace("://", f"://ada:{GIT_TOKEN}@")
    planted = Planted((stack.server.auth_string, API_KEY, f"ada:{GIT_TOKEN}", f"ci:{INDEX_TOKEN}"))
    deployment = stack.api.deploy("secrets", "flows.py:waiting", [git_clone(url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    container = stack.start_directly(flow_run, {**credentials, "PREFECT_API_KEY": API_KEY}, exchange=exchange)
    with _process_lists(container) as command_lines:
        stack.wait_for_file(exchange / "ready", container)
        assert _in_files(container, planted) == {}
        (exchange / "go").touch()
        run = stack.finish(flow_run, container)
    assert run.state.name == "Completed", run.report()
    assert any(re.search(r"\bgit clone|git-remote-http", line) for line in command_lines), "\n".join(command_lines)
    assert any(re.search(r"\buv .*\bsync", line) for line in command_lines), "\n".join(command_lines)
    assert [line for line in command_lines if planted.found_in(line.encode())] == []
    assert planted.found_in(run.report().encode()) == []
    assert _in_files(container, planted) == {}
    assert _in_volume(stack.cache, planted) == []
    assert _in_files(container, Planted(("import trinket",))), "the search finds what is there"
    assert _in_volume(stack.cache, Planted(("clink",))), "the search finds what is there"


def test_no_secret_is_found_when_the_clone_fails(stack: Stack, private_git: GitServer) -> None:
    """The error of a refused clone quotes git, and not the credentials."""
    repository = private_git.create("refusing", PROJECTS / "no-pyproject", lock=False)
    token = "ghp-wrong-5a9c2e7d"  # noqa: S105 - planted to be looked for
    deployment = stack.api.deploy(
        "refused", "flows.py:hello", [git_clone(repository.url.replace("://", f"://ada:{token}@"))]
    )
    flow_run = stack.api.create_run(deployment)
    stack.api.submit(flow_run)
    container = stack.start_directly(flow_run)
    run = stack.finish(flow_run, container)
    planted = Planted((f"ada:{token}", stack.server.auth_string))
    assert "error[git-unauthorized]" in run.outcome.stderr, run.report()
    assert run.outcome.exit_code == 71, run.report()
    assert planted.found_in(run.report().encode()) == []
    assert _in_files(container, planted) == {}
