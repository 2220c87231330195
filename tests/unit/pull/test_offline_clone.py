"""Offline, code comes from the cache volume, and git does not even try to connect."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.errors import OfflineCodeError, OfflineStepError, PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.unit.conftest import Origin
from tests.unit.git_server import git_server
from tests.unit.pull.test_clone_step import content

CLONE = "prefect.deployments.steps.git_clone"
PASSWORD = "s3cr3t-t0ken"  # noqa: S105 (planted, to look for it)
FIRST, SECOND = 1_790_000_000, 1_790_086_400  # 2026-09-21 14:13 UTC, and a day later

Pull = Callable[..., Path]


@pytest.fixture
def hosted(origin: Origin) -> Iterator[str]:
    """The address of the repository on a server, including the password."""
    with git_server(origin.path.parent, f"bot:{PASSWORD}") as address:
        yield f"http://bot:{PASSWORD}@{address}/flows"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The cache volume."""
    directory = tmp_path / "cache"
    directory.mkdir()
    return directory


@pytest.fixture
def pulled(log: RunLog, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pull:
    """Performs a step with the volume, in the directory of a new container or in a given one."""
    count = iter(range(100))

    def perform(inputs: dict[str, Any], step: str = CLONE, directory: Path | None = None, **variables: str) -> Path:
        directory = directory or tmp_path / f"container-{next(count)}"
        directory.mkdir(exist_ok=True)
        monkeypatch.chdir(directory)
        settings = Settings.from_environ({**os.environ, "PREFECT_UV_CACHE_DIR": str(cache), **variables})
        log.verbose = True
        return pull({"pull_steps": [{step: inputs}]}, settings, log, None).directory

    return perform


def snapshots(cache: Path) -> list[Path]:
    """The mirror's snapshots."""
    return sorted((cache / "git" / "v1").glob("*/[0-9a-f]*"))


def bare(url: str) -> str:
    """The address without user and password."""
    return url.replace(f"bot:{PASSWORD}@", "")


@pytest.mark.parametrize("inputs", [{}, {"branch": "main"}, {"commit": True}, {"directories": ["."]}])
def test_clone_from_the_volume(  # noqa: PLR0913, PLR0917 (fixtures)
    pulled: Pull, hosted: str, origin: Origin, cache: Path, inputs: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The volume suffices, without server and credentials; the details name the commit and its date."""
    head = origin.git("rev-parse", "HEAD")
    if inputs.pop("commit", None):
        inputs["commit_sha"] = head[:10]
    pulled({"repository": hosted, **inputs})
    (snapshot,) = snapshots(cache)
    os.utime(snapshot, (FIRST, FIRST))
    origin.path.rename(origin.path.with_name("gone"))
    capsys.readouterr()
    directory = pulled({"repository": bare(hosted), **inputs}, PREFECT_UV_OFFLINE="true")
    assert content(directory) == "first"
    source = f"{bare(hosted)} at {head[:12]} (offline: restored, as it was on 2026-09-21 at 14:13 UTC)"
    assert f"{source} into {directory}" in capsys.readouterr().err


def test_snapshot_that_the_server_had_last(pulled: Pull, hosted: str, origin: Origin, cache: Path) -> None:
    """The newest state of the branch is restored, not the newest fetch: a branch may be reset to an older commit."""
    first = origin.git("rev-parse", "HEAD")
    pulled({"repository": hosted})
    origin.commit("flow.py", "second")
    pulled({"repository": hosted})
    for path in snapshots(cache):
        os.utime(path, (FIRST, FIRST) if path.name == first else (SECOND, SECOND))
    assert content(pulled({"repository": hosted}, PREFECT_UV_OFFLINE="true")) == "second"
    origin.git("reset", "--quiet", "--hard", first)
    pulled({"repository": hosted})
    assert content(pulled({"repository": hosted}, PREFECT_UV_OFFLINE="true")) == "first"


def test_damaged_snapshot_is_skipped(
    pulled: Pull, hosted: str, origin: Origin, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged snapshot costs a warning, and the one before it is restored."""
    pulled({"repository": hosted})
    second = origin.commit("flow.py", "second")
    pulled({"repository": hosted})
    damaged = next(path for path in snapshots(cache) if path.name == second)
    shutil.rmtree(damaged / "objects")
    os.utime(damaged, (time.time() + 60, time.time() + 60))
    assert content(pulled({"repository": hosted}, PREFECT_UV_OFFLINE="true")) == "first"
    assert f"warning: the mirror's snapshot {damaged} could not be used" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["", "true"])
def test_read_only_volume(
    pulled: Pull, hosted: str, cache: Path, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written to a volume that is read-only by its mode or by PREFECT_UV_CACHE_READONLY."""
    pulled({"repository": hosted})
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.name != ".inuse"}
    monkeypatch.setattr(os, "access", lambda path, _: bool(setting) or cache not in [path, *Path(path).parents])
    offline = {"PREFECT_UV_OFFLINE": "true", "PREFECT_UV_CACHE_READONLY": setting}
    assert content(pulled({"repository": hosted}, **offline)) == "first"
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.name != ".inuse"} == before


def test_empty_volume(pulled: Pull, hosted: str, cache: Path) -> None:
    """The error says what was missing, where, and how to fill the volume; nothing is left behind."""
    with pytest.raises(OfflineCodeError) as caught:
        pulled({"repository": hosted, "branch": "main"}, PREFECT_UV_OFFLINE="true")
    url = bare(hosted)
    (found,) = [line for line in caught.value.found.splitlines() if line.startswith("No usable snapshot was found in ")]
    assert found.startswith(f"No usable snapshot was found in {cache}/git/v1/")
    assert caught.value.render() == (
        "error[offline-code-missing]:"
        f" The cache volume has no branch 'main' of {url}, and PREFECT_UV_OFFLINE is set.\n\n"
        f"In pull step 1, {CLONE}.\n\n"
        f"{found}\n\n"
        "hint: Run the deployment once with network access and this cache volume, or fill the volume with"
        " `prefect-uv sync`."
    )
    assert list(cache.iterdir()) == []


def test_volume_with_another_commit(pulled: Pull, hosted: str, origin: Origin) -> None:
    """A commit is never replaced by another one."""
    first = origin.git("rev-parse", "HEAD")
    pulled({"repository": hosted, "commit_sha": first})
    second = origin.commit("flow.py", "second")
    with pytest.raises(OfflineCodeError) as caught:
        pulled({"repository": hosted, "commit_sha": second}, PREFECT_UV_OFFLINE="true")
    assert caught.value.headline == (
        f"The cache volume has no commit {second} of {bare(hosted)}, and PREFECT_UV_OFFLINE is set."
    )


@pytest.mark.parametrize("kept", [True, False])
def test_submodules(  # noqa: PLR0913, PLR0917 (fixtures)
    pulled: Pull,
    hosted: str,
    origin: Origin,
    cache: Path,
    kept: bool,  # noqa: FBT001
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Submodules come from the volume's snapshot; if they are missing there, git may not fetch them."""
    library = Origin(origin.path.parent / "library")
    library.commit("library.py", "x = 1")
    origin.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", "../library", "library")
    origin.git("config", "-f", ".gitmodules", "submodule.library.url", "../library")
    origin.git("add", "--all")
    origin.git("commit", "--quiet", "--message", "library")
    inputs = {"repository": hosted, "include_submodules": True}
    pulled(inputs)
    (snapshot,) = snapshots(cache)
    if kept:
        directory = pulled(inputs, PREFECT_UV_OFFLINE="true")
        assert (directory / "library" / "library.py").read_text() == "x = 1"
        return
    shutil.rmtree(snapshot / "modules")
    with pytest.raises(OfflineCodeError):
        pulled(inputs, PREFECT_UV_OFFLINE="true")
    assert (
        f"warning: the mirror's snapshot {snapshot} could not be used: Git needs to fetch more of {bare(hosted)}"
        " (a submodule, or objects that a partial clone left out), but PREFECT_UV_OFFLINE is set."
    ) in capsys.readouterr().err


def test_existing_clone_is_kept(
    pulled: Pull, hosted: str, tmp_path: Path, origin: Origin, capsys: pytest.CaptureFixture[str]
) -> None:
    """A clone that the directory already has is kept, including local changes."""
    directory = pulled({"repository": hosted}, directory=tmp_path)
    head = origin.git("rev-parse", "HEAD")
    (directory / "flow.py").write_text("changed")
    origin.commit("flow.py", "second")
    assert content(pulled({"repository": hosted}, directory=tmp_path, PREFECT_UV_OFFLINE="true")) == "changed"
    assert f"{bare(hosted)} at {head[:12]} (offline: kept) into {directory}" in capsys.readouterr().err


def test_existing_clone_without_the_commit(pulled: Pull, hosted: str, tmp_path: Path, origin: Origin) -> None:
    """A commit that the clone has is checked out; another one is an error."""
    first = origin.git("rev-parse", "HEAD")
    inputs = {"repository": hosted, "clone_directory_name": "code"}
    pulled(inputs, directory=tmp_path)
    assert content(pulled({**inputs, "commit_sha": first}, directory=tmp_path, PREFECT_UV_OFFLINE="true")) == "first"
    second = origin.commit("flow.py", "second")
    with pytest.raises(OfflineCodeError) as caught:
        pulled({**inputs, "commit_sha": second}, directory=tmp_path, PREFECT_UV_OFFLINE="true")
    assert "transport 'http' not allowed" in caught.value.found


def test_clone_of_another_repository_is_refused(pulled: Pull, hosted: str, tmp_path: Path) -> None:
    """A clone of another repository is refused as it is online."""
    directory = pulled({"repository": hosted}, directory=tmp_path)
    with pytest.raises(PullStepError) as caught:
        pulled(
            {"repository": "https://h/other", "clone_directory_name": "flows"},
            directory=tmp_path,
            PREFECT_UV_OFFLINE="true",
        )
    assert caught.value.headline == f"{directory} holds a clone of another repository."


def test_repository_on_this_machine_needs_no_network(pulled: Pull, origin: Origin) -> None:
    """A local repository is cloned as it is online."""
    assert content(pulled({"repository": origin.url}, PREFECT_UV_OFFLINE="true")) == "first"


@pytest.mark.parametrize(
    ("step", "inputs", "origin"),
    [
        ("prefect_aws.deployments.steps.pull_from_s3", {"bucket": "b"}, "a service that prefect-aws connects to"),
        ("prefect.deployments.steps.pull_from_remote_storage", {"url": "s3://b/flows"}, "s3://b/flows"),
        ("prefect.deployments.steps.pull_from_remote_storage", {"url": "https://h/flows"}, "https://h/flows"),
        (
            "prefect.deployments.steps.pull_with_block",
            {"block_type_slug": "gcs-bucket", "block_document_name": "b"},
            "a service that prefect-gcp connects to",
        ),
    ],
)
def test_steps_that_need_the_network(pulled: Pull, step: str, inputs: dict[str, str], origin: str) -> None:
    """Steps that need the network are refused before an environment is built for them."""
    with pytest.raises(OfflineStepError) as caught:
        pulled(inputs, step, PREFECT_UV_OFFLINE="true")
    assert caught.value.render() == (
        f"error[offline-step]: {step} needs the network, and PREFECT_UV_OFFLINE is set.\n\n"
        f"In pull step 1, {step}.\n\n"
        f"It reads from {origin}.\n\n"
        "hint: Pull with git_clone, which uses the clone on the cache volume when offline, or bake the code into the"
        " image."
    )
