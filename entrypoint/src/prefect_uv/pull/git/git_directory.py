"""Copying a `.git` directory between a clone and the volume, without anything that makes git run a program.

What git needs is copied: objects, those of LFS, refs and a few settings, of the submodules' repositories too. Hooks,
attributes, links to other repositories and all other settings stay behind, because git runs programs that they name.
git makes the rest again, such as the index and the patterns of a sparse checkout.

git 2.47: the files of a `.git` directory. https://git-scm.com/docs/gitrepository-layout
git 2.47: settings that name programs, such as core.fsmonitor. https://git-scm.com/docs/git-config
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Container, Iterable, Iterator
from pathlib import Path

COPIED = ("HEAD", "packed-refs", "shallow", "objects", "refs", "reftable", "lfs")
LEFT_OUT = {"objects": {"info"}, "refs": {"replace"}, "lfs": {"cache", "incomplete", "logs", "tmp"}}
SETTINGS = re.compile(
    r"core\.(?:repositoryformatversion|filemode|bare|logallrefupdates)"
    r"|extensions\.(?:objectformat|partialclone|refstorage)"
    r"|remote\.(?:url|fetch|promisor|partialclonefilter|tagopt)"
    r"|branch\.(?:remote|merge)"
    r"|submodule\.(?:active|url)"
)
_SECTION = re.compile(r'\[([a-z]+)(?: "(?:[^"\\]|\\.)*")?\]')
_SETTING = re.compile(r'\t([A-Za-z]+) = (?:[^"\\#;]*|"(?:[^"\\]|\\["\\tnb])*")')


def copy_git_directory(source: Path, target: Path, trusted: Container[int]) -> None:
    """Copy a repository and those of its submodules.

    Args:
        source: a `.git` directory.
        target: where the copy goes; must not exist.
        trusted: the ids of the users whose files are copied.

    Raises:
        OSError: something is a link or no file, or another user owns it; the copy is incomplete.
    """
    target.mkdir(parents=True)
    descriptor = _open(source, None, trusted)
    try:
        for name in _names_in(descriptor) & {*COPIED}:
            _copy(name, descriptor, target / name, trusted, LEFT_OUT.get(name, ()))
        _copy("config", descriptor, target / "config", trusted)
    finally:
        os.close(descriptor)
    (target / "config").write_text("".join(f"{line}\n" for line in _harmless((target / "config").read_text())))
    for module in _repositories_below(source / "modules"):
        copy_git_directory(module, target / module.relative_to(source), trusted)


def _repositories_below(directory: Path) -> Iterator[Path]:
    """The repositories of submodules, whose names may contain slashes."""
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        if (path / "HEAD").is_file():
            yield path
        else:
            yield from _repositories_below(path)


def _copy(name: str, parent: int, target: Path, trusted: Container[int], left_out: Iterable[str] = ()) -> None:
    """Copy a file, or a directory with its contents."""
    descriptor = _open(name, parent, trusted)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            with os.fdopen(os.dup(descriptor), "rb") as original, target.open("xb") as copy:
                shutil.copyfileobj(original, copy)
            target.chmod(0o644)  # so that the volume's group can delete it, but not change it
            return
        target.mkdir()
        for entry in _names_in(descriptor).difference(left_out):
            _copy(entry, descriptor, target / entry, trusted)
    finally:
        os.close(descriptor)


def _names_in(descriptor: int) -> set[str]:
    return {*os.listdir(descriptor)}


def _open(path: str | Path, parent: int | None, trusted: Container[int]) -> int:
    """Open a file or directory of a trusted user; never a link."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    status = os.fstat(descriptor)
    if status.st_uid in trusted and (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return descriptor
    os.close(descriptor)
    reason = "is no file" if status.st_uid in trusted else f"belongs to uid {status.st_uid}"
    raise PermissionError(errno.EPERM, reason, str(path))


def _harmless(config: str) -> Iterator[str]:
    """The lines of a config file as git writes it, without the settings that are not known to be harmless."""
    section, pending = "", ""
    for line in config.splitlines():
        if heading := _SECTION.fullmatch(line):
            section, pending = heading[1], line
        elif (setting := _SETTING.fullmatch(line)) and SETTINGS.fullmatch(f"{section}.{setting[1].lower()}"):
            yield from filter(None, (pending, line))
            pending = ""
