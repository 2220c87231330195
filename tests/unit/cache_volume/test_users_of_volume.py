"""Whom we trust on the cache volume depends on who may write to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from images import apt
from prefect_uv.cache_volume.volume import users_of_volume

STRANGER = 4711
GROUP = 4712


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A volume of another user, whose group is ours."""
    os.chown(tmp_path, 0, os.getegid())
    return tmp_path


@pytest.mark.parametrize("mode", [0o775, 0o2775, 0o770])
def test_everyone_in_the_only_group_that_may_write(root: Path, mode: int) -> None:
    """Whoever may write could replace our files, too."""
    root.chmod(mode)
    assert STRANGER in users_of_volume(root, ())


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1775, 0o1777, 0o2777])
def test_only_named_users_otherwise(root: Path, mode: int) -> None:
    """Not those who may add files, but cannot change ours."""
    root.chmod(mode)
    assert STRANGER not in users_of_volume(root, ())
    assert STRANGER in users_of_volume(root, (STRANGER,))


def test_group_of_others(root: Path) -> None:
    """A group that we are not in may not change our files, which do not belong to it."""
    os.chown(root, 0, GROUP)
    root.chmod(0o775)
    assert STRANGER not in users_of_volume(root, ())


def test_access_control_list(root: Path) -> None:
    """The mode shows a group that may write, but the list lets in a user."""
    if not shutil.which("setfacl"):
        apt.install("acl", "the tests set an access control list")
    root.chmod(0o755)
    subprocess.run(["setfacl", "--modify", f"user:{STRANGER}:rwx", str(root)], check=True, timeout=30)
    assert root.stat().st_mode & 0o777 == 0o775
    assert STRANGER not in users_of_volume(root, ())


def test_missing_volume(tmp_path: Path) -> None:
    """Ourselves and root."""
    users = users_of_volume(tmp_path / "missing", ())
    assert os.geteuid() in users
    assert STRANGER not in users
