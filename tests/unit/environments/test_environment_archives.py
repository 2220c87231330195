"""The archives of a far volume: nodes unpack what one of them has built, and nothing damaged or foreign."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from images import apt
from prefect_uv.environments import Environment, EnvironmentStore
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import Project
from tests.unit.conftest import Collect, MakeSettings
from tests.unit.etl import Etl, environments, leftovers, only_wheels, sync, unlocked
from tests.unit.program.test_processes import wait_until

pytestmark = pytest.mark.usefixtures("this_image")

STRANGER = 4711
UNREACHABLE = {"UV_OFFLINE": "1"}


class Node:
    """A node with a directory of its own, and the far volume that it shares with others."""

    def __init__(self, make: Callable[..., EnvironmentStore], etl: Etl, local: Path) -> None:
        self.local = local
        self._make = make
        self._etl = etl

    def store(self, **variables: str) -> EnvironmentStore:
        """The environment store of a start."""
        return self._make(PREFECT_UV_LOCAL_DIR=str(self.local), **variables)

    def start(self, project: Project | None = None, /, **variables: str) -> Environment:
        """Get the environment as a start does, use it, and end the start."""
        store = self.store(**variables)
        environment = store.environment(project) if project else sync(store, self._etl)
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
def far(cache: Path) -> Path:
    """The far volume."""
    return cache


@pytest.fixture
def make_node(make_settings: MakeSettings, log: RunLog, etl: Etl, far: Path, tmp_path: Path) -> Callable[[str], Node]:
    """Makes nodes by name."""

    def make_store(**variables: str) -> EnvironmentStore:
        return EnvironmentStore(make_settings({"PREFECT_UV_CACHE_DIR": str(far), **variables}), log)

    return lambda name: Node(make_store, etl, tmp_path / name)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a script in the place of a program."""
    directory = tmp_path / "programs"
    directory.mkdir()

    def write(name: str, script: str) -> None:
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return write


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


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_archive_is_replaced(archived: Path, make_node: Callable[[str], Node], share: float) -> None:
    """A volume that lost the end of a file."""
    content = archived.read_bytes()
    archived.write_bytes(content[: int(len(content) * share)])
    assert make_node("second").start().hit is False
    assert make_node("third").start(**UNREACHABLE).hit


def test_good_archive_stays_if_zstd_is_killed(
    archived: Path, make_node: Callable[[str], Node], programs: Callable[[str, str], None], far: Path
) -> None:
    """As when memory runs out: only another archive takes its place, and a node that may not write leaves it."""
    content = archived.read_bytes()
    programs("zstd", "kill -KILL $$")
    assert make_node("second").start(PREFECT_UV_CACHE_READONLY="true").hit is False
    assert make_node("third").start().hit is False
    assert archived.read_bytes() == content
    assert leftovers(far) == []


def test_archive_is_written_although_files_come_and_go(
    make_node: Callable[[str], Node], programs: Callable[[str, str], None], far: Path
) -> None:
    """The flow compiles what it imports while its environment is packed: tar warns, and the archive is good."""
    tar = shutil.which("tar")
    programs("tar", f'{tar} "$@"; code=$?; case "$*" in *--create*) [ $code = 0 ] && exit 1;; esac; exit $code')
    make_node("first").start()
    assert len(archives(far)) == 1
    assert make_node("second").start(**UNREACHABLE).hit


def test_other_node_needs_no_resolution(
    make_node: Callable[[str], Node], etl: Etl, far: Path, programs: Callable[[str, str], None]
) -> None:
    """A fingerprint stays on the volume as long as the archive: a packing of another environment does not remove it."""
    wheels = {"UV_CONFIG_FILE": only_wheels(etl)}
    first = make_node("first")
    built = first.start(unlocked("prefect"), **wheels)
    first.start(unlocked("prefect", "helper"), **wheels)
    assert len(archives(far)) == 2
    programs("uv", "exit 1")
    assert make_node("second").start(unlocked("prefect"), **wheels).key == built.key


def test_start_without_a_node_leaves_the_fingerprints(archived: Path, far: Path, collect: Collect) -> None:
    """Its garbage collection sees archives where there are no environments."""
    fingerprints = sorted((far / "index" / "v1").iterdir())
    collect()
    assert archived.exists()
    assert sorted((far / "index" / "v1").iterdir()) == fingerprints != []


def test_warm_start_leaves_the_far_volume_alone(archived: Path, make_node: Callable[[str], Node], etl: Etl) -> None:
    """The node has the environment: a volume that hangs does not hold up its start."""
    store = make_node("first").store()
    os.close(sync(store, etl).lease)
    assert archived.exists()
    assert "far" not in vars(store.archives)


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


def test_killed_unpacking_leaves_nothing(
    archived: Path, make_node: Callable[[str], Node], programs: Callable[[str, str], None]
) -> None:
    """The next start on the node does not wait for the dead one, and uses nothing of what it has unpacked."""
    node = make_node("second")
    zstd, ended = shutil.which("zstd"), node.local.with_name("ended")
    programs("zstd", f'{zstd} "$@" | head -c 30720; until [ -e {ended} ]; do sleep 0.1; done')
    process = multiprocessing.get_context("fork").Process(target=node.start)
    process.start()
    wait_until(lambda: any(node.local.glob("envs/tmp/*/env/*")))
    process.kill()
    process.join()
    ended.touch()
    assert environments(node.local) == []
    programs("zstd", f'exec {zstd} "$@"')
    assert node.start(**UNREACHABLE).key == archived.name.partition(".")[0]
    assert leftovers(node.local) == []


def test_failed_packing_leaves_nothing(
    make_node: Callable[[str], Node], programs: Callable[[str, str], None], far: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As when the far volume is full: the run goes on, and the log says why other nodes have to build."""
    programs("zstd", "echo No space left on device >&2; exit 1")
    assert make_node("first").start().path.exists()
    assert "was not archived: " in (err := capfd.readouterr().err)
    assert "No space left on device" in err
    assert archives(far) == leftovers(far) == []


def test_far_volume_that_cannot_be_written_to_disturbs_nothing_else(
    make_node: Callable[[str], Node], far: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The node's own maintenance goes on: the error is about the archive."""
    far.mkdir()
    (far / "archives").touch()
    assert make_node("first").start().path.exists()
    log = capfd.readouterr().err
    assert "was not archived: " in log
    assert "maintenance of " not in log


def test_volume_of_starts_without_a_node_gets_archives(
    make_node: Callable[[str], Node], make_store: Callable[..., EnvironmentStore], etl: Etl, far: Path
) -> None:
    """Its environments stay where they are; they are not looked for, and the node builds."""
    near = sync(make_store(), etl)
    assert make_node("first").start().hit is False
    assert environments(far) == [near.path]
    assert len(archives(far)) == 1
