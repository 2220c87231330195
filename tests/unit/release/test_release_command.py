"""What a release refuses before it builds anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from images.family import ROOT, read


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clean clone of this repository's commit."""
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(tmp_path / "clone")], check=True)
    return tmp_path / "clone"


def release(checkout: Path, command: str, *arguments: str) -> str:
    """Run a command that fails, and return what it says."""
    program = [sys.executable, "-m", "images.release", command, *arguments]
    done = subprocess.run(program, check=False, cwd=checkout, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done
    return done.stderr


def test_version_of_another_commit() -> None:
    """The version is that of the commit, so that no tag lies."""
    version = read().version
    answer = release(ROOT, "publish", "--version", "99.0.0", "--registry", "localhost:9")
    assert answer == f"images: this is prefect-uv {version} (entrypoint/pyproject.toml), not 99.0.0\n"


def test_files_that_differ_from_the_commit(clone: Path) -> None:
    """A release is made of a commit; only the page that a release writes may differ from it."""
    asked = [sys.executable, "-c", "from images.build import revision; print(revision())"]
    (clone / "docs/reference/images.md").write_text("# Images\n")
    commit = subprocess.run(asked, check=True, cwd=clone, capture_output=True, text=True).stdout.strip()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    (clone / "Makefile").write_text("all:\n")
    answer = release(clone, "publish", "--version", read().version, "--registry", "localhost:9")
    assert answer == "images: files differ from the commit: a release is made of a commit\n"


@pytest.mark.parametrize("command", ["publish", "verify"])
def test_no_registry(command: str) -> None:
    """`make release` without REGISTRY says so."""
    answer = release(ROOT, command, "--version", read().version, "--registry", "")
    assert answer.startswith("images: no registry is named\nhint: ")


def test_registry_that_does_not_answer() -> None:
    """The error names it, and comes at once."""
    answer = release(ROOT, "verify", "--version", read().version, "--registry", "localhost:9")
    assert answer.startswith("images: localhost:9/prefect-uv: could not reach the registry: ")
