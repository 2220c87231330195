"""Credentials of git providers: which user name and password an address needs, handed to git by its environment only.

The forms are those of Prefect 3.8.8 (`prefect/runner/storage.py`, `_format_token_from_credentials`), where a pull step
gets credential blocks as plain dictionaries. Three of its faults are mended here: user information that is already in
the address is dropped, a user name goes with a `token` too, and a host whose name tells no provider is offered the
token in the form of GitLab, Gitea and Azure DevOps before GitHub's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from prefect_uv.errors import PullStepError

USER, PASSWORD = "PREFECT_UV_GIT_USER", "PREFECT_UV_GIT_PASSWORD"
HELPER = f'!f() {{ printf "username=%s\\npassword=%s\\n" "${USER}" "${PASSWORD}"; }}; f'
TOKEN_IS_USER = ("github", "dev.azure.com", "visualstudio.com")
PREFIXES = {"bitbucket": "x-token-auth", "gitlab": "oauth2"}


@dataclass(frozen=True)
class Login:
    """A user name and a password, either of which may be a token."""

    user: str
    password: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen, also as the pair that Basic authentication encodes."""
        return (self.password or self.user, f"{self.user}:{self.password}")


def split_login(url: str) -> tuple[str, Login | None]:
    """`https://user:password@host/path` as the bare address and the login; other addresses as they are."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" not in parts.netloc:
        return url, None
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, Login(unquote(parts.username or ""), unquote(parts.password or ""))


def logins(url: str, credentials: Mapping[str, Any]) -> tuple[Login, ...]:
    """What to offer to the host of `url`, in this order; nothing without credentials.

    Raises:
        PullStepError: the credentials have no token or password, or not the form that the host needs.
    """
    if not credentials:
        return ()
    token = str(credentials.get("access_token") or credentials.get("token") or credentials.get("password") or "")
    token = token.strip()
    if not token:
        message = "git_clone's credentials have no token."
        raise PullStepError(message, f"They have {', '.join(credentials)}.", "Give a `token` or a `password`.")
    if credentials.get("username"):
        return (Login(str(credentials["username"]), token),)
    return _by_host(urlsplit(url).netloc, token)


def _by_host(host: str, token: str) -> tuple[Login, ...]:
    user, colon, password = token.partition(":")
    if "bitbucketserver" in host and not colon:
        message = "git_clone's credentials for Bitbucket Server have no user name."
        raise PullStepError(message, hint="Give a `username` beside the `password` or `token`.")
    if any(name in host for name in TOKEN_IS_USER):
        return (Login(token),)
    if colon:
        return (Login(user, password),)
    prefix = next((prefix for name, prefix in PREFIXES.items() if name in host), None)
    return (Login(prefix, token),) if prefix else (Login("oauth2", token), Login(token))


def credential_config(url: str, login: Login | None) -> list[tuple[str, str]]:
    """Git's settings that make it ask our helper, and nobody else, for this host; the helper reads the environment."""
    if login is None:
        return []
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc}"
    return [
        (f"credential.{host}.helper", ""),
        (f"credential.{host}.helper", HELPER),
        (f"http.{host}/.proactiveAuth", "basic"),
    ]


def credential_environ(login: Login | None) -> dict[str, str]:
    """The variables that the helper reads."""
    return {} if login is None else {USER: login.user, PASSWORD: login.password}
