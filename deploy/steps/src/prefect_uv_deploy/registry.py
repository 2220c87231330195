"""A registry, asked without an engine: the digest of a tag, and one more tag for an image that is there.

OCI distribution specification 1.1: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
Tokens: https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from docker import auth, errors

from prefect_uv_deploy.errors import RegistryError

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
HUB, HUB_HOST = "docker.io", "registry-1.docker.io"
LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?")
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
SECONDS = 60.0
UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404


@dataclass(frozen=True)
class Repository:
    """A repository of a registry.

    Attributes:
        host: the registry, such as `registry.example.com:5000`.
        path: the name of the repository there.
    """

    host: str
    path: str

    @classmethod
    def of(cls, name: str) -> Repository:
        """The repository of an image's name, without tag or digest."""
        host, path = auth.resolve_repository_name(name)
        return cls(host, path if host != HUB or "/" in path else f"library/{path}")

    @property
    def url(self) -> str:
        """Where its API is; like engines, without TLS on this machine alone."""
        scheme = "http" if LOOPBACK.fullmatch(self.host) else "https"
        return f"{scheme}://{HUB_HOST if self.host == HUB else self.host}/v2/{self.path}"

    def digest(self, reference: str) -> str | None:
        """The digest of a tag; None if there is none. One request, and one for a token if the registry wants that.

        Raises:
            RegistryError: the registry refuses to answer, or cannot be reached.
        """
        with self._connection() as connection:
            response = connection.send("HEAD", f"/manifests/{reference}", "pull", {"Accept": ", ".join(MANIFESTS)})
        if response.status_code == NOT_FOUND:
            return None
        self._check(response)
        return response.headers.get("Docker-Content-Digest") or None

    def add_tag(self, digest: str, tag: str) -> None:
        """Give an image that is there one more tag.

        Raises:
            RegistryError: the registry refuses it.
        """
        with self._connection() as connection:
            manifest = connection.send("GET", f"/manifests/{digest}", "pull,push", {"Accept": ", ".join(MANIFESTS)})
            self._check(manifest)
            headers = {"Content-Type": manifest.headers["Content-Type"]}
            self._check(connection.send("PUT", f"/manifests/{tag}", "pull,push", headers, manifest.content))

    @contextmanager
    def _connection(self) -> Iterator[_Connection]:
        try:
            with httpx.Client(timeout=SECONDS, follow_redirects=True) as client:
                yield _Connection(client, self)
        except httpx.HTTPError as error:
            raise RegistryError(f"The registry {self.host} cannot be reached: {error}") from None

    def _check(self, response: httpx.Response) -> None:
        if response.is_success:
            return
        hint = f" Log in with `docker login {self.host}`." if response.status_code in {UNAUTHORIZED, FORBIDDEN} else ""
        raise RegistryError(f"The registry {self.host} answers {response.status_code} for {self.path}.{hint}")


class _Connection:
    """Requests with the login of the user's Docker configuration, sent only once the registry asks for it."""

    def __init__(self, client: httpx.Client, repository: Repository) -> None:
        self._client = client
        self._repository = repository
        self._authorization: dict[str, str] = {}

    def send(
        self, method: str, path: str, actions: str, headers: dict[str, str], content: bytes | None = None
    ) -> httpx.Response:
        url = f"{self._repository.url}{path}"
        response = self._client.request(method, url, headers={**headers, **self._authorization}, content=content)
        if response.status_code == UNAUTHORIZED and not self._authorization:
            self._authorize(response.headers.get("WWW-Authenticate", ""), actions)
            response = self._client.request(method, url, headers={**headers, **self._authorization}, content=content)
        return response

    def _authorize(self, challenge: str, actions: str) -> None:
        kind, _, rest = challenge.partition(" ")
        config = self._login()
        login = (config.get("username") or "", config.get("password") or "")
        if kind.lower() == "basic":
            request = self._client.build_request("GET", self._repository.url)
            authorized = next(httpx.BasicAuth(*login).auth_flow(request))
            self._authorization = {"Authorization": authorized.headers["Authorization"]}
            return
        parameters = dict(CHALLENGE.findall(rest))
        if kind.lower() != "bearer" or "realm" not in parameters:
            return
        self._authorization = {"Authorization": f"Bearer {self._token(parameters, config, login, actions)}"}

    def _login(self) -> dict[str, str]:
        """What Docker's configuration, or its credential helper, has for the registry; empty if it has nothing."""
        try:
            return auth.load_config().resolve_authconfig(self._repository.host) or {}
        except errors.DockerException as error:
            raise RegistryError(f"The login for {self._repository.host} cannot be read: {error}") from None

    def _token(self, parameters: dict[str, str], config: dict[str, str], login: tuple[str, str], actions: str) -> str:
        scope = f"repository:{self._repository.path}:{actions}"
        query = {"service": parameters.get("service", ""), "scope": scope}
        realm = parameters["realm"]
        if identity := config.get("identitytoken") or config.get("IdentityToken"):
            form = {**query, "grant_type": "refresh_token", "refresh_token": identity, "client_id": "prefect-uv-deploy"}
            response = self._client.post(realm, data=form)
        else:
            response = self._client.get(realm, params=query, auth=login if any(login) else None)
        if not response.is_success:
            hint = f"Log in with `docker login {self._repository.host}`."
            raise RegistryError(f"The registry {self._repository.host} gives no token ({response.status_code}). {hint}")
        answer = response.json()
        return str(answer.get("token") or answer.get("access_token") or "")
