"""Cloning from real servers: the error for each failure, SSH, and the mirror with kills and concurrency."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import IndexUnreachableError
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.git import git_commands as git_module
from prefect_uv.settings import Settings
from tests.pull.conftest import ROOT, Ours, Recorder, tree
from tests.pull.repositories import package, rich, with_submodule
from tests.pull.servers import HttpsGit, SshGit, https_git, ssh_git
from tests.stack.process import wait_until
from tests.unit.conftest import Origin

CLONE = "prefect.deployments.steps.git_clone"
TOKEN = "t0ken-of-tests"  # noqa: S105 (planted)
KILLS = 60 if os.environ.get("PREFECT_UV_TEST_FULL") else 12


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a pause."""
    monkeypatch.setattr(git_module, "BACKOFF_SECONDS", 0)


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository with everything."""
    return rich(tmp_path / "origin")


@pytest.fixture
def hosted(origin: Origin, tmp_path: Path) -> Iterator[HttpsGit]:
    """The same repository over HTTPS, for those who have the token."""
    with https_git(origin.path.parent, tmp_path) as running:
        running.accepted = {f"oauth2:{TOKEN}"}
        yield running


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshGit]:
    """An SSH server."""
    with ssh_git(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def base(bases: tuple[Path, Path]) -> Path:
    """An empty directory."""
    return bases[1]


def mounted(ssh: SshGit) -> dict[str, str]:
    """Variables for a mounted key and known_hosts file."""
    return {"PREFECT_UV_SSH_KEY": str(ssh.key), "PREFECT_UV_SSH_KNOWN_HOSTS": str(ssh.known_hosts)}


def test_ssh(ssh: SshGit, origin: Origin, alone: Ours, base: Path) -> None:
    """A repository is cloned over SSH with a mounted key and known_hosts file."""
    outcome = alone([{CLONE: {"repository": ssh.url(origin.path), "branch": "main"}}], base, mounted(ssh))
    assert outcome.error == ""
    assert outcome.outputs == {"directory": "flows-main"}
    assert (base / "flows-main" / "flow.py").read_text() == "second"


def test_ssh_host_key_unknown(ssh: SshGit, origin: Origin, alone: Ours, base: Path) -> None:
    """An unknown host is neither trusted nor asked about: the error says what to mount."""
    environ = {**mounted(ssh), "PREFECT_UV_SSH_KNOWN_HOSTS": "/dev/null"}
    outcome = alone([{CLONE: {"repository": ssh.url(origin.path)}}], base, environ)
    assert outcome.slug == "host-key-unknown"
    assert "PREFECT_UV_SSH_KNOWN_HOSTS" in outcome.error


def test_ssh_refused(ssh: SshGit, origin: Origin, alone: Ours, base: Path, tmp_path: Path) -> None:
    """A key that the server does not accept is a git-unauthorized error."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True, timeout=20)
    environ = {**mounted(ssh), "PREFECT_UV_SSH_KEY": str(tmp_path / "k")}
    assert alone([{CLONE: {"repository": ssh.url(origin.path)}}], base, environ).slug == "git-unauthorized"


def test_ssh_no_repository(ssh: SshGit, alone: Ours, base: Path) -> None:
    """A path without a repository is a repository-not-found error."""
    step = {CLONE: {"repository": ssh.url(Path("/nowhere"))}}
    assert alone([step], base, mounted(ssh)).slug == "repository-not-found"


def test_ssh_down(ssh: SshGit, alone: Ours, base: Path) -> None:
    """An SSH server that does not listen is a git-unreachable error."""
    step = {CLONE: {"repository": replace(ssh, port=9).url(Path("/x"))}}
    assert alone([step], base, mounted(ssh)).slug == "git-unreachable"


