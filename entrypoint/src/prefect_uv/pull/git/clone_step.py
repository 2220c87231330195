"""The step `git_clone`: takes and refuses the same inputs as Prefect's.

Prefect 3.8.8: git_clone, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/deployments/steps/pull.py
Prefect 3.8.8: GitRepository, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/storage.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect_uv.cache_volume.volume import trusted_users
from prefect_uv.errors import GitUnauthorizedError, PullStepError
from prefect_uv.git_access.clone import Clone
from prefect_uv.git_access.git_credentials import Login, logins, split_login
from prefect_uv.git_access.git_environment import git_environ
from prefect_uv.log.progress import logging_progress
from prefect_uv.log.run_log import RunLog
from prefect_uv.pull.checkout import Checkout, StepContext, StepInputs
from prefect_uv.pull.git.git_commands import CloneRequest, Git, clone_or_update
from prefect_uv.pull.git.mirrored_clone import clone_with_mirror
from prefect_uv.pull.git.offline_clone import LOCAL_ADDRESSES, clone_offline
from prefect_uv.pull.git.repository_mirror import Mirror
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
    """Clone or update a repository.

    The clone becomes the flow's working directory; relative paths of later steps still start from the same base.

    Raises:
        PullStepError: the inputs are invalid.
        CloneError: git failed; its subclasses say why.
    """
    _check_inputs(branch, commit_sha, access_token, credentials)
    url, login = split_login(repository)
    given = logins(url, {"access_token": access_token} if access_token else credentials or {})
    directory = _clone_directory(checkout.base, clone_directory_name or directory_name(url, branch))
    request = CloneRequest(
        url, directory, branch, commit_sha, submodules=bool(include_submodules), directories=tuple(directories or ())
    )
    checkout = _clone_with_logins(_logins_to_try(context.log, url, given, login), request, context, checkout)
    return {"directory": str(directory.relative_to(checkout.base))}, checkout


def _check_inputs(branch: str | None, commit_sha: str | None, token: str | None, block: Any) -> None:
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
    """The name of the clone's directory: the repository's name without a final `.git`, and the branch with `-` for `/`.

    Prefect 3.8.8 removes `.git` anywhere in the name: https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/storage.py
    """
    name = urlsplit(url).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    return f"{name}-{branch.replace('/', '-')}" if branch else name


def _clone_directory(base: Path, name: str) -> Path:
    directory = Path(os.path.normpath(base / name))
    if not directory.is_relative_to(base):
        message = f"git_clone's clone_directory_name {name} is not below {base}."
        raise PullStepError(message)
    return directory


def _logins_to_try(
    log: RunLog, url: str, given: tuple[Login, ...], in_address: Login | None
) -> tuple[Login | None, ...]:
    """The logins to try, in this order: those given to the step, for https only, or the one in the address.

    Prefect 3.8.8: _repository_url_with_credentials, https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/storage.py
    """
    if given and not url.startswith("https://"):
        log.warning(f"the credentials are not used: {url} is not an https address")
    log.mask.add(*(secret for login in (*given, in_address) if login for secret in login.secrets))
    return (given if url.startswith("https://") else ()) or (in_address,)


def _clone_with_logins(
    logins_to_try: tuple[Login | None, ...], request: CloneRequest, context: StepContext, checkout: Checkout
) -> Checkout:
    *others, last = logins_to_try
    for login in others:
        try:
            return _clone(login, request, context, checkout)
        except GitUnauthorizedError as error:
            context.log.detail(f"{error.headline} Trying the token in another form.")
    return _clone(last, request, context, checkout)


def _clone(login: Login | None, request: CloneRequest, context: StepContext, checkout: Checkout) -> Checkout:
    """Clone with a login; return the checkout with the clone and what was cloned, at which commit, and how."""
    environ = git_environ(context.settings, checkout.environ, request.url, login)
    trusted = trusted_users(checkout.base, context.settings.cache_trust)
    git = Git(request, environ, checkout.base, trusted, context.settings.git_timeout, context.log)
    with logging_progress(context.log, f"cloning {request.url}"):
        action = _clone_or_restore(git, context.settings)
    head = git.query("rev-parse", "--short=12", "--verify", "--quiet", "HEAD") or "no commit"
    source = f"{request.url} at {head} ({action})"
    context.log.detail(f"{source} into {request.directory}")
    return checkout.with_clone(Clone(request.directory, request.url, login), source)


def _clone_or_restore(git: Git, settings: Settings) -> str:
    """Clone, update or restore, as network and volume allow.

    Returns:
        what was done, for the log: `cloned`, `updated`, `restored`, or words that begin with `offline:`.
    """
    if settings.offline and not git.request.url.startswith(LOCAL_ADDRESSES):
        return clone_offline(git, Mirror.at(settings, git.request))
    mirror = Mirror.of(settings, git.request)
    return clone_with_mirror(git, mirror) if mirror else clone_or_update(git)
