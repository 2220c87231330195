"""The step `git_clone`: its inputs as Prefect 3.8.8 takes and refuses them (`prefect/deployments/steps/pull.py`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect_uv.errors import GitUnauthorizedError, PullStepError
from prefect_uv.pull.credentials import Login, logins, split
from prefect_uv.pull.environment import git_environ
from prefect_uv.pull.git import Git, Request, bring
from prefect_uv.pull.mirror import Mirror, bring_mirrored
from prefect_uv.pull.offline import LOCAL, bring_offline
from prefect_uv.pull.progress import still_going
from prefect_uv.pull.workspace import Inputs, Tools, Workspace
from prefect_uv.settings import Settings

COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")


def git_clone(  # noqa: PLR0913 (the parameters of Prefect's step)
    tools: Tools,
    workspace: Workspace,
    *,
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    include_submodules: bool = False,
    access_token: str | None = None,
    credentials: Mapping[str, Any] | None = None,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> tuple[Inputs, Workspace]:
    """Clone or update a repository; it becomes the flow's directory, relative paths start where they did.

    Raises:
        PullStepError: the inputs are not right.
        CloneError: or one of its kinds, saying what git met.
    """
    _refuse(branch, commit_sha, access_token, credentials)
    url, login = split(repository)
    given = logins(url, {"access_token": access_token} if access_token else credentials or {})
    directory = _inside(workspace.base, clone_directory_name or directory_name(url, branch))
    request = Request(
        url, directory, branch, commit_sha, submodules=bool(include_submodules), directories=tuple(directories or ())
    )
    _clone_with(_offered(tools, url, given, login), request, tools, workspace)
    return {"directory": str(directory.relative_to(workspace.base))}, workspace


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


def _offered(tools: Tools, url: str, given: tuple[Login, ...], login: Login | None) -> tuple[Login | None, ...]:
    """The logins to try in turn; credentials are for https only, as in Prefect."""
    if given and not url.startswith("https://"):
        tools.log.warning(f"the credentials are not used: {url} is no https address")
    offered = (given if url.startswith("https://") else ()) or (login,)
    tools.log.mask.add(*(secret for one in (*given, login) if one for secret in one.secrets))
    return offered


def _clone_with(offered: tuple[Login | None, ...], request: Request, tools: Tools, workspace: Workspace) -> None:
    *others, last = offered
    for login in others:
        try:
            return _clone(login, request, tools, workspace)
        except GitUnauthorizedError as error:
            tools.log.info(f"{error.headline} Trying the token in another form.")
    return _clone(last, request, tools, workspace)


def _clone(login: Login | None, request: Request, tools: Tools, workspace: Workspace) -> None:
    environ = git_environ(tools.settings, workspace.environ, request.url, login)
    git = Git(request, environ, workspace.base, tools.settings.git_timeout, tools.log)
    with still_going(tools.log, f"cloning {request.url}"):
        how = _brought(git, tools.settings)
    head = git.ask("rev-parse", "--short=12", "--verify", "--quiet", "HEAD") or "no commit"
    tools.log.info(f"{how} {request.url} at {head} into {request.directory}")


def _brought(git: Git, settings: Settings) -> str:
    """The clone in its directory, in the way that network and volume allow."""
    if settings.offline and not git.request.url.startswith(LOCAL):
        return bring_offline(git, Mirror.at(settings.cache_dir, git.request))
    mirror = Mirror.of(settings, git.request)
    return bring_mirrored(git, mirror) if mirror else bring(git)