def test_ssh_submodule(ssh: SshGit, origin: Origin, hosted: HttpsGit, alone: Ours, base: Path) -> None:
    """A submodule with an SSH address is filled with the mounted files, in a clone over HTTPS."""
    with_submodule(origin, "inner", ssh.url(origin.path.parent / "inner"))
    inputs = {"repository": hosted.url("gitlab.test"), "access_token": TOKEN, "include_submodules": True}
    outcome = alone([{CLONE: inputs}], base, {**hosted.environ, **mounted(ssh)})
    assert outcome.error == ""
    assert "flows/inner/inner.txt" in outcome.tree


def test_ssh_dependency(ssh: SshGit, image: Image, tmp_path: Path) -> None:
    """uv fetches a dependency over SSH with the same files as git; without them, the error says what to mount."""
    requirement = f"dep @ git+{ssh.url(package(tmp_path).path)}"
    cache = CacheDirectory(tmp_path / "cache", frozenset({os.geteuid()}), tmp_path / "cache" / "uv")
    for variables in ({}, mounted(ssh)):
        uv = Uv(Settings.from_environ({**os.environ, **variables}), image, cache, RunLog(Mask()))
        target = ("pip", "install", "--python", sys.executable, "--target", tmp_path / "target", requirement)
        if variables:
            uv.run_checked(*target)
        else:
            with pytest.raises(IndexUnreachableError, match="SSH host key of a dependency's git server") as caught:
                uv.run_checked(*target)
            assert "PREFECT_UV_SSH_KNOWN_HOSTS" in caught.value.hint
    assert (tmp_path / "target" / "dep" / "__init__.py").is_file()


FAILURES: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"access_token": "wrong-one-of-tests"}, {}, "git-unauthorized"),
    ({}, {}, "git-unauthorized"),
    ({"access_token": TOKEN, "repository": "nowhere"}, {}, "repository-not-found"),
    ({"access_token": TOKEN, "branch": "nowhere"}, {}, "revision-not-found"),
    ({"access_token": TOKEN, "commit_sha": "0" * 40}, {}, "revision-not-found"),
    ({"access_token": TOKEN}, {"GIT_SSL_CAINFO": "/etc/ssl/certs/ca-certificates.crt"}, "git-certificate-untrusted"),
    ({"access_token": TOKEN}, {"PREFECT_UV_GIT_TIMEOUT": "0.001"}, "git-timeout"),
    ({"access_token": TOKEN, "clone_directory_name": "taken"}, {}, "pull-step-invalid"),
]


@pytest.mark.parametrize(("inputs", "environ", "slug"), FAILURES, ids=str)
def test_failure(  # noqa: PLR0913 (both sides of a comparison)
    *, inputs: dict[str, Any], environ: dict[str, str], slug: str, hosted: HttpsGit, alone: Ours, base: Path
) -> None:
    """Each failure has its own slug, is not retried, and shows no secret."""
    (base / "taken").mkdir()
    (base / "taken" / "file").touch()
    url = hosted.url("gitlab.test", inputs.get("repository", "flows"))
    outcome = alone([{CLONE: {**inputs, "repository": url}}], base, {**hosted.environ, **environ})
    assert outcome.slug == slug, outcome.error
    assert set(outcome.tree) == {"taken", "taken/file"}
    assert "wrong-one-of-tests" not in outcome.error
    assert TOKEN not in outcome.error
    assert "Trying again" not in "\n".join(alone.lines)


def test_disk_full(origin: Origin, alone: Ours, base: Path) -> None:
    """A full disk is a checkout-full error, and nothing is left behind."""
    (origin.path / "large.bin").write_bytes(os.urandom(4_000_000))
    origin.commit("large", "x")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(base)], check=True, timeout=20)
    try:
        outcome = alone([{CLONE: {"repository": origin.url}}], base)
        assert outcome.slug == "checkout-full", outcome.error
        assert outcome.tree == {}
    finally:
        os.chdir("/")
        subprocess.run(["umount", str(base)], check=True, timeout=20)


def test_network_fault_is_tried_again(alone: Ours, base: Path) -> None:
    """A network fault is tried three times, with a warning before each retry."""
    outcome = alone([{CLONE: {"repository": "https://127.0.0.1:9/flows"}}], base, {"NO_PROXY": "*", "no_proxy": "*"})
    assert outcome.slug == "git-unreachable"
    assert sum("Trying again" in line for line in alone.lines) == 2


