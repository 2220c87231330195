"""Credentials of git providers: the user name and password that a host expects, given to git in its environment only.

The forms are those of Prefect, whose pull steps get credential blocks as plain dictionaries. Three of its faults are
fixed here: user information that is already in the address is dropped, a `username` may come with a `token`, and a
host whose name reveals no provider is offered the token as GitLab, Gitea and Azure DevOps take it before GitHub's form.

Prefect 3.8.8: _format_token_from_credentials, GitRepository; https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/runner/storage.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit
from uuid import uuid4

from prefect_uv.errors import PullStepError

USER_VARIABLE, PASSWORD_VARIABLE = "PREFECT_UV_GIT_USER", "PREFECT_UV_GIT_PASSWORD"
REFUSED_VARIABLE = "PREFECT_UV_GIT_REFUSED"
# git-lfs 3.6: asks again and again as long as it gets an answer. https://github.com/git-lfs/git-lfs/blob/v3.6.1/lfsapi/auth.go
CREDENTIAL_HELPER = (
    f'!f() {{ case $1 in erase) : > "${REFUSED_VARIABLE}";; get) test -e "${REFUSED_VARIABLE}" || '
    f'printf "username=%s\\npassword=%s\\n" "${USER_VARIABLE}" "${PASSWORD_VARIABLE}";; esac; }}; f'
)
TOKEN_AS_USER = ("github", "dev.azure.com", "visualstudio.com")
USER_FOR_TOKEN = {"bitbucket": "x-token-auth", "gitlab": "oauth2"}


@dataclass(frozen=True)
class Login:
    """A user name and a password, either of which may be a token."""

    user: str
    password: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The texts to mask, including the pair that Basic authentication encodes."""
        return (self.password or self.user, f"{self.user}:{self.password}")


def split_login(url: str) -> tuple[str, Login | None]:
    """Split `https://user:password@host/path` into the bare address and the login; other addresses have no login."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url, None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, Login(unquote(parts.username or ""), unquote(parts.password or ""))


def logins(url: str, credentials: Mapping[str, Any]) -> tuple[Login, ...]:
    """The logins to offer to the host of `url`, in this order; empty without credentials.

    Raises:
        PullStepError: the credentials have no token or password, or not in the form that the host needs.
    """
    if not credentials:
        return ()
    token = str(credentials.get("access_token") or credentials.get("token") or credentials.get("password") or "")
    token = token.strip()
    if not token:
        message = "git_clone's credentials have neither a token nor a password."
        raise PullStepError(message, f"They have {', '.join(credentials)}.", "Add a `token` or a `password`.")
    if credentials.get("username"):
        return (Login(str(credentials["username"]), token),)
    return _logins_for_host(urlsplit(url).netloc, token)


def _logins_for_host(host: str, token: str) -> tuple[Login, ...]:
    user, colon, password = token.partition(":")
    if "bitbucketserver" in host and not colon:
        message = "git_clone's credentials for Bitbucket Server have no user name."
        raise PullStepError(message, hint="Add a `username` to the `password` or `token`.")
    if any(name in host for name in TOKEN_AS_USER):
        return (Login(token),)
    if colon:
        return (Login(user, password),)
    provider_user = next((user for name, user in USER_FOR_TOKEN.items() if name in host), None)
    return (Login(provider_user, token),) if provider_user else (Login("oauth2", token), Login(token))


def credential_config(url: str, login: Login | None) -> list[tuple[str, str]]:
    """Git's settings that make it ask only our helper, which reads the environment, for this host's credentials."""
    if login is None:
        return []
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc}"
    return [
        # git 2.39: an empty value clears the list of helpers. https://git-scm.com/docs/gitcredentials
        (f"credential.{host}.helper", ""),
        (f"credential.{host}.helper", CREDENTIAL_HELPER),
        # git 2.46: sends them with the first request; older ones ignore it. https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpproactiveAuth
        (f"http.{host}/.proactiveAuth", "basic"),
    ]


def credential_environ(login: Login | None) -> dict[str, str]:
    """The variables that the helper reads: the login, and a file that exists once a server has refused it."""
    if login is None:
        return {}
    refused = Path(tempfile.gettempdir()) / f"prefect-uv-refused-{uuid4().hex}"
    return {USER_VARIABLE: login.user, PASSWORD_VARIABLE: login.password, REFUSED_VARIABLE: str(refused)}
