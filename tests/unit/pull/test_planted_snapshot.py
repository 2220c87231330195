"""What somebody else has written into a repository on the volume: git runs none of it, and no file of it is used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull import pull
from prefect_uv.settings import Settings
from tests.pull.repositories import ALLOW_FILE, with_submodule
from tests.unit.conftest import Origin

STRANGER = 4711
PROGRAMS = """
[core]
	fsmonitor = {program}
	hooksPath = {hooks}
	sshCommand = {program}
	gitProxy = {program}
	pager = {program}
	editor = {program}
	alternateRefsCommand = {program}
	attributesFile = {attributes}
[filter "planted"]
	smudge = {program}
	clean = {program}
	process = {program}
[diff]
	external = {program}
[credential]
	helper = !{program}
[protocol]
	allow = always
[remote "origin"]
	uploadpack = {program}
[submodule "inner"]
	update = !{program}
[include]
	path = {included}
[extensions]
	worktreeConfig = true
"""
INPUTS: list[dict[str, Any]] = [{}, {"include_submodules": True}, {"directories": ["inner", "."]}, {"commit_sha": "@"}]


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A repository with a submodule."""
    repository = Origin(tmp_path / "origin" / "flows")
    repository.commit("flow.py", "first")
    with_submodule(repository, "inner", f"file://{repository.path.parent}/inner")
    return repository


