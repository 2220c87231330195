"""The engine: asks the base image for a key, builds with BuildKit or without, tags and pushes."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import docker
from docker import errors
from docker.models.containers import Container
from docker.utils import parse_repository_tag
from typing_extensions import Self

from prefect_uv_deploy.buildkit import BuildKitClient, Say, build_failed, forward, secret_values
from prefect_uv_deploy.errors import BuildFailedError, DeployError, RegistryError
from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.tree_archive import add_bytes, add_files

SECONDS = 3600
NO_COMMAND = 127
KEY_SECRETS = ".secrets"


class Engine:
    """A Docker engine, or Podman's service; use it as a context manager."""

    def __init__(self, say: Say) -> None:
        """Connect.

        Raises:
            DeployError: no engine answers.
        """
        self._say = say
        try:
            self._client = docker.from_env(timeout=SECONDS)
            self._client.ping()
        except (errors.DockerException, OSError) as error:
            hint = "Start one, or set DOCKER_HOST."
            raise DeployError(f"No Docker engine answers, and this image has to be built: {error}. {hint}") from None

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._client.close()

    def image_id(self, name: str) -> str | None:
        """The id of an image that the engine has; None if it has none of this name."""
        try:
            return str(self._client.images.get(name).id)
        except errors.ImageNotFound:
            return None

    def ensure(self, name: str) -> str:
        """The id of an image, which is pulled if the engine does not have it.

        Raises:
            BuildFailedError: it cannot be pulled.
        """
        if found := self.image_id(name):
            return found
        self._say(f"pulling {name}")
        repository, tag = parse_repository_tag(name)
        try:
            return str(self._client.images.pull(repository, tag or "latest").id)
        except errors.APIError as error:
            raise BuildFailedError(f"The base image {name} cannot be pulled: {error.explanation}") from None

    def key(self, build: ImageBuild) -> dict[str, Any]:
        """The key of the environment, by the base image's own `prefect-uv key`, from the project's files alone.

        Raises:
            BuildFailedError: the project cannot be installed as it is, or the base is no image of prefect-uv.
        """
        image = self._client.images.get(build.base)
        directory = str(image.attrs["Config"].get("WorkingDir") or "/")
        secrets = {f"{name}_FILE": f"{directory}/{KEY_SECRETS}/{name}" for name in build.secrets}
        try:
            container = self._client.containers.create(
                build.base,
                ["prefect-uv", "key", "--json", *build.options],
                environment={**build.build_args, **build.environment, **secrets},
                network_mode=build.network,
                use_config_proxy=True,
            )
            try:
                exit_code, output, report = _run_with_files(container, directory, _files_for_key(build))
            finally:
                container.remove(force=True, v=True)
        except errors.APIError as error:
            raise BuildFailedError(f"{build.base} cannot be started: {error.explanation}") from None
        if exit_code == NO_COMMAND:
            raise BuildFailedError(f"{build.base} has no command `prefect-uv key`: use a newer image of prefect-uv.")
        if exit_code:
            raise BuildFailedError(f"The project cannot be installed in {build.base}:\n{report.strip()}")
        found: dict[str, Any] = json.loads(output)
        return found

    def build(self, build: ImageBuild, tags: Sequence[str]) -> None:
        """Build for the engine's own platform, with BuildKit if a client can use it.

        Raises:
            BuildFailedError: the build failed, or has secrets and no client can use BuildKit.
        """
        client = BuildKitClient.find(self._say)
        if client:
            client.build(build, tags)
        elif build.secrets:
            message = "A build with secrets needs BuildKit: install Docker's buildx."
            raise BuildFailedError(message)
        else:
            self._say("building without BuildKit: packages are downloaded again whenever they change")
            self._build_classic(build, tags)

    def tag(self, image: str, name: str, tag: str) -> None:
        """Give an image one more name."""
        self._client.images.get(image).tag(name, tag)

    def push(self, name: str, tag: str) -> str:
        """Push a tag, and return the digest.

        Raises:
            RegistryError: the registry refuses it.
        """
        digest = ""
        for event in self._client.api.push(name, tag, stream=True, decode=True):
            if "error" in event:
                raise RegistryError(f"{name}:{tag} cannot be pushed: {event['error']}")
            digest = (event.get("aux") or {}).get("Digest") or digest
        if not digest:
            raise RegistryError(f"The engine has pushed {name}:{tag}, but does not say which digest it has.")
        return digest

    def _build_classic(self, build: ImageBuild, tags: Sequence[str]) -> None:
        lines: list[str] = []
        try:
            with build.context(buildkit=False) as context:
                events = self._client.api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tags[0],
                    decode=True,
                    rm=True,
                    forcerm=True,
                    network_mode=build.network,
                    buildargs={**build.build_args},
                    use_config_proxy=True,
                )
                for event in events:
                    lines += forward(event.get("stream", ""), self._say)
                    if "error" in event:
                        raise build_failed([*lines, event["error"]])
        except errors.APIError as error:
            raise build_failed([str(error.explanation)]) from None
        for tag in tags[1:]:
            self.tag(tags[0], *tag.rsplit(":", 1))


def _run_with_files(container: Container, directory: str, files: bytes) -> tuple[int, str, str]:
    """Run a container that has these files; returns its exit code and what it printed on stdout and on stderr."""
    container.put_archive(directory, files)
    container.start()
    exit_code = container.wait(timeout=SECONDS)["StatusCode"]
    output, report = (container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False))
    return exit_code, output, report


def _files_for_key(build: ImageBuild) -> bytes:
    """The project's files, and the secrets as files, as a tar."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add_files(archive, build.directory, build.dependency_files)
        for name, value in secret_values(build.secrets).items():
            add_bytes(archive, f"{KEY_SECRETS}/{name}", value.encode())
    return buffer.getvalue()
