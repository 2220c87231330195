"""What somebody else may have put on the volume: whom we trust there, and how nothing outside of it is deleted.

Whoever can write to a volume can put a symbolic link where we expect a directory. So directories are opened one by one
from the root, never through a link, and what is deleted is named relative to such an open directory.

Linux 6.12: O_NOFOLLOW. https://man7.org/linux/man-pages/man2/open.2.html
CPython 3.13: rmtree with dir_fd resists links that are planted meanwhile.
https://docs.python.org/3/library/shutil.html#shutil.rmtree
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
NOT_A_DIRECTORY = {errno.ELOOP, errno.ENOTDIR}


class LinkFoundError(PermissionError):
    """There is a symbolic link where a directory or file of ours should be."""

    def __init__(self, path: Path, words: str = "is a symbolic link") -> None:
        super().__init__(errno.EPERM, words, str(path))


@dataclass(frozen=True)
class Volume:
    """A directory that other users may write to.

    Attributes:
        root: the directory, which may be reached by a link: its path is ours.
        trusted: the ids of the users whose files are used.
    """

    root: Path
    trusted: Container[int]

    @property
    def trash(self) -> Path:
        """Directories that are being deleted."""
        return self.root / "envs" / "trash"

    def distrust(self, path: Path) -> str:
        """Why nothing at this path may be used, in words that follow the path; empty if it may, or is not there."""
        for step in self._steps(path):
            if step.is_symlink():
                return "is a symbolic link" if step == path else f"is below the symbolic link {step}"
        try:
            owner = path.lstat().st_uid
        except OSError:
            return ""
        return "" if owner in self.trusted else f"belongs to uid {owner}, which is not in PREFECT_UV_CACHE_TRUST"

    def trusts(self, path: Path) -> bool:
        """Whether a path exists, a trusted user owns it, and no link leads to it."""
        return os.path.lexists(path) and not self.distrust(path)

    def places(self, path: Path) -> tuple[Path, Path]:
        """The path of an entry, and the one with our uid, which serves if an untrusted user has taken the first."""
        return path, path.with_name(f"{path.name}.{os.geteuid()}")

    def make_directory(self, directory: Path) -> None:
        """Create a directory and those above it, but not through a link.

        Raises:
            LinkFoundError: there is a link in the way.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for step in self._steps(directory):
            if step.is_symlink():
                raise LinkFoundError(step)
            step.mkdir(exist_ok=True)

    @contextmanager
    def open_directory(self, directory: Path) -> Iterator[int]:
        """A descriptor of a directory that a trusted user owns, and to which no link leads.

        Raises:
            FileNotFoundError: it does not exist.
            PermissionError: there is a link in the way, or a user who is not trusted owns it.
        """
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for step in self._steps(directory):
                upper, descriptor = descriptor, _open_below(descriptor, step)
                os.close(upper)
            if os.fstat(descriptor).st_uid not in self.trusted:
                raise PermissionError(errno.EPERM, self.distrust(directory), str(directory))
            yield descriptor
        finally:
            os.close(descriptor)

    def entries(self, directory: Path, form: re.Pattern[str]) -> list[Path]:
        """What is in a directory by names of our own; nothing if the directory is missing or not to be trusted."""
        try:
            with self.open_directory(directory) as descriptor:
                names = os.listdir(descriptor)  # noqa: PTH208 (paths have no descriptors)
                return sorted(directory / name for name in names if form.fullmatch(name))
        except (FileNotFoundError, PermissionError):
            return []

    def not_collected(self, directories: Iterable[Path]) -> Iterator[str]:
        """Yield a sentence about each directory in which nothing is deleted, because it is not to be trusted."""
        for directory in directories:
            try:
                with self.open_directory(directory):
                    pass
            except FileNotFoundError:
                continue
            except PermissionError as error:
                yield f"{error.filename} {error.strerror}"

    def delete(self, path: Path) -> None:
        """Delete a file, a link itself, or a directory with its contents; what cannot be deleted stays.

        Raises:
            PermissionError: its directory is not to be trusted.
        """
        with self.open_directory(path.parent) as descriptor:
            try:
                mode = os.stat(path.name, dir_fd=descriptor, follow_symlinks=False).st_mode
                if not stat.S_ISDIR(mode):
                    os.unlink(path.name, dir_fd=descriptor)
                    return
            except FileNotFoundError:
                return
            import shutil  # noqa: PLC0415 (rarely needed)

            shutil.rmtree(path.name, ignore_errors=True, dir_fd=descriptor)

    def discard(self, path: Path, trash: Path | None = None) -> Path:
        """Move a directory to the trash atomically, and return its new path; processes keep the files they have open.

        Raises:
            PermissionError: its directory, or the trash, is not to be trusted.
        """
        discarded = (trash or self.trash) / f"{path.name}-{uuid4().hex}"
        self.make_directory(discarded.parent)
        with self.open_directory(path.parent) as source, self.open_directory(discarded.parent) as target:
            os.rename(path.name, discarded.name, src_dir_fd=source, dst_dir_fd=target)
        return discarded

    def _steps(self, path: Path) -> list[Path]:
        """The path itself and every directory between it and the root, beginning there."""
        parts = path.relative_to(self.root).parts
        return [self.root.joinpath(*parts[: number + 1]) for number in range(len(parts))]


def trusted_users(root: Path, also: Iterable[int]) -> frozenset[int]:
    """Whom to trust on a volume: ourselves, root, its owner (who could replace everything), and those in a setting."""
    owner = {root.stat().st_uid} if root.exists() else set()
    return frozenset({0, os.geteuid(), *owner, *also})


class Everyone(Container[int]):
    """The users of a volume that nobody else may write to."""

    def __contains__(self, user: object) -> bool:
        """Whether a user is trusted: always."""
        return True


def users_of_volume(root: Path, also: Iterable[int]) -> Container[int]:
    """Whom to trust on the cache volume: all who may write to it if they are our group, or else `trusted_users`.

    What is written there is writable by the group, so each of its members could replace our files anyway. An access
    control list may let in others while the mode shows the group alone.
    Linux 6.12: acl(5), correspondence between ACL entries and file permission bits.
    https://man7.org/linux/man-pages/man5/acl.5.html
    """
    try:
        status = root.stat()
        listed = "system.posix_acl_access" in os.listxattr(root)
    except OSError:
        return trusted_users(root, also)
    shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWGRP
    ours = status.st_gid in {os.getegid(), *os.getgroups()}
    return Everyone() if shared and ours and not listed else trusted_users(root, also)


def _open_below(descriptor: int, step: Path) -> int:
    try:
        return os.open(step.name, OPEN_DIRECTORY, dir_fd=descriptor)
    except OSError as error:
        if error.errno not in NOT_A_DIRECTORY:
            raise
        raise LinkFoundError(step, "is a symbolic link, or no directory") from None