class Container:
    """New containers on one volume, each with a directory of its own."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache = directory / "cache"
        self.cache.mkdir()
        self._directory = directory
        self._monkeypatch = monkeypatch
        self._count = iter(range(100))
        self.lines: list[str] = []

    def pull(self, url: str, inputs: dict[str, Any]) -> Path:
        """Pull in a new container; returns the clone."""
        work = self._directory / f"work-{next(self._count)}"
        work.mkdir()
        self._monkeypatch.chdir(work)
        settings = Settings.from_environ({**os.environ, **ALLOW_FILE, "PREFECT_UV_CACHE_DIR": str(self.cache)})
        self._monkeypatch.setattr(RunLog, "_line", lambda _, __, message: self.lines.append(message))
        step = {"prefect.deployments.steps.git_clone": {"repository": url, **inputs}}
        log = RunLog(Mask())
        log.verbose = True
        return pull({"pull_steps": [step]}, settings, log, None).directory

    def snapshots(self) -> list[Path]:
        """The snapshots on the volume."""
        return list(self.cache.glob(f"git/v1/*/{'[0-9a-f]' * 40}"))


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Container:
    """Containers on an empty volume."""
    return Container(tmp_path, monkeypatch)


def plant(repository: Path, directory: Path) -> Path:
    """Plant programs in every place of a repository that names some; returns the file that any of them would make."""
    ran, hooks, program = directory / "ran", repository / "hooks", directory / "program"
    program.write_text(f"#!/bin/sh\necho $0 $@ >> {ran}\n")
    program.chmod(0o755)
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc"):
        (hooks / name).symlink_to(program)
    paths = {name: directory / name for name in ("attributes", "included")}
    paths["attributes"].write_text("* filter=planted\n")
    paths["included"].write_text(f"[core]\n\tfsmonitor = {program}\n")
    planted = PROGRAMS.format(program=program, hooks=hooks, **paths)
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "attributes").write_text("* filter=planted\n")
    (repository / "config").chmod(0o644)
    (repository / "config").write_text((repository / "config").read_text() + planted)
    (repository / "config.worktree").write_text(planted)
    return ran


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@pytest.mark.parametrize("change", ["none", "commit"])
def test_programs_in_a_snapshot_do_not_run(
    inputs: dict[str, Any], change: str, container: Container, origin: Origin, tmp_path: Path
) -> None:
    """A snapshot is restored and updated without them, and nothing of them is left in the clone."""
    if "commit_sha" in inputs:
        inputs = {"commit_sha": origin.git("rev-parse", "HEAD")}
    container.pull(origin.url, inputs)
    for config in [path for snapshot in container.snapshots() for path in snapshot.rglob("config")]:
        ran = plant(config.parent, tmp_path)
    if change == "commit":
        origin.commit("flow.py", "second")
    container.lines.clear()
    clone = container.pull(origin.url, inputs)
    assert not ran.exists(), ran.read_text()
    updated = change == "commit" and not inputs.get("commit_sha")
    assert (clone / "flow.py").read_text() == ("second" if updated else "first")
    assert (clone / "inner" / "inner.txt").exists() == ("include_submodules" in inputs)
    assert any(f" ({'updated' if updated else 'restored'}) into " in line for line in container.lines), container.lines
    texts = [path.read_text(errors="replace") for path in clone.rglob("*") if path.is_file()]
    assert not [text for text in texts if str(tmp_path / "program") in text]


def test_settings_of_the_user_count(
    container: Container, origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot is restored and updated with the user's own git settings, such as another address for a host."""
    (tmp_path / "gitconfig").write_text(f'[url "file://{origin.path.parent}/"]\n\tinsteadOf = https://alias.invalid/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    url = "https://alias.invalid/flows"
    for content in ("first", "second"):
        origin.commit("flow.py", f"{content} again")
        for _ in range(2):
            clone = container.pull(url, {})
            assert (clone / "flow.py").read_text() == f"{content} again"
    assert f"url = {url}" in (clone / ".git" / "config").read_text()
    actions = [line.partition("(")[2].partition(")")[0] for line in container.lines if line.startswith(f"{url} at ")]
    assert actions == ["cloned", "restored", "updated", "restored"]


@pytest.mark.parametrize("place", ["", ".", "HEAD", "objects", "config", "refs"])
def test_files_of_a_stranger_are_not_used(place: str, container: Container, origin: Origin) -> None:
    """If a user who is not trusted owns a mirror, a snapshot or one file in it, the repository is cloned instead."""
    container.pull(origin.url, {})
    (snapshot,) = container.snapshots()
    os.chown(snapshot / place if place else snapshot.parent, STRANGER, 0)
    container.lines.clear()
    assert (container.pull(origin.url, {}) / "flow.py").read_text() == "first"
    assert any(" (cloned) into " in line for line in container.lines), container.lines


@pytest.mark.parametrize("place", ["HEAD", "objects", "refs", "config", "packed-refs"])
def test_links_in_a_snapshot_are_not_followed(place: str, container: Container, origin: Origin, tmp_path: Path) -> None:
    """A link in a snapshot makes it useless, even if it leads to files of the same kind."""
    container.pull(origin.url, {})
    (snapshot,) = container.snapshots()
    (snapshot / place).rename(tmp_path / "elsewhere")
    (snapshot / place).symlink_to(tmp_path / "elsewhere")
    container.lines.clear()
    assert (container.pull(origin.url, {}) / "flow.py").read_text() == "first"
    assert any(" (cloned) into " in line for line in container.lines), container.lines


def test_snapshot_that_cannot_be_copied(container: Container, origin: Origin) -> None:
    """However much of a snapshot cannot be copied, the warning is one short line."""
    container.pull(origin.url, {})
    (snapshot,) = container.snapshots()
    for number in range(200):
        os.mkfifo(snapshot / "objects" / f"{number:02x}-what-is-no-file")
    container.lines.clear()
    container.pull(origin.url, {})
    (warning,) = (line for line in container.lines if line.startswith("warning"))
    assert len(warning) < 500


def test_repository_that_borrows_objects(container: Container, origin: Origin, tmp_path: Path) -> None:
    """Snapshots hold no links to other repositories' objects, so such a clone is not saved."""
    borrowing = tmp_path / "borrowing"
    origin.git("clone", "--quiet", "--shared", "--no-checkout", str(origin.path), str(borrowing))
    for _ in range(2):
        assert (container.pull(str(borrowing), {}) / "flow.py").read_text() == "first"
    assert container.snapshots() == []
    assert not [line for line in container.lines if line.startswith("warning")]
