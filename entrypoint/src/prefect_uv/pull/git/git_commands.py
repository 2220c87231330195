"""Clone and update with git: shallow, quiet, and retried after network faults only.

What is fetched, and how much of it, is as in Prefect; docs/reference/pull-steps.md lists the departures.

Prefect 3.8.8: GitRepository, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/storage.py
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import CloneError, GitTimeoutError, GitUnreachableError, PullStepError
from prefect_uv.git_access.git_credentials import split_login
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.signals import pause
from prefect_uv.processes.subprocesses import CompletedCommand, run_command
from prefect_uv.pull.git.git_failures import explain_git_failure

ATTEMPTS = 3
BACKOFF_SECONDS = 1.0


@dataclass(frozen=True)
class CloneRequest:
    """What a git_clone step asks for.

    Attributes:
        url: the repository, without credentials.
        directory: where the clone goes.
        branch: a branch or tag; None for the default branch, or if there is a commit.
        commit: 4 to 64 hexadecimal digits.
        submodules: whether submodules are checked out.
        directories: the directories of a sparse checkout; empty for all.
    """

    url: str
    directory: Path
    branch: str | None = None
    commit: str | None = None
    submodules: bool = False
    directories: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """The revision in words, such as `branch 'main'`."""
        return (
            f"branch {self.branch!r}" if self.branch else f"commit {self.commit}" if self.commit else "default branch"
        )


@dataclass(frozen=True)
class Git:
    """Git for one request: its environment, its time limit, and retries after network faults.

    Attributes:
        request: what the step asks for.
        environ: git's environment.
        base: the directory that the step starts in.
        trusted: the ids of the users whose clones below it are used.
        timeout: seconds that each command may take.
        log: gets warnings, and each command as a detail.
    """

    request: CloneRequest
    environ: Mapping[str, str]
    base: Path
    trusted: Container[int]
    timeout: float
    log: RunLog

    def __call__(self, *arguments: str) -> str:
        """Run a command that must succeed, again after a network fault, and return its output.

        Raises:
            CloneError: git failed; its subclasses say why.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                return self._run_checked(*arguments)
            except GitUnreachableError as error:
                seconds = BACKOFF_SECONDS * 2 ** (attempt - 1)
                self.log.warning(f"{error.headline} Trying again in {seconds:.0f} s.")
                pause(seconds)
        return self._run_checked(*arguments)

    def in_clone(self, *arguments: str) -> str:
        """Run a command that must succeed in the clone."""
        return self("-C", str(self.request.directory), *arguments)

    def query(self, *arguments: str) -> str | None:
        """The output of a local command in the clone; None if it fails."""
        completed = self._run("-C", str(self.request.directory), *arguments)
        return None if completed.exit_code else completed.stdout.strip()

    def _run_checked(self, *arguments: str) -> str:
        completed = self._run(*arguments)
        if completed.exit_code:
            raise explain_git_failure(
                completed, self.request.url, self.request.revision, self.base / self.request.directory
            )
        return completed.stdout

    def _run(self, *arguments: str) -> CompletedCommand:
        self.log.detail(shlex.join(["git", *arguments]))
        try:
            return run_command(["git", *arguments], env=self.environ, cwd=self.base, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise GitTimeoutError(
                f"Git did not finish with {self.request.url} within {self.timeout:g} s.",
                f"The command was `git {' '.join(arguments)}`.",
                "Allow more time with PREFECT_UV_GIT_TIMEOUT, or clone less with `directories` in the git_clone step.",
            ) from None


def clone_or_update(git: Git) -> str:
    """Clone, or bring an existing clone to the requested revision.

    Returns:
        `cloned` or `updated`, for the log.
    """
    if not (git.request.directory / ".git").exists():
        clone_repository(git)
        return "cloned"
    refuse_other_origin(git)
    try:
        update_clone(git)
    except CloneError as error:
        if type(error) is not CloneError:  # a fresh clone would fail for the same cause
            raise
        git.log.warning(f"{error.headline} Deleting {git.request.directory} and cloning again.")
        shutil.rmtree(git.request.directory)
        clone_repository(git)
    return "updated"


def clone_repository(git: Git) -> None:
    """Make a shallow clone of a branch, or for a commit a clone without file contents; a failed one leaves nothing."""
    request = git.request
    existed = request.directory.exists()
    branch = ["--branch", request.branch] if request.branch else []
    extent = ["--filter=blob:none"] if request.commit else [*branch, "--depth", "1"]
    try:
        git("clone", "--quiet", "--no-checkout", *extent, "--", request.url, str(request.directory))
        if request.commit or git.query("rev-parse", "--verify", "--quiet", "HEAD") is not None:
            check_out(git, "HEAD")  # without a HEAD the repository is empty
    except BaseException:
        if not existed:
            shutil.rmtree(request.directory, ignore_errors=True)
        raise


def update_clone(git: Git, mode: str = "--keep") -> None:
    """Fetch the requested revision and check it out.

    Args:
        git: git for the request.
        mode: `--keep` preserves local changes and fails if they are in the way; `--hard` discards them.
            git 2.47: https://git-scm.com/docs/git-reset
    """
    request = git.request
    if request.commit:
        check_out(git, "HEAD", mode, moved=True)
        return
    git.in_clone("fetch", "--quiet", "--depth", "1", "origin", request.branch or "HEAD")
    check_out(git, "FETCH_HEAD", mode, moved=True)


def check_out(git: Git, revision: str, mode: str = "--hard", *, moved: bool = False) -> None:
    """Make the working tree: the sparse directories, the files of the revision or requested commit, the submodules.

    Args:
        git: git for the request.
        revision: what to check out, unless a commit is requested.
        mode: as in `update_clone`.
        moved: submodules may have other addresses than when they were cloned.
    """
    request = git.request
    if request.directories and git.query("config", "core.sparseCheckout") != "true":
        git.in_clone("sparse-checkout", "set", "--", *request.directories)
    if request.commit:
        if git.query("cat-file", "-e", f"{request.commit}^{{commit}}") is None:
            git.in_clone("fetch", "--quiet", "origin", request.commit)
        force = ["--force"] if mode == "--hard" else []
        git.in_clone("checkout", "--quiet", *force, request.commit)
    else:
        git.in_clone("reset", "--quiet", mode, revision)
    if request.submodules and moved:
        git.in_clone("submodule", "--quiet", "sync", "--recursive")
    if request.submodules:
        git.in_clone("submodule", "--quiet", "update", "--init", "--recursive")


def refuse_other_origin(git: Git) -> None:
    """Do not touch a directory with a clone of another repository, or of a user who is not trusted.

    git's own check of the owner is off (`git_access/git_environment.py`): it would refuse what the owner of an image
    has cloned.

    Raises:
        PullStepError: the clone's origin is not the requested repository, or a stranger's.
    """
    for path in (git.request.directory, git.request.directory / ".git"):
        if (owner := path.lstat().st_uid) not in git.trusted:
            message = f"{git.request.directory} holds a clone of uid {owner}, who is not trusted."
            hint = "Delete it; or name the user in PREFECT_UV_CACHE_TRUST: git runs programs that a clone names."
            raise PullStepError(message, f"{path} belongs to uid {owner}.", hint)
    origin = split_login(git.query("config", "--get", "remote.origin.url") or "")[0]
    if origin != git.request.url:
        message = f"{git.request.directory} holds a clone of another repository."
        raise PullStepError(message, f"Its origin is {origin}; the step asks for {git.request.url}.")
