"""What a registry asks for with a 401, and the answer: the login itself, or a token that the login is exchanged for.

https://distribution.github.io/distribution/spec/auth/token/ and https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from prefect_uv.api.connections.connection import basic_authorization
from prefect_uv.errors import RegistryRefusedError, RegistryUnauthorizedError
from prefect_uv.registry.image_reference import ImageReference, is_loopback
from prefect_uv.registry.registry_login import RegistryLogin

CLIENT_ID = "prefect-uv"
LOGIN_HINT = (
    "Mount a config.json with a login for it, such as a pull secret, and name its directory in DOCKER_CONFIG; or run"
    " `docker login`."
)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class TokenRequest(NamedTuple):
    """A request for a token: GET if there is no form, else POST."""

    url: str
    form: bytes | None
    authorization: str


def authorize(
    challenges: Iterable[str],
    reference: ImageReference,
    actions: str,
    login: RegistryLogin,
    send: Callable[[TokenRequest], bytes],
) -> tuple[str, str]:
    """The value of an `Authorization` header that answers a registry's challenges, and what is secret in it.

    Args:
        challenges: the values of its `WWW-Authenticate` headers.
        reference: the image.
        actions: what is to be done with it: `pull` or `pull,push`.
        login: the login for the registry.
        send: sends a request for a token, and returns the body of the answer.

    Raises:
        RegistryUnauthorizedError: it wants a login, and there is none.
        RegistryRefusedError: it asks for something that we do not know, or sends the login where it could be read.
    """
    schemes = {challenge.partition(" ")[0].lower(): challenge for challenge in challenges}
    if "bearer" in schemes:
        scope = f"repository:{reference.repository}:{actions}"
        request = _token_request(dict(_PARAMETER.findall(schemes["bearer"])), scope, reference, login)
        token = _read_token(send(request), reference)
        return f"Bearer {token}", token
    if "basic" in schemes:
        if not login.password:
            raise RegistryUnauthorizedError(f"The registry {reference.registry} wants a login.", hint=LOGIN_HINT)
        return basic_authorization(f"{login.user}:{login.password}"), login.password
    raise RegistryRefusedError(f"The registry {reference.registry} asks for a login that prefect-uv does not know.")


def _token_request(asked: dict[str, str], scope: str, reference: ImageReference, login: RegistryLogin) -> TokenRequest:
    realm = asked.get("realm", "")
    parts = urlsplit(realm)
    own = is_loopback(reference.registry) and is_loopback(parts.netloc)
    if parts.scheme != "https" and not (parts.scheme == "http" and own):
        raise RegistryRefusedError(
            f"The registry {reference.registry} sends the login to {realm or 'nowhere'}, which is not https.",
            "Without TLS, everyone on the way could read it.",
        )
    fields = {"service": asked.get("service", ""), "scope": scope}
    fields = {name: value for name, value in fields.items() if value}
    if login.identity_token:
        grant = {"grant_type": "refresh_token", "refresh_token": login.identity_token, "client_id": CLIENT_ID}
        return TokenRequest(realm, urlencode({**fields, **grant}).encode(), "")
    authorization = basic_authorization(f"{login.user}:{login.password}") if login.password else ""
    return TokenRequest(f"{realm}{'&' if parts.query else '?'}{urlencode(fields)}", None, authorization)


def _read_token(body: bytes, reference: ImageReference) -> str:
    try:
        document = json.loads(body)
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise RegistryRefusedError(f"The registry {reference.registry} gave no token to the login.")
    return token
