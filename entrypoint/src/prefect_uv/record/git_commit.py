"""The commit that is checked out in a directory, and its remote, read from git's own files: no process is started.

git 2.47: https://git-scm.com/docs/gitrepository-layout
"""

from __future__ import annotations

import re
from pathlib import Path

COMMIT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
ORIGIN_URL = re.compile(r'^\[remote "origin"\]\s*\n(?:\s*(?!\[|url\b).*\n)*?\s*url\s*=\s*(\S+)', re.MULTILINE)


def commit_in(directory: Path) -> str:
    """The full id of the commit; empty if the directory is no clone, or the commit is not in a plain file."""
    git = directory / ".git"
    head = _file_text(git / "HEAD").strip()
    reference = head.removeprefix("ref: ")
    if reference == head:
        return head if COMMIT_ID.fullmatch(head) else ""
    if ".." in Path(reference).parts or reference.startswith("/"):
        return ""
    loose = _file_text(git / reference).strip()
    packed = (line.partition(" ") for line in _file_text(git / "packed-refs").splitlines())
    commit = loose or next((commit for commit, _, name in packed if name == reference), "")
    return commit if COMMIT_ID.fullmatch(commit) else ""


def remote_of(directory: Path) -> str:
    """The address of `origin`, as it is configured; empty if there is none."""
    match = ORIGIN_URL.search(_file_text(directory / ".git" / "config"))
    return match[1] if match else ""


def _file_text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
