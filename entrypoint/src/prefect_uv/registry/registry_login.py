"""The login for a registry, from the file that `docker login`, Kubernetes' pull secrets and CI systems write.

Docker 28: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from prefect_uv.errors import RegistryUnauthorizedError
from prefect_uv.log.mask import Mask
from prefect_uv.processes.subprocesses import run_command
from prefect_uv.registry.image_reference import DOCKER_HUB
from prefect_uv.settings.tool_variables import variables_for_git
from prefect_uv.shapes import TEXT_OR_NONE, mismatch

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
TOKEN_USER = "<token>"  # noqa: S105 (how a credential helper says that it answers with an identity token)
HELPER_SECONDS = 60
LOGINS = {"auths": ({...: ({"auth": TEXT_OR_NONE, "identitytoken": TEXT_OR_NONE}, None)}, None)}


class RegistryLogin(NamedTuple):
    """What a registry is told; empty strings for a registry that asks for nothing.

    Attributes:
        user: the user's name.
        password: the password.
        identity_token: a token that is exchanged for others, in place of both.
    """

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __bool__(self) -> bool:
        """Whether there is one."""
        return any(self)


def find_login(registry: str, environ: Mapping[str, str], mask: Mask) -> RegistryLogin:
    """The login for a registry from $DOCKER_CONFIG/config.json, or ~/.docker/config.json; the mask gets what is secret.

    Raises:
        RegistryUnauthorizedError: the file cannot be read, or the credential helper that it names fails.
    """
    path = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/"), ".docker"), "config.json")
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return RegistryLogin()
    except (OSError, ValueError) as error:
        raise RegistryUnauthorizedError(f"The logins in {path} cannot be read: {_reason(error)}.") from None
    if wrong := mismatch(document, LOGINS, "the file"):
        raise RegistryUnauthorizedError(f"The logins in {path} cannot be read: {wrong}.")
    login = _login_of_helper(document, registry, environ) or _login_in_file(document, registry)
    mask.add(login.password, login.identity_token, f"{login.user}:{login.password}" if login.password else "")
    return login


def _login_names(registry: str) -> list[str]:
    """The names under which a registry's login is kept."""
    names = [registry, *(("index.docker.io", "registry-1.docker.io") if registry == DOCKER_HUB else ())]
    urls = [f"{scheme}://{name}{path}" for name in names for scheme in ("https", "http") for path in ("", "/", "/v2/")]
    return [*names, *urls, *((DOCKER_HUB_KEY,) if registry == DOCKER_HUB else ())]


def _login_in_file(document: Mapping[str, Any], registry: str) -> RegistryLogin:
    logins = document.get("auths") or {}
    found: Mapping[str, str] = next((logins[key] for key in _login_names(registry) if logins.get(key)), {})
    try:
        user, _, password = base64.b64decode(found.get("auth") or "").decode().partition(":")
    except ValueError:
        user, password = "", ""
    return RegistryLogin(user, password.rstrip("\0"), found.get("identitytoken") or "")


def _login_of_helper(document: Mapping[str, Any], registry: str, environ: Mapping[str, str]) -> RegistryLogin:
    """The answer of the program that the file names for this registry, or for all; none if it has no login."""
    helpers = document.get("credHelpers") or {}
    key = next((key for key in _login_names(registry) if key in helpers), "")
    name = helpers.get(key) or document.get("credsStore")
    if not isinstance(name, str) or not name:
        return RegistryLogin()
    program = f"docker-credential-{name}"
    server = key or (DOCKER_HUB_KEY if registry == DOCKER_HUB else registry)
    try:
        with tempfile.TemporaryFile("w+") as asked:
            asked.write(server)
            asked.seek(0)
            variables = variables_for_git(environ)
            answered = run_command([program, "get"], env=variables, timeout=HELPER_SECONDS, stdin=asked)
        if answered.exit_code:
            return RegistryLogin()
        answer = json.loads(answered.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (OSError, ValueError, KeyError, TypeError, subprocess.TimeoutExpired) as error:
        raise RegistryUnauthorizedError(
            f"The credential helper {program} does not answer: {_reason(error)}.",
            hint="Install it, or put the login itself into config.json: `docker login` without `credsStore`.",
        ) from None
    return RegistryLogin(identity_token=secret) if user == TOKEN_USER else RegistryLogin(user, secret)


def _reason(error: Exception) -> str:
    """What is wrong, without the content of a file or an answer, which may be secret."""
    return str(error.strerror) if isinstance(error, OSError) else "it is not what we expect"
