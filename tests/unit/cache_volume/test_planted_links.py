"""Links that somebody plants on the volume: whatever is in their place, nothing outside is changed or deleted."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.cache_volume.volume import Volume
from prefect_uv.commands.cache import cache as cache_verb
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.writable_location import environments_at, links_as_error
from prefect_uv.errors import VolumeUnusableError
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.command_options import Options
from prefect_uv.pull import pull
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from prefect_uv_deploy.steps import push_code
from tests.unit.conftest import MakeSettings, Origin
from tests.unit.etl import Etl, sync
from tests.unit.http_server import Answer, Server

KEY, DIGEST = "0f" * 32, "0f" * 16
FILES = (
    f"envs/v1/{KEY}/.inuse",
    f"envs/v1/{KEY}/lib/file",
    f"envs/v0/{KEY}/.inuse",
    f"envs/tmp/0f0f0f0f0f0f-{DIGEST}/claim",
    f"envs/tmp/write-{DIGEST}",
    f"envs/trash/x-{DIGEST}/file",
    f"index/v1/{KEY}",
    f"failed/v1/{KEY}",
    f"policy/v1/{KEY}-{DIGEST[:16]}",
    f"locks/{KEY}",
    "locks/gc",
    "locks/collected",
    "locks/uv-cache",
    f"bytecode/v1/package-1.0-{DIGEST[:16]}/sub/file.pyc",
    "python/cpython-3.1.0-linux/bin/python",
    "python/.temp/unfinished/file",
    f"git/v1/{DIGEST}/.inuse",
    f"git/v1/{DIGEST}/{KEY[:40]}/objects/file",
    f"tmp/git-{DIGEST}/file",
    f"code/v1/{KEY}.tar",
    "uv-0.13/.lock",
    "uv-0.13/CACHEDIR.TAG",
    "uv-0.13/archive-v0/unused/file",
    "uv-0.13/environments-v2/unused/file",
    "uv-0.13/wheels-v6/pypi/file",
    "uv-0.12/.lock",
    "uv-0.12/file",
)
"""A volume of which every file and directory is garbage."""
PLACES = sorted({str(place) for file in FILES for place in (Path(file), *Path(file).parents)} - {"."})
FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
LONG_AGO = 1_000_000_000
Contents = dict[str, tuple[int, int, int, bytes]]


def fill(directory: Path) -> None:
    """Make the volume of garbage, all of it years old."""
    for file in FILES:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(file)
    for path in (*directory.rglob("*"), directory):
        os.utime(path, (LONG_AGO, LONG_AGO))


def contents(directory: Path) -> Contents:
    """Mode, links, time and bytes of everything below a directory, by relative path."""
    found = {}
    for path in (directory, *directory.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_nlink, status.st_mtime_ns, content)
    return found


class Planted:
    """A volume of garbage with a link at one place, to the same place of another such directory."""

    def __init__(self, directory: Path) -> None:
        self.outside = directory / "outside"
        self.template = directory / "template"
        self.root = directory / "cache"
        fill(self.outside)
        fill(self.template)
        self.before = contents(self.outside)

    def volumes(self, *places: str) -> Iterator[str]:
        """Plant a link at one place after the other; checks that nothing outside has changed before it goes on."""
        for place in places or PLACES:
            shutil.copytree(self.template, self.root)
            planted = self.root / place
            if planted.is_dir():
                shutil.rmtree(planted)
            else:
                planted.unlink()
            planted.symlink_to(self.outside / place)
            yield place
            assert contents(self.outside) == self.before, place
            shutil.rmtree(self.root)


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """Volumes with planted links."""
    return Planted(tmp_path)


def test_nothing_outside_is_changed(planted: Planted, make_settings: MakeSettings, this_image: Image) -> None:
    """Commands and a collection on a full disk change nothing through a link; they name it, or do their work."""
    settings = make_settings(PREFECT_UV_CACHE_DIR=str(planted.root))
    refused: list[tuple[Path, str]] = []
    for place in planted.volumes():
        volume = environments_at(planted.root, settings, this_image, read_only=False).cache
        try:
            for action in ("list", "verify"):
                cache_verb(Session(settings, RunLog(Mask()), Options(action=action)))
            with links_as_error():
                collect_garbage(volume, settings, RunLog(Mask()), make_room=True)
            for everything in (False, True) if FULL else (True,):
                cache_verb(Session(settings, RunLog(Mask()), Options(action="prune", everything=everything)))
        except VolumeUnusableError as error:
            refused.append((planted.root / place, error.headline))
            continue
        environment = planted.root / "envs" / "v1" / KEY
        assert environment.is_symlink() or not environment.exists(), place
    assert refused
    assert not [headline for place, headline in refused if not headline.startswith(f"{place} is a symbolic link")]


def test_nothing_outside_is_changed_by_a_pull(
    planted: Planted, origin: Origin, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither a restored nor a saved snapshot follows a link; the pull itself works."""
    settings = make_settings(PREFECT_UV_CACHE_DIR=str(planted.root))
    step = {"prefect.deployments.steps.git_clone": {"repository": origin.url}}
    for number, place in enumerate(planted.volumes("git", "git/v1", "tmp")):
        assert place
        for again in range(2):
            work = tmp_path / f"work-{number}-{again}"
            work.mkdir()
            monkeypatch.chdir(work)
            pull({"pull_steps": [step]}, settings, RunLog(Mask()), None)
            assert (work / "flows" / "flow.py").read_text() == "first"


