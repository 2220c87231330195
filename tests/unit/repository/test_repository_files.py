"""Rules that the files of the repository keep."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.family import ROOT

# In pieces, so that this file does not break the rule itself.
HOSTS = re.compile(r"(pypi|pythonhosted|deb\.debian|snapshot\.debian|security\.debian|ftp\.\w+\.debian)\.org", re.ASCII)
TEST = re.compile(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", re.ASCII)
BINARY = {".gif", ".ico", ".png", ".whl"}


def committed() -> list[str]:
    """The text files of the repository, tracked by git or not yet added."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file() and (ROOT / name).suffix not in BINARY]


def test_no_file_names_the_host_of_an_index_or_a_mirror() -> None:
    """The package index and the Debian mirror are set by the environment of each machine, not by the repository."""
    hosts = {name: match[0] for name in committed() if (match := HOSTS.search((ROOT / name).read_text()))}
    assert hosts == {}


def test_tests_that_the_docs_name_exist() -> None:
    """Pages name the tests that hold their promises, as `file::test`, or as `::test` for another test of that file."""
    pages = [ROOT / name for name in committed() if name.endswith(".md")]
    missing = [test for page in pages for test in _named_tests(page) if not _exists(*test)]
    assert missing == []


def _named_tests(page: Path) -> Iterator[tuple[str, str]]:
    """The tests that a page names, each as its file and its name."""
    file = ""
    for match in TEST.finditer(page.read_text()):
        file = match[1] or file
        if match[0] != "``":
            yield file, match[2] or ""


def _exists(file: str, name: str) -> bool:
    return (ROOT / file).is_file() and (not name or f"def {name}(" in (ROOT / file).read_text())


@pytest.mark.parametrize("name", ["uv.lock", "image.json"])
def test_generated_file_is_not_committed(name: str) -> None:
    """Such a file would contain addresses or facts of the machine that generated it."""
    assert [path for path in committed() if path.rpartition("/")[2] == name] == []
