"""The archives of a far volume: nodes unpack what one of them has built, and nothing damaged or foreign."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from images import apt
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.log.run_log import RunLog
from tests.unit.conftest import MakeSettings
from tests.unit.etl import Etl, environments, leftovers, sync

pytestmark = pytest.mark.usefixtures("this_image")

STRANGER = 4711
UNREACHABLE = {"UV_OFFLINE": "1"}


class Node:
    """A node with a directory of its own, and the far volume that it shares with others."""

    def __init__(self, make: Callable[..., EnvironmentStore], etl: Etl, local: Path) -> None:
        self.local = local
        self._make = make
        self._etl = etl

    def start(self, **variables: str) -> Environment:
        """Get the environment as a start does, use it, and end the start."""
        store = self._make(PREFECT_UV_LOCAL_DIR=str(self.local), **variables)
        environment = sync(store, self._etl)
        with store.maintenance(environment):
            pass
        os.close(environment.lease)
        return environment


@pytest.fixture(scope="module", autouse=True)
def zstd() -> None:
    """The program that the image has."""
    if not shutil.which("zstd"):
        apt.install("zstd", "environments are archived with it")


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """The far volume."""
    return tmp_path / "far"


@pytest.fixture
def make_node(make_settings: MakeSettings, log: RunLog, etl: Etl, far: Path, tmp_path: Path) -> Callable[[str], Node]:
    """Makes nodes by name."""

    def make_store(**variables: str) -> EnvironmentStore:
        return EnvironmentStore(make_settings({"PREFECT_UV_CACHE_DIR": str(far), **variables}), log)

    return lambda name: Node(make_store, etl, tmp_path / name)


def archives(far: Path) -> list[Path]:
    """The archives."""
    return sorted((far / "archives" / "v1").glob("*"))


@pytest.fixture
def archived(make_node: Callable[[str], Node], far: Path) -> Path:
    """The archive of an environment that one node has built."""
    assert make_node("first").start().hit is False
    (archive,) = archives(far)
    return archive


def test_other_node_unpacks_what_one_has_built(
    archived: Path, make_node: Callable[[str], Node], far: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It needs neither an index nor uv, and the far volume has no file of the environment itself."""
    node = make_node("second")
    capfd.readouterr()
    environment = node.start(**UNREACHABLE, PREFECT_UV_VERBOSE="true")
    assert environment.hit
    assert environment.path.is_relative_to(node.local)
    log = capfd.readouterr().err
    assert f"environment {environment.key[:12]} comes from its archive on {far}" in log
    assert "uv --no-progress" not in log
    assert environments(far) == []
    assert archived.name == f"{environment.key}.tar.zst"
    assert node.start(**UNREACHABLE).hit
    assert capfd.readouterr().err == ""
    assert leftovers(node.local) == leftovers(far) == []


def test_damaged_archive_is_replaced(
    archived: Path, make_node: Callable[[str], Node], far: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A flipped byte is noticed; the node builds, and writes another archive."""
    content = bytearray(archived.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archived.write_bytes(content)
    node = make_node("second")
    assert node.start().hit is False
    assert f"the archive of environment {archived.name[:12]} is not used" in capfd.readouterr().err
    assert archives(far) == [archived]
    assert archived.read_bytes() != bytes(content)
    assert make_node("third").start(**UNREACHABLE).hit
    assert leftovers(node.local) == []


def test_archive_with_another_content_is_not_used(archived: Path, make_node: Callable[[str], Node], etl: Etl) -> None:
    """The name of an archive says what is in it, and that is checked."""
    etl.write("prefect", "helper")
    etl.lock()
    other = make_node("first").start()
    shutil.copy(archived, archived.with_name(f"{other.key}.tar.zst"))
    assert make_node("second").start().hit is False


def test_archive_of_a_stranger_is_not_used(archived: Path, make_node: Callable[[str], Node], far: Path) -> None:
    """The far volume has the same rule of trust as any cache volume."""
    far.chmod(0o777)
    os.chown(archived, STRANGER, STRANGER)
    node = make_node("second")
    assert node.start().hit is False
    os.chown(archived, os.geteuid(), -1)


def test_starts_at_the_same_time_unpack_once(
    archived: Path, make_node: Callable[[str], Node], capfd: pytest.CaptureFixture[str]
) -> None:
    """One container of the node unpacks, and the others wait for it."""
    node = make_node("second")
    capfd.readouterr()
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: node.start(**UNREACHABLE), range(4)))
    assert {environment.key for environment in started} == {archived.name.partition(".")[0]}
    assert capfd.readouterr().err.count("comes from its archive") == 1


def test_readonly_volume_gets_no_archive(make_node: Callable[[str], Node], far: Path) -> None:
    """PREFECT_UV_CACHE_READONLY is about the far volume; the node's directory is written to."""
    far.mkdir()
    node = make_node("first")
    assert node.start(PREFECT_UV_CACHE_READONLY="true").hit is False
    assert list(far.iterdir()) == []
    assert node.start(PREFECT_UV_CACHE_READONLY="true").hit


def test_unused_archive_is_removed(archived: Path, make_node: Callable[[str], Node], etl: Etl, far: Path) -> None:
    """After PREFECT_UV_CACHE_DAYS without a node that unpacked it."""
    os.utime(archived, (0, 0))
    etl.write("prefect", "helper")
    etl.lock()
    make_node("first").start()
    assert archived not in archives(far)
    assert len(archives(far)) == 1


def test_archives_keep_to_the_size_limit(archived: Path, make_node: Callable[[str], Node], etl: Etl, far: Path) -> None:
    """The oldest is removed before another one is written."""
    etl.write("prefect", "helper")
    etl.lock()
    make_node("first").start(PREFECT_UV_CACHE_LIMIT="1")
    assert archived not in archives(far)
    assert len(archives(far)) == 1


def test_interrupted_unpacking_leaves_nothing(
    archived: Path, make_node: Callable[[str], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupted unpacking leaves nothing that a later start would use."""
    node = make_node("second")
    with monkeypatch.context() as patch:
        patch.setattr("prefect_uv.environments.archives.environment_archives._damage", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            node.start()
    assert environments(node.local) == leftovers(node.local) == []
    assert archived.exists()
    assert node.start(**UNREACHABLE).hit


def _interrupt(*_: object) -> str:
    raise KeyboardInterrupt
