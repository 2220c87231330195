"""Rules for all files of the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.family import ROOT

# Written in pieces, so that this file does not break the rule itself.
HOSTS = re.compile(r"(pypi|pythonhosted|deb\.debian|snapshot\.debian|security\.debian|ftp\.\w+\.debian)\.org", re.ASCII)
TEST = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", re.ASCII)
BINARY = {".gif", ".ico", ".png", ".whl"}


def committed() -> list[str]:
    """The text files of the repository that git tracks or would add."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file() and (ROOT / name).suffix not in BINARY]


def test_no_file_names_the_host_of_an_index_or_a_mirror() -> None:
    """Package indexes and mirrors come from the machine's environment, so no file names one."""
    found = {name: match[0] for name in committed() if (match := HOSTS.search((ROOT / name).read_text()))}
    assert found == {}


def test_tests_that_the_docs_name_exist() -> None:
    """Every test that a page cites, as `file::test` or as `::test` after another one, exists."""
    missing = [
        test for name in committed() if name.endswith(".md") for test in _named(ROOT / name) if not _exists(test)
    ]
    assert missing == []


def _named(page: Path) -> Iterator[tuple[str, str]]:
    """The tests that a page cites, each with its file."""
    file = ""
    for match in TEST.finditer(page.read_text()):
        file = match[1] or file
        if match[0] != "``":
            yield file, match[2] or ""


def _exists(test: tuple[str, str]) -> bool:
    file, name = test
    return (ROOT / file).is_file() and (not name or f"def {name}(" in (ROOT / file).read_text())


@pytest.mark.parametrize("name", ["uv.lock", "image.json"])
def test_generated_file_is_not_committed(name: str) -> None:
    """Files with URLs or facts of the machine that made them are not committed."""
    assert [path for path in committed() if path.rpartition("/")[2] == name] == []