def test_secret_is_nowhere(hosted: HttpsGit, mirrored: Ours, base: Path, recorder: Recorder) -> None:
    """No command line, file or log line contains the token, even with the mirror."""
    for name in ("one", "two"):
        inputs = {"repository": hosted.url("gitlab.test"), "access_token": TOKEN, "clone_directory_name": name}
        assert mirrored([{CLONE: inputs}], base, {**hosted.environ, **recorder.environ}).error == ""
    needles = [TOKEN, "b2F1dGgyOnQwa2VuLW9mLXRlc3Rz"]
    assert "clone" in recorder.path.read_text()
    assert mirrored.cache
    for path in [recorder.path, *mirrored.cache.rglob("*"), *base.rglob("*")]:
        if path.is_file():
            assert not [needle for needle in needles if needle.encode() in path.read_bytes()], path
    assert not [needle for needle in needles if needle in "\n".join(mirrored.lines)]


@pytest.fixture
def mirrored(alone: Ours, tmp_path: Path) -> Ours:
    """Our own steps with a cache volume, without a server."""
    alone.cache = tmp_path / "cache"
    alone.cache.mkdir()
    return alone


def clone_tree(ours: Ours, base: Path, number: int, hosted: HttpsGit, **inputs: Any) -> dict[str, str]:
    """Clone in a new directory, as a new container does, and return the tree."""
    work = base / str(number)
    work.mkdir()
    step = {CLONE: {"repository": hosted.url("gitlab.test"), "access_token": TOKEN, **inputs}}
    outcome = ours([step], work, hosted.environ)
    assert outcome.error == ""
    return tree(work / str(outcome.outputs["directory"]))


def test_warm_pull_asks_once(hosted: HttpsGit, mirrored: Ours, base: Path) -> None:
    """A warm pull of an unchanged branch asks for its commit, and transfers no pack."""
    first = clone_tree(mirrored, base, 1, hosted)
    hosted.requests.clear()
    assert clone_tree(mirrored, base, 2, hosted) == first
    posts = [request for request in hosted.requests if "POST" in request]
    assert len(posts) == 1


def test_changed_branch_transfers_only_what_is_new(
    origin: Origin, hosted: HttpsGit, mirrored: Ours, base: Path
) -> None:
    """A large file that has not changed is not transferred again."""
    (origin.path / "large.bin").write_bytes(os.urandom(2_000_000))
    origin.commit("flow.py", "third")
    clone_tree(mirrored, base, 1, hosted)
    origin.commit("flow.py", "fourth")
    clone_tree(mirrored, base, 2, hosted)
    packs = sorted(
        (base / "2" / "flows" / ".git" / "objects" / "pack").glob("*.pack"), key=lambda path: path.stat().st_size
    )
    assert (base / "2" / "flows" / "flow.py").read_text() == "fourth"
    assert packs[-1].stat().st_size > 2_000_000
    loose = list((base / "2" / "flows" / ".git" / "objects").glob("??/*"))
    assert sum(path.stat().st_size for path in (*packs[:-1], *loose)) < 100_000


@pytest.mark.parametrize("inputs", [{}, {"branch": "main"}, {"directories": ["etl"]}], ids=str)
def test_force_pushed_branch(
    inputs: dict[str, Any], origin: Origin, hosted: HttpsGit, mirrored: Ours, base: Path
) -> None:
    """After a force push, the server's current state is checked out."""
    clone_tree(mirrored, base, 1, hosted, **inputs)
    origin.git("reset", "--quiet", "--hard", "v1^{commit}")
    origin.commit("new.txt", "after the force push")
    after = clone_tree(mirrored, base, 2, hosted, **inputs)
    mirrored.cache = None
    assert clone_tree(mirrored, base, 3, hosted, **inputs) == after


