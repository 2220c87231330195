"""The step `git_clone`: its inputs as Prefect 3.8.8 takes and refuses them (`prefect/deployments/steps/pull.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect_uv.errors import GitUnauthorizedError, PullStepError
from prefect_uv.log.progress import logging_progress
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.pull.git.git_commands import CloneRequest, Git, clone_or_update
from prefect_uv.pull.git.git_credentials import Login, logins, split_login
from prefect_uv.pull.git.git_environment import git_environ
from prefect_uv.pull.git.offline_clone import LOCAL_ADDRESSES, clone_offline
from prefect_uv.pull.git.repository_mirror import Mirror, clone_with_mirror
from prefect_uv.settings import Settings

COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")


def git_clone(  # noqa: PLR0913 (the parameters of Prefect's step)
    context: StepContext,
    checkout: Checkout,
    *,
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Mapping[str, Any] | None = None,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> tuple[StepInputs, Checkout]:
    """Clone or update a repository; it becomes the flow's directory, relative paths start where they did.

    Raises:
        PullStepError: the inputs are not right.
        CloneError: or one of its kinds, saying what git met.
    """
    _refuse(branch, commit_sha, access_token, credentials)
    url, login = split_login(repository)
    given = logins(url, {"access_token": access_token} if access_token else credentials or {})
    directory = _inside(checkout.base, clone_directory_name or directory_name(url, branch))
    request = CloneRequest(
        url, directory, branch, commit_sha, submodules=bool(include_submodules), directories=tuple(directories or ())
    )
    _clone_with(_offered(context, url, given, login), request, context, checkout)
    return {"directory": str(directory.relative_to(checkout.base))}, checkout


def _refuse(branch: str | None, commit_sha: str | None, token: str | None, block: Any) -> None:
    if token and block:
        message = "git_clone has both an access_token and credentials."
    elif branch and commit_sha:
        message = "git_clone has both a branch and a commit_sha."
    elif branch and branch.startswith("-"):
        message = f"git_clone's branch {branch!r} begins with a hyphen."
    elif commit_sha and not COMMIT.fullmatch(commit_sha):
        message = f"git_clone's commit_sha {commit_sha!r} is not 4 to 64 hexadecimal digits."
    else:
        return
    raise PullStepError(message)


def directory_name(url: str, branch: str | None) -> str:
    """The repository's last name without `.git` at its end, and the branch with `/` as `-`."""
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return f"{name}-{branch.replace('/', '-')}" if branch else name


def _inside(base: Path, name: str) -> Path:
    directory = base / name
    if not directory.is_relative_to(base):
        message = f"git_clone's clone_directory_name {name} is not below {base}."
        raise PullStepError(message)
    return directory


def _offered(context: StepContext, url: str, given: tuple[Login, ...], login: Login | None) -> tuple[Login | None, ...]:
    """The logins to try in turn; credentials are for https only, as in Prefect."""
    if given and not url.startswith("https://"):
        context.log.warning(f"the credentials are not used: {url} is no https address")
    offered = (given if url.startswith("https://") else ()) or (login,)
    context.log.mask.add(*(secret for one in (*given, login) if one for secret in one.secrets))
    return offered


def _clone_with(
    offered: tuple[Login | None, ...], request: CloneRequest, context: StepContext, checkout: Checkout
) -> None:
    *others, last = offered
    for login in others:
        try:
            return _clone(login, request, context, checkout)
        except GitUnauthorizedError as error:
            context.log.info(f"{error.headline} Trying the token in another form.")
    return _clone(last, request, context, checkout)


def _clone(login: Login | None, request: CloneRequest, context: StepContext, checkout: Checkout) -> None:
    environ = git_environ(context.settings, checkout.environ, request.url, login)
    git = Git(request, environ, checkout.base, context.settings.git_timeout, context.log)
    with logging_progress(context.log, f"cloning {request.url}"):
        how = _brought(git, context.settings)
    head = git.ask("rev-parse", "--short=12", "--verify", "--quiet", "HEAD") or "no commit"
    context.log.info(f"{how} {request.url} at {head} into {request.directory}")


def _brought(git: Git, settings: Settings) -> str:
    """The clone in its directory, in the way that network and volume allow."""
    if settings.offline and not git.request.url.startswith(LOCAL_ADDRESSES):
        return clone_offline(git, Mirror.at(settings.cache_dir, git.request))
    mirror = Mirror.of(settings, git.request)
    return clone_with_mirror(git, mirror) if mirror else clone_or_update(git)
