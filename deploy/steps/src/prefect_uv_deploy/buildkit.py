"""Docker's command-line client, which alone can build with BuildKit; values and secrets are on no command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect_uv_deploy.errors import BuildFailedError, DeployError
from prefect_uv_deploy.image_build import ImageBuild

Say = Callable[[str], None]

# Docker 23.0: `docker build` is `docker buildx build`. https://docs.docker.com/engine/release-notes/23.0/
LAST_CLIENT_WITH_OWN_BUILDKIT = 22
CHECK_SECONDS = 60
TAIL_LINES = 40
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class BuildKitClient:
    """A client that can use BuildKit.

    Attributes:
        command: the words before the options.
        say: prints a line.
    """

    command: tuple[str, ...]
    say: Say

    @classmethod
    def find(cls, say: Say) -> BuildKitClient | None:
        """The first client on PATH that can use BuildKit, with buildx or of Docker 20.10 to 22; None without one."""
        paths = (shutil.which("docker", path=folder) for folder in [*os.get_exec_path(), "/usr/bin"])
        for path in dict.fromkeys(filter(None, paths)):
            if _run(path, "buildx", "version").returncode == 0:
                return cls((path, "buildx", "build"), say)
            version = re.search(r"Docker version (\d+)", _run(path, "--version").stdout)
            if version and int(version[1]) <= LAST_CLIENT_WITH_OWN_BUILDKIT:
                return cls((path, "build"), say)
        return None

    @property
    def has_buildx(self) -> bool:
        """Whether it can build for several platforms."""
        return "buildx" in self.command

    def build(self, build: ImageBuild, tags: Sequence[str]) -> None:
        """Build, and give the image to the engine, also if the builder is another one.

        Raises:
            BuildFailedError: the build failed.
        """
        self._build(build, tags, ["--load"] if self.has_buildx else [])

    def build_and_push(self, build: ImageBuild, tag: str) -> str:
        """Build for the build's platforms, push, and return the digest.

        Raises:
            BuildFailedError: the build failed.
        """
        with tempfile.TemporaryDirectory() as private:
            file = Path(private) / "metadata.json"
            options = ["--platform", ",".join(build.platforms), "--push", "--metadata-file", str(file)]
            self._build(build, [tag], options)
            return str(json.loads(file.read_text())["containerimage.digest"])

    def _build(self, build: ImageBuild, tags: Sequence[str], options: Sequence[str]) -> None:
        network = ["--network", build.network] if build.network else []
        named = [word for tag in tags for word in ("--tag", tag)]
        arguments = [word for name in build.build_args for word in ("--build-arg", name)]
        # The SDK knows no contexts, so both use DOCKER_HOST or the default.
        environ = {**os.environ, "DOCKER_CONTEXT": "default", "DOCKER_BUILDKIT": "1", **build.build_args}
        with _secret_options(build.secrets) as secrets, build.context(buildkit=True) as context:
            command = [*self.command, *options, *named, "--progress=plain", *network, *arguments, *secrets, "-"]
            with subprocess.Popen(
                command, stdin=context, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
            ) as process:
                lines = [line for text in process.stdout or () for line in forward(text, self.say)]
        if process.returncode:
            raise build_failed(lines)


def forward(text: str, say: Say) -> list[str]:
    """Print the lines of a builder that are not empty, and return them."""
    lines = [line.rstrip() for line in COLOUR.sub("", text).splitlines() if line.strip()]
    for line in lines:
        say(line)
    return lines


def build_failed(lines: Sequence[str]) -> BuildFailedError:
    """The error of a build, with the end of what it printed."""
    return BuildFailedError("\n".join(["The image could not be built:", *lines[-TAIL_LINES:]]))


def secret_values(names: Sequence[str]) -> Mapping[str, str]:
    """The values of secrets, by the variables that they are in.

    Raises:
        DeployError: a variable is not set.
    """
    if missing := [name for name in names if name not in os.environ]:
        raise DeployError(f"The build needs the secret {', '.join(missing)}, and no such variable is set.")
    return {name: os.environ[name] for name in names}


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=CHECK_SECONDS)


@contextmanager
def _secret_options(names: Sequence[str]) -> Iterator[list[str]]:
    """The options for secrets, whose values are in private files as long as the build lasts."""
    with tempfile.TemporaryDirectory(prefix="prefect-uv-deploy-") as private:
        words = []
        for name, value in secret_values(names).items():
            file = Path(private) / name
            file.touch(0o600)
            file.write_text(value)
            words += ["--secret", f"id={name},src={file}"]
        yield words
