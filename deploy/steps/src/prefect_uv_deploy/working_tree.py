"""The files of a working tree by git's ignore rules, committed or not; and how large they are."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from prefect_uv_deploy.errors import DeployError

WARN_BYTES = 50_000_000
SHOWN_DIRECTORIES = 5
GIT_SECONDS = 300
# git 2.35.2: a tree of another user is refused, as in containers. Listing runs no program but a monitor, which is off.
# https://git-scm.com/docs/git-config#Documentation/git-config.txt-safedirectory
OPTIONS = ("-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


# What git sets for hooks, in which we may run.
FOR_OTHER_TREES = {"GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE"}


def listed_files(directory: Path) -> list[str]:
    """The paths of all files that git does not ignore, relative to the directory, sorted; links are files.

    A directory that is in no repository is listed by the same rules. Repositories inside, such as submodules, too.

    Raises:
        DeployError: there is no git here, or it cannot read the repository.
    """
    found: set[str] = set()
    for name in _git_names(directory):
        path = directory / name
        if path.is_symlink() or path.is_file():
            found.add(name)
        elif path.is_dir():
            found.update(f"{name.rstrip('/')}/{inner}" for inner in listed_files(path))
    return sorted(found, key=os.fsencode)


def size_warning(directory: Path, names: Iterable[str], limit: int = WARN_BYTES) -> str:
    """A sentence about files that together exceed a limit, with the largest directories; empty if they do not."""
    sizes: Counter[str] = Counter()
    total = 0
    for name in names:
        size = (directory / name).lstat().st_size
        total += size
        parent = Path(name).parent
        sizes["/".join(parent.parts[:2]) or "."] += size
    if total <= limit:
        return ""
    largest = ", ".join(f"{name} ({megabytes(size)})" for name, size in sizes.most_common(SHOWN_DIRECTORIES))
    return (
        f"{megabytes(total)} of files are sent, more than {megabytes(limit)}; the largest directories are {largest}."
        " List in .gitignore or .dockerignore what the flow does not need."
    )


def megabytes(size: int) -> str:
    """A size for people, as `12.3 MB`."""
    return f"{size / 1e6:.1f} MB"


def _git_names(directory: Path) -> list[str]:
    """What git lists: tracked and untracked files, and nested repositories as directories."""
    if not directory.is_dir():
        raise DeployError(f"The directory {directory} does not exist.")
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if _git(directory, "rev-parse", "--is-inside-work-tree").returncode == 0:
        listing = _git(directory, *words)
    else:
        with tempfile.TemporaryDirectory(prefix="prefect-uv-deploy-") as empty:
            _git(directory, "init", "--quiet", "--bare", empty)
            listing = _git(directory, f"--git-dir={empty}", f"--work-tree={directory}", *words)
    if listing.returncode:
        raise DeployError(
            f"git cannot list the files of {directory}: {listing.stderr.decode(errors='replace').strip()}"
        )
    return [os.fsdecode(name) for name in listing.stdout.split(b"\0") if name]


def _git(directory: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run git for this directory alone, whatever a hook that we run in has set."""
    environ = {name: value for name, value in os.environ.items() if name not in FOR_OTHER_TREES}
    command: Sequence[str] = ["git", *OPTIONS, *words]
    try:
        return subprocess.run(
            command, cwd=directory, env=environ, check=False, capture_output=True, timeout=GIT_SECONDS
        )
    except FileNotFoundError:
        message = "git is not installed, and only git knows which files it ignores. Install git."
        raise DeployError(message) from None
