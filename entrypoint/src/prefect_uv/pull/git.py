"""Cloning with git: shallow, quiet, without a prompt, and with credentials only in git's environment.

Directory names and the order of commands are those of Prefect 3.8.8 (`prefect/runner/storage.py`, `GitRepository`).
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from prefect_uv.errors import (
    CloneError,
    GitUnauthorizedError,
    PullStepError,
    PullStepUnsupportedError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from prefect_uv.process import Finished, run
from prefect_uv.runlog import RunLog

ATTEMPTS = 3
BACKOFF_SECONDS = 1.0
SUPPORTED = {"repository", "branch", "commit_sha", "clone_directory_name"}
COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
EMPTY = ("", "", "")  # path, query and fragment: the helper serves a host
HELPER = (
    r"!f() { printf 'username=%s\npassword=%s\n' "
    '"$PREFECT_UV_GIT_USER" "$PREFECT_UV_GIT_PASSWORD"; }; f'
)
UNAUTHORIZED = re.compile(r"Authentication failed|could not read Username|could not read Password|Permission denied \(")
NO_REPOSITORY = re.compile(
    r"(?i)repository .*not found|does not appear to be a git repository|repository .*does not exist"
)
NO_REVISION = re.compile(
    r"Remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object|no such remote ref"
    r"|unable to read tree|did not match any file|reference is not a tree"
)


@dataclass(frozen=True)
class Repository:
    """One clone: where from (without credentials), what, where to, and git's environment."""

    url: str
    branch: str | None
    commit: str | None
    directory: Path
    environ: Mapping[str, str]

    def git(self, *arguments: str, inside: bool = True) -> Finished:
        """One git command, in the clone or beside it."""
        where = ["-C", str(self.directory)] if inside else []
        return run(["git", *where, *arguments], env=self.environ, cwd=self.directory.parent)


def git_clone(inputs: Mapping[str, Any], base: Path, environ: Mapping[str, str], log: RunLog) -> Path:
    """Clone or update a repository below `base` and return its directory.

    Raises:
        PullStepError, PullStepUnsupportedError: the step's inputs are wrong or not supported.
        RepositoryNotFoundError, RevisionNotFoundError, GitUnauthorizedError: found out without a second try.
        CloneError: git failed three times.
    """
    _check(inputs)
    url, username, password = _without_credentials(str(inputs["repository"]))
    log.mask.add(password, None if password else username)
    directory = base / (inputs.get("clone_directory_name") or _directory_name(url, inputs.get("branch")))
    repository = Repository(
        url,
        inputs.get("branch"),
        inputs.get("commit_sha"),
        directory,
        _git_environ(environ, url, username, password),
    )
    fetch = _update if (directory / ".git").exists() else _clone
    _retried(repository, fetch)
    log.info(f"cloned {url} at {_head(repository)} into {directory}")
    return directory


def _check(inputs: Mapping[str, Any]) -> None:
    unknown = sorted(set(inputs) - SUPPORTED)
    unknown = [name for name in unknown if inputs[name] not in (False, [])]
    if unknown:
        message = f"git_clone is used with {', '.join(unknown)}, which is not supported yet."
        raise PullStepUnsupportedError(message, f"Supported are {', '.join(sorted(SUPPORTED))}.")
    if not inputs.get("repository"):
        message = "git_clone has no repository."
        raise PullStepError(message)
    if inputs.get("branch") and inputs.get("commit_sha"):
        message = "git_clone has both a branch and a commit_sha."
        raise PullStepError(message, hint="Keep one of them.")
    if inputs.get("commit_sha") and not COMMIT.fullmatch(str(inputs["commit_sha"])):
        message = f"git_clone's commit_sha {inputs['commit_sha']!r} is not 4 to 64 hexadecimal digits."
        raise PullStepError(message)


