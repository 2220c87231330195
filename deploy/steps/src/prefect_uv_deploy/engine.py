"""The engine: asks the base image for a key, builds with BuildKit or without, tags and pushes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import docker
from docker import errors
from docker.utils import parse_repository_tag
from typing_extensions import Self

from prefect_uv_deploy.errors import BuildFailedError, DeployError, RegistryError
from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.tree_archive import add_bytes, add_files

Say = Callable[[str], None]

# Docker 23.0: `docker build` is `docker buildx build`. https://docs.docker.com/engine/release-notes/23.0/
LAST_CLIENT_WITH_OWN_BUILDKIT = 22
SECONDS = 3600
TAIL_LINES = 40
NO_COMMAND = 127
KEY_SECRETS = "secrets"


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
            message = (
                f"No Docker engine answers, and this image has to be built: {error}. Start one, or set DOCKER_HOST."
            )
            raise DeployError(message) from None

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
        secrets = {f"{name}_FILE": f"{directory}/.{KEY_SECRETS}/{name}" for name in build.secrets}
        container = self._client.containers.create(
            build.base,
            ["prefect-uv", "key", "--json", *build.options],
            environment={**build.build_args, **build.environment, **secrets},
            network_mode=build.network,
            use_config_proxy=True,
        )
        try:
            container.put_archive(directory, _files_for_key(build))
            container.start()
            exit_code = container.wait(timeout=SECONDS)["StatusCode"]
            output, report = (
                container.logs(stdout=out, stderr=not out).decode(errors="replace") for out in (True, False)
            )
        finally:
            container.remove(force=True, v=True)
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
        client = _buildkit_client()
        if client is None and build.secrets:
            message = "A build with secrets needs BuildKit: install Docker's buildx."
            raise BuildFailedError(message)
        with build.context(buildkit=client is not None) as context:
            if client is None:
                self._say("building without BuildKit: packages are downloaded again whenever they change")
                self._build_classic(build, tags, context)
            else:
                self._run_client([*client, *_loading(client), *_tags(tags)], build, context)

    def build_and_push_platforms(self, build: ImageBuild, name: str, tag: str) -> str:
        """Build for several platforms with buildx, push, and return the digest.

        Raises:
            BuildFailedError: there is no buildx, or the build failed.
        """
        client = _buildkit_client()
        if client is None or "buildx" not in client:
            raise BuildFailedError(f"A build for {', '.join(build.platforms)} needs Docker's buildx.")
        with (
            tempfile.TemporaryDirectory() as private,
            build.context(buildkit=True) as context,
        ):
            file = Path(private) / "metadata.json"
            options = ["--platform", ",".join(build.platforms), "--push", "--metadata-file", str(file)]
            self._run_client([*client, *options, *_tags([f"{name}:{tag}"])], build, context)
            return str(json.loads(file.read_text())["containerimage.digest"])

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

    def _build_classic(self, build: ImageBuild, tags: Sequence[str], context: IO[bytes]) -> None:
        lines: list[str] = []
        try:
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
                lines += self._forward(event.get("stream", ""))
                if "error" in event:
                    raise _build_failed([*lines, event["error"]])
        except errors.APIError as error:
            raise _build_failed([str(error.explanation)]) from None
        for tag in tags[1:]:
            self.tag(tags[0], *tag.rsplit(":", 1))

    def _run_client(self, command: Sequence[str], build: ImageBuild, context: IO[bytes]) -> None:
        """Run the client; values of arguments and secrets are on no command line."""
        with _secret_options(build.secrets) as secrets:
            network = ["--network", build.network] if build.network else []
            arguments = [word for name in build.build_args for word in ("--build-arg", name)]
            words = [*command, "--progress=plain", *network, *arguments, *secrets, "-"]
            environ = {**os.environ, "DOCKER_CONTEXT": "default", "DOCKER_BUILDKIT": "1", **build.build_args}
            with subprocess.Popen(
                words, stdin=context, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
            ) as process:
                lines = [line for text in process.stdout or () for line in self._forward(text)]
        if process.returncode:
            raise _build_failed(lines)

    def _forward(self, text: str) -> list[str]:
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        for line in lines:
            self._say(line)
        return lines


def _build_failed(lines: Sequence[str]) -> BuildFailedError:
    return BuildFailedError("\n".join(["The image could not be built:", *lines[-TAIL_LINES:]]))


def _buildkit_client() -> list[str] | None:
    """The words of `docker build` of the first client that can use BuildKit; None if there is none."""
    paths = (shutil.which("docker", path=folder) for folder in [*os.get_exec_path(), "/usr/bin"])
    for path in dict.fromkeys(filter(None, paths)):
        if _succeeds(path, "buildx", "version"):
            return [path, "buildx", "build"]
        version = re.search(r"version (\d+)", _output(path, "--version"))
        if version and int(version[1]) <= LAST_CLIENT_WITH_OWN_BUILDKIT:
            return [path, "build"]
    return None


def _loading(client: Sequence[str]) -> list[str]:
    """The option with which a builder that is not the engine's own gives it the image."""
    return ["--load"] if "buildx" in client else []


def _tags(tags: Sequence[str]) -> list[str]:
    return [word for tag in tags for word in ("--tag", tag)]


def _output(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60).stdout


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


@contextmanager
def _secret_options(names: Sequence[str]) -> Iterator[list[str]]:
    """The options for secrets, whose values are in private files as long as the build lasts."""
    with tempfile.TemporaryDirectory(prefix="prefect-uv-deploy-") as private:
        words = []
        for name, value in _secret_values(names).items():
            file = Path(private) / name
            file.touch(0o600)
            file.write_text(value)
            words += ["--secret", f"id={name},src={file}"]
        yield words


def _secret_values(names: Sequence[str]) -> Mapping[str, str]:
    """The values of secrets.

    Raises:
        DeployError: a variable is not set.
    """
    if missing := [name for name in names if name not in os.environ]:
        raise DeployError(f"The build needs the secret {', '.join(missing)}, and no such variable is set.")
    return {name: os.environ[name] for name in names}


def _files_for_key(build: ImageBuild) -> bytes:
    """The project's files, and the secrets as files, as a tar."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        add_files(archive, build.directory, build.dependency_files)
        for name, value in _secret_values(build.secrets).items():
            add_bytes(archive, f".{KEY_SECRETS}/{name}", value.encode())
    return buffer.getvalue()
