"""A FUSE file system: a directory whose requests take a millisecond more, like those to a network file system.

The kernel keeps attributes and names for a second, which is its default for FUSE; that of NFS is three seconds or more.
libfuse 2.9: https://libfuse.github.io/doxygen/structfuse__operations.html
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from mfusepy import FUSE, FuseOSError, Operations, fuse_get_context  # type: ignore[import-untyped]

SECONDS = 0.001
STATUS = ("st_atime", "st_ctime", "st_gid", "st_ino", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid")
SPACE = ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_frsize", "f_namemax")
UNKNOWN_FLAGS = os.O_NOFOLLOW | os.O_DIRECT


def request(operation: Callable[..., Any]) -> Callable[..., Any]:
    """The operation after the delay, with the system's error as FUSE expects it."""

    @functools.wraps(operation)
    def run(*arguments: Any, **options: Any) -> Any:
        time.sleep(SECONDS)
        try:
            return operation(*arguments, **options)
        except OSError as error:
            raise FuseOSError(error.errno or errno.EIO) from None

    return run


def give_to_caller(path: str) -> None:
    """Make whoever sent the request the owner of what it has created."""
    uid, gid, _ = fuse_get_context()
    os.chown(path, uid, gid, follow_symlinks=False)


class SlowDirectory(Operations):  # type: ignore[misc]
    """The operations of the file system, on a directory of the host."""

    use_ns = True

    def __init__(self, backing: str) -> None:
        self._backing = backing

    def _at(self, path: str) -> str:
        return self._backing + path

    @request
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Read attributes; times are in nanoseconds."""
        status = os.lstat(self._at(path)) if fh is None else os.fstat(fh)
        return {name: getattr(status, f"{name}_ns" if name.endswith("time") else name) for name in STATUS}

    @request
    def readdir(self, path: str, _fh: int) -> list[tuple[str, dict[str, int], int]]:
        """List a directory: with inodes, because glibc 2.36 (Debian 12) passes over a name without one."""
        directory = self._at(path)
        names = [".", "..", *os.listdir(directory)]
        return [(name, {"st_ino": os.lstat(f"{directory}/{name}").st_ino}, 0) for name in names]

    @request
    def readlink(self, path: str) -> str:
        """Read a symbolic link."""
        return os.readlink(self._at(path))

    @request
    def mkdir(self, path: str, mode: int) -> None:
        """Create a directory."""
        os.mkdir(self._at(path), mode)
        give_to_caller(self._at(path))

    @request
    def symlink(self, path: str, source: str) -> None:
        """Create a symbolic link."""
        os.symlink(source, self._at(path))
        give_to_caller(self._at(path))

    @request
    def link(self, path: str, source: str) -> None:
        """Create a hard link."""
        os.link(self._at(source), self._at(path), follow_symlinks=False)

    @request
    def rename(self, old: str, new: str) -> None:
        """Rename a file or directory."""
        os.rename(self._at(old), self._at(new))

    @request
    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(self._at(path))

    @request
    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        os.rmdir(self._at(path))

    @request
    def chmod(self, path: str, mode: int) -> None:
        """Change the mode."""
        os.chmod(self._at(path), mode)

    @request
    def chown(self, path: str, uid: int, gid: int) -> None:
        """Change the owner."""
        os.chown(self._at(path), uid, gid, follow_symlinks=False)

    @request
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        """Change the times, in nanoseconds."""
        os.utime(self._at(path), ns=times or (time.time_ns(),) * 2, follow_symlinks=False)

    @request
    def create(self, path: str, mode: int, _info: Any = None) -> int:
        """Create a file and open it."""
        descriptor = os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
        give_to_caller(self._at(path))
        return descriptor

    @request
    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        return os.open(self._at(path), flags & ~UNKNOWN_FLAGS)

    @request
    def read(self, _path: str, size: int, offset: int, fh: int) -> bytes:
        """Read from a file."""
        return os.pread(fh, size, offset)

    @request
    def write(self, _path: str, data: bytes, offset: int, fh: int) -> int:
        """Write to a file."""
        return os.pwrite(fh, data, offset)

    @request
    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        """Change a file's size."""
        os.truncate(self._at(path) if fh is None else fh, length)

    @request
    def statfs(self, path: str) -> dict[str, Any]:
        """How much space there is."""
        status = os.statvfs(self._at(path))
        return {name: getattr(status, name) for name in SPACE}

    def fsync(self, _path: str, _datasync: int, fh: int) -> None:
        """Flush a file."""
        os.fsync(fh)

    def release(self, _path: str, fh: int) -> None:
        """Close a file."""
        os.close(fh)


def main(backing: str, mount_point: str) -> None:
    """Serve a directory at a mount point until it is unmounted."""
    options = {"allow_other": True, "default_permissions": True, "use_ino": True, "big_writes": True}
    FUSE(SlowDirectory(backing), mount_point, foreground=True, **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