def test_nothing_outside_is_changed_by_pushed_code(
    planted: Planted, server: Server, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither reading nor keeping an archive of code follows a link; the pull itself works."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "flow.py").write_text("pushed")
    pushed = push_code(destination=str(tmp_path / "store"), directory=str(tmp_path / "tree"))
    server.on("GET /code", Answer(body=Path(pushed["url"]).read_bytes()))
    address, name = f"{server.url.removesuffix('/api')}/code", f"code/v1/{pushed['sha256']}.tar"
    for folder in (planted.template, planted.outside):
        (folder / name).write_bytes(gzip.decompress(Path(pushed["url"]).read_bytes()))
    planted.before = contents(planted.outside)
    settings = make_settings(PREFECT_UV_CACHE_DIR=str(planted.root))
    step = {"prefect_uv_deploy.steps.pull_code": {"url": address, "sha256": pushed["sha256"]}}
    for number, place in enumerate(planted.volumes("code", "code/v1", name)):
        assert place
        work = tmp_path / f"code-{number}"
        work.mkdir()
        monkeypatch.chdir(work)
        for _ in range(2):
            checkout = pull({"pull_steps": [step]}, settings, RunLog(Mask()), None)
            assert (checkout.directory / "flow.py").read_text() == "pushed"


def test_nothing_outside_is_changed_by_a_build(
    planted: Planted, etl: Etl, make_store: Callable[..., EnvironmentStore]
) -> None:
    """An environment is built elsewhere, or the error says which link is in the way."""
    refused: list[str] = []
    for place in planted.volumes("index/v1", "locks/uv-cache", "locks/collected", "bytecode/v1", "uv-0.13"):
        store = make_store(PREFECT_UV_CACHE_DIR=str(planted.root))
        try:
            environment = sync(store, etl)
        except VolumeUnusableError as error:
            refused.append(error.headline)
            continue
        with store.maintenance(environment):
            pass
        os.close(environment.lease)
        assert place != "locks/uv-cache"
    assert refused == [f"{planted.root}/locks/uv-cache is a symbolic link."]


SWAP = """
import os, sys
directory, target = sys.argv[1:]
print(flush=True)
while True:
    os.rename(directory, directory + "-aside")
    os.symlink(target, directory)
    os.unlink(directory)
    os.rename(directory + "-aside", directory)
"""


@contextmanager
def swapping(directory: Path, target: Path) -> Iterator[None]:
    """Let a process exchange a directory for a link and back, again and again."""
    command = [sys.executable, "-c", SWAP, str(directory), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def test_nothing_outside_is_deleted_while_links_come_and_go(planted: Planted) -> None:
    """What is deleted is named relative to an open directory, so no moment is the right one for a link."""
    directory, target = planted.root / "envs" / "v1", planted.outside / "envs" / "v1"
    directory.mkdir(parents=True)
    volume = Volume(planted.root, {os.geteuid()})
    with swapping(directory, target):
        for _ in range(20_000 if FULL else 1_000):
            with suppress(PermissionError, FileNotFoundError):
                volume.delete(directory / KEY)
    assert contents(planted.outside) == planted.before


def test_directories_of_others_are_left_alone(
    cache_directory: CacheDirectory, log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is deleted in a directory of a user who is not trusted, and a warning names the user."""
    fill(cache_directory.root)
    before = contents(cache_directory.root)
    warnings: list[str] = []
    monkeypatch.setattr(RunLog, "warning", lambda _, message: warnings.append(message))
    strict = CacheDirectory(cache_directory.root, frozenset(), cache_directory.uv_cache)
    collect_garbage(strict, Settings.from_environ({}), log, everything=True)
    after = contents(cache_directory.root)
    assert before.keys() <= after.keys()
    owner = f"belongs to uid {os.geteuid()}, which is not in PREFECT_UV_CACHE_TRUST"
    assert warnings == [f"garbage is left alone in 11 of 11 directories: {cache_directory.environments} {owner}"]
