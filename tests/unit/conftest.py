"""Fixtures of all unit tests: a clean environment, a real HTTP server, real git repositories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.image_facts import Image, probe_image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import STOP_SIGNALS, WATCH_SIGNAL
from prefect_uv.settings import Settings
from tests.unit.checkouts import pulled, wheels
from tests.unit.etl import cache, etl, make_store, template
from tests.unit.http_server import Server, running_server
from tests.unit.tls import certificates, tls_server

__all__ = ["cache", "certificates", "etl", "make_store", "pulled", "template", "tls_server", "wheels"]

CLEARED_PREFIXES = ("IMAGE_", "UV_", "PIP_", "PREFECT", "GIT_", "PYTHON", "VIRTUAL_ENV", "SSL_CERT")
Collect = Callable[..., int]
BUILDING_FIXTURES = {"template", "key_of"}
"""Fixtures whose tests have uv plan and build environments."""


set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "prefect-uv-hypothesis")
settings.register_profile(
    "unit", database=None, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that build with uv, or compare with it: they take most of the time, so `test/unit` skips them."""
    for item in items:
        if not BUILDING_FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) or item.name.startswith("test_uv_"):
            item.add_marker(pytest.mark.uv)


class MakeSettings(Protocol):
    """A function that makes settings for the test's server."""

    def __call__(self, variables: Mapping[str, str] | None = None, /, **more: str) -> Settings:
        """Read settings from these variables and those that lead to the server."""


@pytest.fixture(scope="package", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove this machine's variables; git and uv see an empty home, and the tools of the test environment on PATH."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(CLEARED_PREFIXES) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield


@pytest.fixture(autouse=True)
def restored_signals() -> Iterator[None]:
    """Restore the signal handlers that a test replaces."""
    before = {signum: signal.getsignal(signum) for signum in (*STOP_SIGNALS, WATCH_SIGNAL, signal.SIGUSR1)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(autouse=True)
def ended_threads() -> Iterator[None]:
    """Check that no thread of ours outlives its test; they are the ones with a name that is not Python's default."""
    before = threading.enumerate()
    yield
    remaining = (thread for thread in threading.enumerate() if thread not in before)
    ours = [thread for thread in remaining if not thread.name.startswith("Thread-")]
    for thread in ours:
        thread.join(10)
    assert not [thread for thread in ours if thread.is_alive()]


@pytest.fixture
def server() -> Iterator[Server]:
    """An HTTP server without CSRF protection."""
    with running_server() as running:
        yield running


@pytest.fixture
def make_settings(server: Server) -> MakeSettings:
    """A function that makes settings for `server`."""

    def make(variables: Mapping[str, str] | None = None, /, **more: str) -> Settings:
        own = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PREFECT_API_URL": server.url}
        return Settings.from_environ({**own, **(variables or {}), **more})

    return make


@pytest.fixture
def log() -> RunLog:
    """A log without a flow run."""
    return RunLog(Mask())


@pytest.fixture(scope="package")
def image() -> Image:
    """The facts about this machine, as if it were an image."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return probe_image("unit", str(Path(sys.base_prefix) / "bin" / f"python{minor}"), "3.8.8")


@pytest.fixture
def this_image(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """`image`, as the one that the program believes it runs in."""
    monkeypatch.setattr(Image, "read", classmethod(lambda _: image))
    return image


class Origin:
    """A git repository to clone from, with commits on `main`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("config", "http.receivepack", "false")

    @property
    def url(self) -> str:
        """Its file:// URL."""
        return f"file://{self.path}"

    def git(self, *arguments: str) -> str:
        """Run git in the repository and return its stdout."""
        identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.path, check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout.strip()

    def commit(self, name: str, content: str) -> str:
        """Commit one file and return the commit's id."""
        (self.path / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"{name}: {content}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository named `flows` with one commit."""
    repository = Origin(tmp_path / "origin" / "flows")
    repository.commit("flow.py", "first")
    return repository


@pytest.fixture
def cache_directory(tmp_path: Path) -> CacheDirectory:
    """An empty cache directory."""
    made = CacheDirectory(tmp_path / "cache", frozenset({os.geteuid()}), tmp_path / "cache" / "uv-0.13")
    made.prepare()
    return made


@pytest.fixture
def collect(cache_directory: CacheDirectory, log: RunLog) -> Collect:
    """Collects garbage there, with settings from variables."""
    return lambda **variables: collect_garbage(cache_directory, Settings.from_environ(variables), log)
