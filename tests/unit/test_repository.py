"""Rules for the files of the repository itself."""

from __future__ import annotations

import re
import subprocess

import pytest

from images.family import ROOT

# Written in pieces, so that this file keeps the rule.
HOSTS = re.compile(r"(pypi|pythonhosted|deb\.debian|snapshot\.debian|security\.debian|ftp\.\w+\.debian)\.org", re.ASCII)
BINARY = {".gif", ".ico", ".png", ".whl"}


def committed() -> list[str]:
    """The files of the repository: known to git, or about to be."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file() and (ROOT / name).suffix not in BINARY]


def test_no_file_names_the_host_of_an_index_or_a_mirror() -> None:
    """Which index and mirror are used is this machine's matter, told by its environment."""
    found = {name: match[0] for name in committed() if (match := HOSTS.search((ROOT / name).read_text()))}
    assert found == {}


@pytest.mark.parametrize("name", ["uv.lock", "image.json"])
def test_generated_file_is_not_committed(name: str) -> None:
    """They hold addresses or facts of the machine that made them."""
    assert [path for path in committed() if path.rpartition("/")[2] == name] == []