def _without_credentials(url: str) -> tuple[str, str, str]:
    """Split `https://user:password@host/path` into the bare address, user and password."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url, "", ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host)), unquote(parts.username or ""), unquote(parts.password or "")


def _directory_name(url: str, branch: str | None) -> str:
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return f"{name}-{branch.replace('/', '-')}" if branch else name


def _git_environ(environ: Mapping[str, str], url: str, username: str, password: str) -> dict[str, str]:
    config = {"advice.detachedHead": "false"}
    credentials = {}
    if username or password:
        config |= {f"credential.{urlunsplit(urlsplit(url)[:2] + EMPTY)}.helper": HELPER, "http.proactiveAuth": "basic"}
        credentials = {"PREFECT_UV_GIT_USER": username, "PREFECT_UV_GIT_PASSWORD": password}
    first = int(environ.get("GIT_CONFIG_COUNT") or 0)
    variables = {"GIT_CONFIG_COUNT": str(first + len(config))}
    for number, (key, value) in enumerate(config.items(), start=first):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **credentials, **variables}


def _retried(repository: Repository, fetch: Callable[[Repository], Finished]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        finished = fetch(repository)
        if finished.exit_code == 0:
            return
        _refuse_what_is_final(repository, finished)
        if attempt < ATTEMPTS:
            time.sleep(BACKOFF_SECONDS * 2 ** (attempt - 1))
    raise CloneError(
        f"Git could not clone {repository.url}, {ATTEMPTS} times.",
        finished.report,
        "Check that the git server can be reached from this container's network.",
    )


def _refuse_what_is_final(repository: Repository, finished: Finished) -> None:
    revision = f"branch {repository.branch!r}" if repository.branch else f"commit {repository.commit}"
    if UNAUTHORIZED.search(finished.stderr):
        raise GitUnauthorizedError(
            f"The git server refused to give {repository.url}.",
            finished.report,
            "Give the deployment's git_clone step credentials that may read it.",
        )
    if (repository.branch or repository.commit) and NO_REVISION.search(finished.stderr):
        raise RevisionNotFoundError(
            f"There is no {revision} in {repository.url}.",
            finished.report,
            "Push it, or correct the deployment's git_clone step.",
        )
    if NO_REPOSITORY.search(finished.stderr):
        raise RepositoryNotFoundError(
            f"There is no repository at {repository.url}.", finished.report, "Correct the deployment's git_clone step."
        )


def _head(repository: Repository) -> str:
    return repository.git("rev-parse", "--short=12", "HEAD").stdout.strip()


def _clone(repository: Repository) -> Finished:
    """A shallow clone; one that fails half-way leaves nothing."""
    existed = repository.directory.exists()
    which = ["--branch", repository.branch] if repository.branch else []
    shape = ["--filter=blob:none", "--no-checkout"] if repository.commit else [*which, "--depth", "1"]
    finished = repository.git("clone", "--quiet", *shape, "--", repository.url, str(repository.directory), inside=False)
    if finished.exit_code == 0 and repository.commit:
        finished = _checkout(repository)
    if finished.exit_code and not existed:
        shutil.rmtree(repository.directory, ignore_errors=True)
    return finished


def _checkout(repository: Repository) -> Finished:
    commit = str(repository.commit)
    finished = repository.git("fetch", "--quiet", "origin", commit)
    return finished if finished.exit_code else repository.git("checkout", "--quiet", commit)


def _update(repository: Repository) -> Finished:
    """Bring a clone that is already there to the wanted revision, keeping local changes or failing."""
    origin = repository.git("config", "--get", "remote.origin.url").stdout.strip()
    if _without_credentials(origin)[0] != repository.url:
        message = f"{repository.directory} holds a clone of another repository."
        raise PullStepError(message, f"Its origin is {origin}, the step wants {repository.url}.")
    if repository.commit:
        return _checkout(repository)
    finished = repository.git("fetch", "--quiet", "--depth", "1", "origin", repository.branch or "HEAD")
    return finished if finished.exit_code else repository.git("reset", "--quiet", "--keep", "FETCH_HEAD")