def test_moved_tag(origin: Origin, hosted: HttpsGit, mirrored: Ours, base: Path) -> None:
    """A tag that was moved is checked out at its new commit."""
    clone_tree(mirrored, base, 1, hosted, branch="v1")
    origin.git("tag", "--force", "--annotate", "--message", "moved", "v1", "main")
    clone_tree(mirrored, base, 2, hosted, branch="v1")
    assert (base / "2" / "flows-v1" / "flow.py").read_text() == "second"


def test_old_snapshots_are_deleted(origin: Origin, hosted: HttpsGit, mirrored: Ours, base: Path) -> None:
    """Only the newest three snapshots are kept."""
    for number in range(5):
        origin.commit("flow.py", f"number {number}")
        clone_tree(mirrored, base, number, hosted)
    assert mirrored.cache
    assert len(list(mirrored.cache.glob("git/v1/*/[0-9a-f]*"))) == 3
    assert list(mirrored.cache.glob("tmp/*")) == []


def test_mirror_turned_off(hosted: HttpsGit, mirrored: Ours, base: Path) -> None:
    """With PREFECT_UV_GIT_MIRROR=false nothing is written to the volume."""
    step = {CLONE: {"repository": hosted.url("gitlab.test"), "access_token": TOKEN}}
    assert mirrored([step], base, {**hosted.environ, "PREFECT_UV_GIT_MIRROR": "false"}).error == ""
    assert mirrored.cache
    assert list(mirrored.cache.iterdir()) == []


@pytest.mark.parametrize("newer", [False, True])
def test_damaged_snapshot_is_replaced_by_a_clone(
    origin: Origin, hosted: HttpsGit, mirrored: Ours, base: Path, *, newer: bool
) -> None:
    """A snapshot that git cannot read costs a warning and a clone, even if a newer commit is pulled."""
    clone_tree(mirrored, base, 1, hosted)
    assert mirrored.cache
    for pack in mirrored.cache.glob("git/v1/*/*/objects/pack/*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:50])
    if newer:
        origin.commit("flow.py", "newer")
    after = clone_tree(mirrored, base, 2, hosted)
    assert any("could not be used" in line for line in mirrored.lines)
    mirrored.cache = None
    assert clone_tree(mirrored, base, 3, hosted) == after


PULL_SCRIPT = """
import json, os, sys
from prefect_uv.log.mask import Mask
from prefect_uv.pull import pull
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings
os.chdir(sys.argv[1])
pull(json.loads(sys.argv[2]), Settings.from_environ(os.environ), RunLog(Mask()), None)
"""


def start_pull(base: Path, name: str, origin: Origin, cache: Path) -> subprocess.Popen[bytes]:
    """Start a pull in a process of its own."""
    work = base / name
    work.mkdir()
    deployment = f'{{"pull_steps": [{{"{CLONE}": {{"repository": "{origin.url}"}}}}]}}'
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "entrypoint" / "src"), "PREFECT_UV_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", PULL_SCRIPT, str(work), deployment.replace("'", '"')],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.timeout(240)
def test_kills_and_concurrency(origin: Origin, base: Path, tmp_path: Path) -> None:
    """Concurrent pulls of a moving branch have the right tree, although others are killed at any moment."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(KILLS):
        origin.commit("flow.py", f"number {number}")
        processes = [start_pull(base, f"{number}-{index}", origin, cache) for index in range(3)]
        time.sleep(0.02 * (number % 12))
        os.killpg(processes[0].pid, signal.SIGKILL)
        assert [process.wait(60) for process in processes[1:]] == [0, 0]
        processes[0].wait(60)
        for index in (1, 2):
            checkout = base / f"{number}-{index}" / "flows"
            assert (checkout / "flow.py").read_text() == f"number {number}"
            clean = subprocess.run(
                ["git", "status", "--porcelain"], cwd=checkout, check=True, capture_output=True, timeout=20
            )
            assert clean.stdout == b""
    wait_until(lambda: list(cache.glob("git/v1/*/[0-9a-f]*")), "a snapshot", 5)
