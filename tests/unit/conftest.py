"""A clean environment, a real HTTP server, real repositories."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from prefect_uv.image_facts import Image, probe_image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import INTERRUPT_SIGNAL, STOP_SIGNALS
from prefect_uv.settings import Settings
from tests.unit.checkouts import pulled, wheels
from tests.unit.etl import cache, etl, make_store, template
from tests.unit.http_server import Server, running_server

__all__ = ["cache", "etl", "make_store", "pulled", "template", "wheels"]

FOREIGN = ("UV_", "PIP_", "PREFECT", "GIT_", "PYTHON", "VIRTUAL_ENV", "SSL_CERT")


set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "prefect-uv-hypothesis")
settings.register_profile(
    "unit", database=None, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that lock and build with uv take most of the time, and are no part of the inner loop."""
    for item in items:
        if "template" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.uv)


class MakeSettings(Protocol):
    """Settings for the server of the test, with more variables."""

    def __call__(self, variables: Mapping[str, str] | None = None, /, **more: str) -> Settings:
        """Read them."""


@pytest.fixture(scope="package", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No variable of this machine counts; git and uv see an empty home, and the tools of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(FOREIGN) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        yield


@pytest.fixture(autouse=True)
def restored_signals() -> Iterator[None]:
    """Signal handlers that a test installs go with it."""
    before = {signum: signal.getsignal(signum) for signum in (*STOP_SIGNALS, INTERRUPT_SIGNAL, signal.SIGUSR1)}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


@pytest.fixture(autouse=True)
def ended_threads() -> Iterator[None]:
    """Our threads, which have names of their own, end with what started them: one left over disturbs other tests."""
    before = threading.enumerate()
    yield
    left = (thread for thread in threading.enumerate() if thread not in before)
    ours = [thread for thread in left if not thread.name.startswith("Thread-")]
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
    """A maker of settings that lead to `server`."""

    def make(variables: Mapping[str, str] | None = None, /, **more: str) -> Settings:
        own = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "PREFECT_API_URL": server.url}
        return Settings.from_environ({**own, **(variables or {}), **more})

    return make


@pytest.fixture
def log() -> RunLog:
    """A log that is connected to nothing."""
    return RunLog(Mask())


@pytest.fixture(scope="package")
def image() -> Image:
    """The facts of this machine, as an image would have them."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    return probe_image("unit", str(Path(sys.base_prefix) / "bin" / f"python{minor}"), "3.8.8")


@pytest.fixture
def this_image(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """`image`, and the entrypoint believes that it runs in it."""
    monkeypatch.setattr(Image, "read", classmethod(lambda _: image))
    return image


class Origin:
    """A repository to clone from, with commits on `main`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "uploadpack.allowFilter", "true")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("config", "http.receivepack", "false")

    @property
    def url(self) -> str:
        """Its file:// address."""
        return f"file://{self.path}"

    def git(self, *arguments: str) -> str:
        """A git command in it."""
        identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.invalid")
        finished = subprocess.run(
            ["git", *identity, *arguments], cwd=self.path, check=True, capture_output=True, text=True, timeout=20
        )
        return finished.stdout.strip()

    def commit(self, name: str, content: str) -> str:
        """Commit one file and return the commit's id."""
        (self.path / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"{name}: {content}")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository `flows` with one commit."""
    repository = Origin(tmp_path / "origin" / "flows")
    repository.commit("flow.py", "first")
    return repository
