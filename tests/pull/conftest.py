"""A Prefect server with blocks and variables, and fixtures that perform steps by Prefect's functions and by ours."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.api.client import ApiClient
from prefect_uv.errors import PrefectUvError
from prefect_uv.image_facts import Image, probe_image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.pins import PREFECT
from tests.stack.server import PrefectServer

ROOT = Path(__file__).parent.parent.parent
BLOCKS: dict[tuple[str, str], dict[str, Any]] = {
    ("secret", "token"): {"value": "s3cr3t-of-a-block"},
    ("secret", "nested"): {"value": {"key": {"deep": ["x", {"y": 7}]}, "values": "v"}},
    ("json", "json"): {"value": {"a": [1, {"b": "c"}], "value": "inner"}},
    ("basic-auth-credentials", "login"): {"username": "ada", "password": "lovelace"},
}
VARIABLES: dict[str, Any] = {
    "text": "a text",
    "number": 5,
    "list": ["x", "y"],
    "mapping": {"k": "v"},
    "braces": "{{ PULL_ENV }}",
    "block_in_variable": "{{ prefect.blocks.secret.token }}",
}


@pytest.fixture(scope="package", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide this machine's variables, except those for its package index; git has an empty home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("PREFECT", "GIT_", "PYTHONDONTWRITE"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield


@pytest.fixture(scope="package")
def server(shared_server: PrefectServer) -> PrefectServer:
    """A real Prefect server that holds the blocks and variables of the tables."""
    fill(shared_server, BLOCKS, VARIABLES)
    return shared_server


def fill(server: PrefectServer, blocks: Mapping[tuple[str, str], Any], variables: Mapping[str, Any]) -> None:
    """Create blocks and variables with Prefect's own client."""
    request = json.dumps([[(slug, name, data) for (slug, name), data in blocks.items()], variables])
    environ = {**os.environ, **server.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.pull.fill"]
    subprocess.run(command, input=request, text=True, env=environ, check=True, timeout=120)


def document_ids(server: PrefectServer) -> dict[str, str]:
    """The ids of the server's block documents, by name."""
    from prefect.client.orchestration import SyncPrefectClient  # noqa: PLC0415 (costs seconds)

    with SyncPrefectClient(server.url, auth_string=server.auth_string) as client:
        documents = client.request("POST", "/block_documents/filter", json={}).json()
    return {document["name"]: document["id"] for document in documents}


@dataclass(frozen=True)
class Outcome:
    """What steps left.

    Attributes:
        outputs: the outputs, with the base directory as `@`.
        directory: the working directory, with the base directory as `@`.
        tree: the files below the base directory, as from `tree`.
        error: the text of the error; empty if there was none.
        slug: the slug of our own error.
    """

    outputs: Any = None
    directory: str = ""
    tree: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    slug: str = ""


def tree(directory: Path) -> dict[str, str]:
    """The files below a directory except git's, by relative path: a mode and digest, a link's target, or `/`."""
    entries = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if ".git" in Path(name).parts:
            continue
        if path.is_symlink():
            entries[name] = f"-> {path.readlink()}"
        elif path.is_file():
            mode = "x" if path.stat().st_mode & 0o100 else "-"
            entries[name] = mode + hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        else:
            entries[name] = "/"
    return {name: kind for name, kind in entries.items() if not name.endswith(".lock")}


def without_base(value: Any, base: Path) -> Any:
    """A JSON value with `@` in place of the base directory."""
    return json.loads(json.dumps(value, default=str).replace(str(base.resolve()), "@"))


class Oracle:
    """Performs steps by Prefect's own functions, in a process of `tests.pull.oracle`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, steps: list[Any], base: Path, environ: Mapping[str, str]) -> Outcome:
        """Perform the steps in an empty directory."""
        assert self._process.stdin
        assert self._process.stdout
        request = {"steps": steps, "directory": str(base), "environ": dict(environ)}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            return Outcome(error=answer["error"], tree=tree(base))
        return Outcome(without_base(answer["outputs"], base), without_base(answer["directory"], base), tree(base))


@pytest.fixture(scope="package")
def oracle(server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Oracle]:
    """Prefect's own steps, in one process for all tests."""
    log = tmp_path_factory.mktemp("oracle") / "log"
    command = [sys.executable, "-m", "tests.pull.oracle"]
    environ = {**os.environ, **server.environment, "PYTHONPATH": str(ROOT), "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        yield Oracle(process)
        assert process.stdin
        process.stdin.close()
        process.wait(30)


@pytest.fixture(scope="package")
def image() -> Image:
    """The facts of this machine, as an image would have them."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return probe_image("pull", str(Path(sys.base_prefix) / "bin" / f"python{minor}"), PREFECT)


@dataclass
class Ours:
    """Performs steps by our own functions.

    Attributes:
        server: whose blocks and variables the steps use; None for no API.
        cache: the cache volume; None for none.
        monkeypatch: changes the working directory.
        lines: the log lines of all calls.
    """

    server: PrefectServer | None
    cache: Path | None
    monkeypatch: pytest.MonkeyPatch
    lines: list[str] = field(default_factory=list)

    def __call__(
        self, steps: list[Any], base: Path, environ: Mapping[str, str] | None = None, **deployment: Any
    ) -> Outcome:
        """Perform the steps in an empty directory."""
        self.monkeypatch.chdir(base)
        api = self.server.environment if self.server else {}
        cache = {"PREFECT_UV_CACHE_DIR": str(self.cache or base / "no-cache"), "PREFECT_UV_GIT_TIMEOUT": "60"}
        settings = Settings.from_environ({**os.environ, **api, **cache, **(environ or {})})
        log = KeptLog(self.lines, settings)
        try:
            checkout = pull({"pull_steps": steps, **deployment}, settings, log, ApiClient(settings) if api else None)
        except PrefectUvError as error:
            return Outcome(error=log.mask(error.render()), tree=tree(base), slug=error.slug)
        return Outcome(
            without_base(checkout.outputs, base), without_base(str(checkout.directory.resolve()), base), tree(base)
        )


class KeptLog(RunLog):
    """A log that keeps its lines, masked."""

    def __init__(self, lines: list[str], settings: Settings) -> None:
        super().__init__(Mask())
        self.mask.add(*settings.secrets())
        self.verbose = True
        self._lines = lines

    def _line(self, level: int, message: str) -> None:
        self._lines.append(self.mask(message))
        super()._line(level, message)


@pytest.fixture
def ours(server: PrefectServer, image: Image, monkeypatch: pytest.MonkeyPatch) -> Ours:
    """Our own steps with the server, without a cache volume."""
    monkeypatch.setattr(Image, "read", classmethod(lambda _: image))
    return Ours(server, None, monkeypatch)


@pytest.fixture
def alone(image: Image, monkeypatch: pytest.MonkeyPatch) -> Ours:
    """Our own steps without a server and without a cache volume."""
    monkeypatch.setattr(Image, "read", classmethod(lambda _: image))
    return Ours(None, None, monkeypatch)


@dataclass(frozen=True)
class Recorder:
    """A `git` that records its arguments and the process list before it runs the real one.

    Attributes:
        path: the file with the records.
        environ: the PATH on which it comes first.
    """

    path: Path
    environ: Mapping[str, str]


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """A recorder whose file is not written yet."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    record = f'echo "$@" >> {calls}; ps -eo args >> {calls}'
    (programs / "git").write_text(f'#!/bin/sh\n{record}\nexec {shutil.which("git")} "$@"\n')
    (programs / "git").chmod(0o755)
    return Recorder(calls, {"PATH": f"{programs}:{os.environ['PATH']}"})


@pytest.fixture
def bases(tmp_path: Path) -> tuple[Path, Path]:
    """Two empty directories: for Prefect's steps, and for ours."""
    theirs, own = tmp_path / "theirs" / "base", tmp_path / "own" / "base"
    theirs.mkdir(parents=True)
    own.mkdir(parents=True)
    return theirs, own
