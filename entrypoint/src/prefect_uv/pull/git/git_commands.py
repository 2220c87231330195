"""Cloning and updating with git: shallow, quiet, with retries for network faults only.

What is fetched, and how much of it, is of Prefect 3.8.8 (`prefect/runner/storage.py`,
`GitRepository`); what is mended on purpose is listed in docs/reference/pull-steps.md.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.errors import CloneError, GitTimeoutError, GitUnreachableError, PullStepError
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes.subprocesses import CompletedCommand, run_command
from prefect_uv.pull.git.git_credentials import split_login
from prefect_uv.pull.git.git_failures import explain_git_failure

ATTEMPTS = 3
BACKOFF_SECONDS = 1.0


@dataclass(frozen=True)
class CloneRequest:
    """What a git_clone step asks for: where from (without credentials), what, and where to."""

    url: str
    directory: Path
    branch: str | None = None
    commit: str | None = None
    submodules: bool = False
    directories: tuple[str, ...] = ()

    @property
    def revision(self) -> str:
        """The revision in words."""
        return (
            f"branch {self.branch!r}" if self.branch else f"commit {self.commit}" if self.commit else "default branch"
        )


@dataclass(frozen=True)
class Git:
    """Git for one request: its environment, its time limit, and retries for network faults."""

    request: CloneRequest
    environ: Mapping[str, str]
    base: Path
    timeout: float
    log: RunLog

    def __call__(self, *arguments: str) -> str:
        """Run a command that must succeed, again after a network fault, and give its output.

        Raises:
            CloneError: or one of its kinds.
        """
        for attempt in range(1, ATTEMPTS):
            try:
                return self._once(*arguments)
            except GitUnreachableError as error:
                seconds = BACKOFF_SECONDS * 2 ** (attempt - 1)
                self.log.warning(f"{error.headline} Trying again in {seconds:.0f} s.")
                time.sleep(seconds)
        return self._once(*arguments)

    def inside(self, *arguments: str) -> str:
        """The same, in the clone."""
        return self("-C", str(self.request.directory), *arguments)

    def ask(self, *arguments: str) -> str | None:
        """The output of a local command in the clone, or nothing when it fails."""
        finished = self._run("-C", str(self.request.directory), *arguments)
        return None if finished.exit_code else finished.stdout.strip()

    def _once(self, *arguments: str) -> str:
        finished = self._run(*arguments)
        if finished.exit_code:
            raise explain_git_failure(finished, self.request.url, self.request.revision)
        return finished.stdout

    def _run(self, *arguments: str) -> CompletedCommand:
        try:
            return run_command(["git", *arguments], env=self.environ, cwd=self.base, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise GitTimeoutError(
                f"Git did not finish with {self.request.url} within {self.timeout:g} s.",
                f"The command was git {' '.join(arguments)}",
                "Allow more time with PREFECT_UV_GIT_TIMEOUT, or clone less: `directories` in the git_clone step.",
            ) from None


def clone_or_update(git: Git) -> str:
    """Clone, or bring a clone that is there already to the wanted revision.

    Returns:
        which of them, in a word for the log.
    """
    if not (git.request.directory / ".git").exists():
        clone_repository(git)
        return "cloned"
    refuse_other_origin(git)
    try:
        update_clone(git)
    except CloneError as error:
        if type(error) is not CloneError:  # its kinds have causes that a fresh clone would meet as well
            raise
        git.log.warning(f"{error.headline} The directory {git.request.directory} is cloned anew.")
        shutil.rmtree(git.request.directory)
        clone_repository(git)
    return "updated"


def clone_repository(git: Git) -> None:
    """A shallow clone of a branch, or one without file contents for a commit; a failed one leaves nothing."""
    request = git.request
    existed = request.directory.exists()
    branch = ["--branch", request.branch] if request.branch else []
    shape = ["--filter=blob:none"] if request.commit else [*branch, "--depth", "1"]
    try:
        git("clone", "--quiet", "--no-checkout", *shape, "--", request.url, str(request.directory))
        if request.commit or git.ask("rev-parse", "--verify", "--quiet", "HEAD") is not None:
            check_out(git, "HEAD")  # without a commit the repository is empty
    except BaseException:
        if not existed:
            shutil.rmtree(request.directory, ignore_errors=True)
        raise


def update_clone(git: Git, mode: str = "--keep") -> None:
    """Fetch what is new; local changes stay, or make this fail when they are in the way (`--hard`: are lost)."""
    request = git.request
    if request.commit:
        check_out(git, "HEAD", mode)
        return
    git.inside("fetch", "--quiet", "--depth", "1", "origin", request.branch or "HEAD")
    check_out(git, "FETCH_HEAD", mode)


def check_out(git: Git, revision: str, mode: str = "--hard") -> None:
    """Make the working tree: the sparse directories, the files of the revision, the submodules."""
    request = git.request
    if request.directories and git.ask("config", "core.sparseCheckout") != "true":
        git.inside("sparse-checkout", "set", "--", *request.directories)
    if request.commit:
        if git.ask("cat-file", "-e", f"{request.commit}^{{commit}}") is None:
            git.inside("fetch", "--quiet", "origin", request.commit)
        force = ["--force"] if mode == "--hard" else []
        git.inside("checkout", "--quiet", *force, request.commit)
    else:
        git.inside("reset", "--quiet", mode, revision)
    if request.submodules:
        git.inside("submodule", "--quiet", "update", "--init", "--recursive")


def refuse_other_origin(git: Git) -> None:
    """A directory with a clone of something else is not touched.

    Raises:
        PullStepError: it is one.
    """
    origin = split_login(git.ask("config", "--get", "remote.origin.url") or "")[0]
    if origin != git.request.url:
        message = f"{git.request.directory} holds a clone of another repository."
        raise PullStepError(message, f"Its origin is {origin}, the step wants {git.request.url}.")
