"""Cloning with a real git, from file:// and over HTTP with credentials."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from prefect_uv.errors import (
    AddressRefusedError,
    CloneError,
    GitUnauthorizedError,
    PullStepError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.checkout import Checkout, StepContext
from prefect_uv.pull.git.clone_step import git_clone
from prefect_uv.pull.templating import Blocks
from prefect_uv.settings import Settings
from tests.pull.repositories import with_submodule
from tests.unit.conftest import Origin
from tests.unit.git_server import git_server

PASSWORD = "s3cr3t-t0ken"  # noqa: S105 (planted, to look for it)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The directory that clones are made in."""
    directory = tmp_path / "base"
    directory.mkdir()
    return directory


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the arguments of every `git` that is started."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {shutil.which("git")} "$@"\n')
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return calls


def clone(base: Path, log: RunLog, **inputs: Any) -> Path:
    """Perform a git_clone step with these inputs, and return the clone's directory."""
    settings = Settings.from_environ(os.environ)
    checkout = Checkout(base, base, os.environ)
    return base / str(git_clone(StepContext(settings, log, Blocks(None, log.mask)), checkout, **inputs)[0]["directory"])


def content(directory: Path) -> str:
    """The content of flow.py."""
    return (directory / "flow.py").read_text()


def test_default_branch(base: Path, log: RunLog, origin: Origin, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a branch, the default branch is cloned, shallow, and the details name the commit and git's commands."""
    log.verbose = True
    head = origin.commit("flow.py", "second")
    directory = clone(base, log, repository=origin.url)
    assert directory == base / "flows"
    assert content(directory) == "second"
    assert (directory / ".git" / "shallow").is_file()
    *commands, line = capsys.readouterr().err.splitlines()
    assert line == f"prefect-uv: {origin.url} at {head[:12]} (cloned) into {directory}"
    assert f"prefect-uv: git clone --quiet --no-checkout --depth 1 -- {origin.url} {directory}" in commands


def test_branch(base: Path, log: RunLog, origin: Origin) -> None:
    """A branch is cloned into a directory whose name ends in the branch's, with `-` for `/`."""
    origin.git("switch", "--quiet", "--create", "feature/x")
    origin.commit("flow.py", "on the branch")
    origin.git("switch", "--quiet", "main")
    directory = clone(base, log, repository=origin.url, branch="feature/x")
    assert directory == base / "flows-feature-x"
    assert content(directory) == "on the branch"


def test_commit(base: Path, log: RunLog, origin: Origin) -> None:
    """A commit is checked out although it is not the newest."""
    wanted = origin.commit("flow.py", "second")
    origin.commit("flow.py", "third")
    directory = clone(base, log, repository=origin.url, commit_sha=wanted)
    assert directory == base / "flows"
    assert content(directory) == "second"


def test_commit_on_a_server_whose_default_branch_is_gone(base: Path, log: RunLog, origin: Origin) -> None:
    """A commit can be cloned without any branch."""
    wanted = origin.commit("flow.py", "second")
    origin.git("symbolic-ref", "HEAD", "refs/heads/gone")
    assert content(clone(base, log, repository=origin.url, commit_sha=wanted)) == "second"


def test_repository_without_a_commit(
    base: Path, log: RunLog, origin: Origin, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty repository is cloned, and the details say so; a commit of it is an error."""
    log.verbose = True
    empty = Origin(origin.path.with_name("empty"))
    directory = clone(base, log, repository=empty.url)
    assert [path.name for path in directory.iterdir()] == [".git"]
    assert f"{empty.url} at no commit (cloned) into {directory}" in capsys.readouterr().err
    with pytest.raises(RevisionNotFoundError):
        clone(base, log, repository=empty.url, commit_sha="0" * 40, clone_directory_name="code")


def test_clone_directory_name(base: Path, log: RunLog, origin: Origin) -> None:
    """The clone goes into the directory that the step names."""
    assert clone(base, log, repository=origin.url, clone_directory_name="code") == base / "code"


def test_git_suffix_is_removed(base: Path, log: RunLog, origin: Origin) -> None:
    """`bare.git` is cloned into `bare`."""
    bare = origin.path.parent / "bare.git"
    origin.git("clone", "--quiet", "--bare", ".", str(bare))
    assert clone(base, log, repository=f"file://{bare}") == base / "bare"


def test_existing_clone_is_updated(base: Path, log: RunLog, origin: Origin) -> None:
    """A container that starts again gets the newest commit, and keeps files that are not in git."""
    directory = clone(base, log, repository=origin.url)
    (directory / "notes").write_text("kept")
    origin.commit("flow.py", "second")
    assert clone(base, log, repository=origin.url) == directory
    assert content(directory) == "second"
    assert (directory / "notes").read_text() == "kept"


@pytest.mark.parametrize("name", ["branch", "commit_sha"])
def test_existing_clone_is_updated_to_a_revision(base: Path, log: RunLog, origin: Origin, name: str) -> None:
    """A branch or a commit is updated likewise."""
    first = origin.git("rev-parse", "HEAD")
    clone(base, log, repository=origin.url, **{name: "main" if name == "branch" else first})
    wanted = origin.commit("flow.py", "second")
    directory = clone(base, log, repository=origin.url, **{name: "main" if name == "branch" else wanted})
    assert content(directory) == "second"


def test_clone_of_another_repository_is_refused(base: Path, log: RunLog, origin: Origin, tmp_path: Path) -> None:
    """A directory with a clone of another repository is not touched."""
    directory = clone(base, log, repository=origin.url)
    other = Origin(tmp_path / "elsewhere" / "flows")
    other.commit("flow.py", "other")
    with pytest.raises(PullStepError) as caught:
        clone(base, log, repository=other.url)
    assert caught.value.headline == f"{directory} holds a clone of another repository."
    assert caught.value.found == f"Its origin is {origin.url}; the step asks for {other.url}."
    assert content(directory) == "first"


@pytest.mark.parametrize("place", [".", ".git"])
def test_clone_of_a_stranger_is_refused(base: Path, log: RunLog, origin: Origin, place: str, tmp_path: Path) -> None:
    """git runs nothing that the configuration of somebody else's clone names."""
    directory = clone(base, log, repository=origin.url)
    config = directory / ".git" / "config"
    config.write_text(f'{config.read_text()}[remote "origin"]\n\tuploadpack = touch {tmp_path}/ran; git-upload-pack\n')
    os.chown(directory / place, 4711, 0)
    with pytest.raises(PullStepError) as caught:
        clone(base, log, repository=origin.url)
    assert caught.value.headline == f"{directory} holds a clone of uid 4711, who is not trusted."
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("inputs", "headline"),
    [
        ({"branch": "a", "commit_sha": "abcd"}, "git_clone has both a branch and a commit_sha."),
        ({"commit_sha": "main"}, "git_clone's commit_sha 'main' is not 4 to 64 hexadecimal digits."),
        ({"commit_sha": "--x"}, "git_clone's commit_sha '--x' is not 4 to 64 hexadecimal digits."),
    ],
)
def test_contradictory_inputs(base: Path, log: RunLog, inputs: dict[str, str], headline: str) -> None:
    """Inputs that contradict each other or cannot be right are refused before git starts."""
    with pytest.raises(PullStepError) as caught:
        clone(base, log, repository="https://git.invalid/x", **inputs)
    assert caught.value.headline == headline


@pytest.mark.parametrize(
    "inputs",
    [
        {"clone_directory_name": "../x"},
        {"clone_directory_name": "../../tmp/x"},
        {"clone_directory_name": "a/../../x"},
        {"clone_directory_name": "/tmp/x"},
        {"repository": "https://git.invalid/.."},
    ],
    ids=str,
)
def test_directory_outside_is_refused(base: Path, log: RunLog, inputs: dict[str, str]) -> None:
    """A clone never goes anywhere but below the directory that the step starts in, whatever the name comes from."""
    with pytest.raises(PullStepError) as caught:
        clone(base, log, **{"repository": "https://git.invalid/x", **inputs})
    assert caught.value.headline.endswith(f" is not below {base}.")


@pytest.mark.parametrize("address", ["ext::sh -c touch% {base}/ran", "fd::17", "fd::17,18/x"])
def test_address_that_git_refuses(
    base: Path, log: RunLog, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An address that is a command or a descriptor is refused at once, online too, and no command runs."""
    monkeypatch.setenv("PREFECT_UV_GIT_TIMEOUT", "10")
    url = address.format(base=tmp_path)
    with pytest.raises(AddressRefusedError) as caught:
        clone(base, log, repository=url, clone_directory_name="x")
    assert caught.value.headline == (
        f"Git may not read from {url} or one of its submodules: it refuses this kind of address."
    )
    assert not (tmp_path / "ran").exists()


def test_submodule_in_a_local_directory(base: Path, log: RunLog, origin: Origin) -> None:
    """git refuses it unless it is told otherwise, and the error says how."""
    with_submodule(origin, "inner", f"file://{origin.path.parent}/inner")
    with pytest.raises(AddressRefusedError) as caught:
        clone(base, log, repository=origin.url, include_submodules=True)
    assert "protocol.file.allow" in caught.value.hint


def test_no_such_branch(base: Path, log: RunLog, origin: Origin, recorded: Path) -> None:
    """The error names the branch after one attempt, and nothing is left behind."""
    with pytest.raises(RevisionNotFoundError) as caught:
        clone(base, log, repository=origin.url, branch="nope")
    assert caught.value.headline == f"There is no branch 'nope' in {origin.url}."
    assert "exited with code 128:" in caught.value.found
    assert "Remote branch nope not found" in caught.value.found
    assert recorded.read_text().count("clone") == 1
    assert list(base.iterdir()) == []


@pytest.mark.parametrize("commit", ["0" * 40, "deadbeef"])
def test_no_such_commit(base: Path, log: RunLog, origin: Origin, commit: str) -> None:
    """The error names the commit, and nothing is left behind."""
    with pytest.raises(RevisionNotFoundError) as caught:
        clone(base, log, repository=origin.url, commit_sha=commit)
    assert caught.value.headline == f"There is no commit {commit} in {origin.url}."
    assert list(base.iterdir()) == []


def test_no_such_branch_in_an_existing_clone(base: Path, log: RunLog, origin: Origin) -> None:
    """The existing clone does not change."""
    directory = clone(base, log, repository=origin.url, clone_directory_name="code")
    with pytest.raises(RevisionNotFoundError):
        clone(base, log, repository=origin.url, branch="nope", clone_directory_name="code")
    assert content(directory) == "first"


@pytest.mark.parametrize("inputs", [{}, {"branch": "main"}, {"commit_sha": "abcd"}])
def test_no_such_repository(base: Path, log: RunLog, tmp_path: Path, inputs: dict[str, str]) -> None:
    """The error names the address, and nothing is left behind."""
    url = f"file://{tmp_path}/nowhere"
    with pytest.raises(RepositoryNotFoundError) as caught:
        clone(base, log, repository=url, **inputs)
    assert caught.value.headline == f"There is no repository at {url}."
    assert list(base.iterdir()) == []


def test_server_that_does_not_answer(base: Path, log: RunLog, recorded: Path) -> None:
    """A server that cannot be reached is tried three times."""
    url = "http://127.0.0.1:9/flows"
    with pytest.raises(CloneError) as caught:
        clone(base, log, repository=url)
    assert caught.value.slug == "git-unreachable"
    assert caught.value.headline == f"The git server of {url} cannot be reached."
    assert recorded.read_text().count("clone") == 3
    assert list(base.iterdir()) == []


@pytest.fixture
def hosted(origin: Origin) -> Iterator[str]:
    """`host:port` of a server that gives `flows` to the user bot with PASSWORD."""
    with git_server(origin.path.parent, f"bot:{PASSWORD}") as address:
        yield address


def test_credentials_in_the_address(  # noqa: PLR0913, PLR0917 (fixtures)
    base: Path, log: RunLog, hosted: str, recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They give access to the repository, and are in no argument, file of the clone or line of output."""
    url = f"http://bot:{PASSWORD}@{hosted}/flows"
    directory = clone(base, log, repository=url)
    clone(base, log, repository=url)
    assert content(directory) == "first"
    assert PASSWORD not in recorded.read_text()
    assert PASSWORD not in capsys.readouterr().err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_credentials_in_netrc(
    base: Path, log: RunLog, hosted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without other credentials, git reads ~/.netrc."""
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login bot password {PASSWORD}\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert content(clone(base, log, repository=f"http://{hosted}/flows")) == "first"


@pytest.mark.parametrize("inputs", [{"branch": "main"}, {"commit": True}])
def test_credentials_and_a_revision(
    base: Path, log: RunLog, hosted: str, origin: Origin, inputs: dict[str, Any]
) -> None:
    """Later requests of the same clone (fetch, missing blobs) have the credentials too."""
    if inputs.pop("commit", None):
        inputs["commit_sha"] = origin.git("rev-parse", "HEAD")
        origin.commit("flow.py", "second")
    assert content(clone(base, log, repository=f"http://bot:{PASSWORD}@{hosted}/flows", **inputs)) == "first"


@pytest.mark.parametrize(
    "password", ["two  spaces ", "a*b?c", r"back\tslash", "do$llar`x`", "quo'te\"", "-n", "p@ss/w:rd"]
)
def test_any_password_reaches_the_server(base: Path, log: RunLog, origin: Origin, password: str) -> None:
    """A password may have any characters."""
    with git_server(origin.path.parent, f"bot:{password}") as hosted:
        directory = clone(base, log, repository=f"http://bot:{quote(password, safe='')}@{hosted}/flows")
    assert content(directory) == "first"


@pytest.mark.parametrize("userinfo", ["", "bot:wrong-one@"])
def test_refused_credentials(base: Path, log: RunLog, hosted: str, userinfo: str) -> None:
    """Missing or wrong credentials are an error that does not show them; git does not prompt."""
    with pytest.raises(GitUnauthorizedError) as caught:
        clone(base, log, repository=f"http://{userinfo}{hosted}/flows")
    assert caught.value.headline == f"The git server refused access to http://{hosted}/flows."
    assert "wrong-one" not in caught.value.render()
    assert list(base.iterdir()) == []


def test_no_such_repository_over_http(base: Path, log: RunLog, hosted: str) -> None:
    """A server that answers 404 has no such repository."""
    with pytest.raises(RepositoryNotFoundError):
        clone(base, log, repository=f"http://bot:{PASSWORD}@{hosted}/nowhere")
