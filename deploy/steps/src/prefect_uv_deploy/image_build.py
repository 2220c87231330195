"""What an image is made of: the files, the Dockerfile, and the tag that both decide."""

from __future__ import annotations

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from docker.utils.build import PatternMatcher

from prefect_uv_deploy.dependency_files import dependency_files
from prefect_uv_deploy.errors import DeployError
from prefect_uv_deploy.tree_archive import TIME, add_bytes, add_files, write_tree
from prefect_uv_deploy.working_tree import listed_files

LAYOUT = "v1"
CODE_DIRECTORY = "/opt/prefect/app"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What the entrypoint reads from files, by the variable with `_FILE`.
LOGIN_VARIABLE = re.compile(
    r"UV_INDEX_.+_(?:USERNAME|PASSWORD)|(?:UV_(?:DEFAULT_|EXTRA_)?|PIP_(?:EXTRA_)?)INDEX(?:_URL)?"
)
CACHE_MOUNT = "--mount=type=cache,target=/cache,uid=1000"
SECRETS = "/run/secrets"


@dataclass(frozen=True, kw_only=True)
class ImageBuild:
    """An image to be built.

    Attributes:
        base: an image of prefect-uv, or one that was built FROM one.
        directory: the root of the project's files; what the deployment's pull steps bring has the same files.
        options: of `prefect-uv bake`, which select the dependencies.
        environment: variables of the build that can change its result, such as `UV_DEFAULT_INDEX`.
        code: the image has the code too.
        version: the project is installed, and the image has this version; implies `code`.
        include: patterns of further files that decide the environment.
        platforms: for which platforms, such as `linux/arm64`; empty for the engine's own.
        build_args: proxies and the like, which change nothing in the image.
        secrets: names of variables of this process that the build needs and no layer keeps.
        network: the network of the build; None for the engine's default.
    """

    base: str
    directory: Path
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    code: bool = False
    version: str | None = None
    include: Sequence[str] = ()
    platforms: Sequence[str] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    network: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would be another build than it seems.

        Raises:
            DeployError: a value is invalid.
        """
        if not self.base or re.search(r"\s", self.base):
            raise DeployError(f"The base {self.base!r} is not the name of an image.")
        if self.version is not None and not re.fullmatch(r"[\w.+-]+", self.version):
            raise DeployError(f"The version {self.version!r} is empty, or has characters that no version has.")
        for name in (*self.environment, *self.build_args, *self.secrets):
            if not VARIABLE.fullmatch(name):
                raise DeployError(f"{name!r} cannot be the name of a variable.")
        for name in self.secrets:
            if not LOGIN_VARIABLE.fullmatch(name):
                raise DeployError(f"{name} cannot be a secret of the build: only addresses and logins of indexes can.")

    @property
    def has_code(self) -> bool:
        """Whether the code is in the image."""
        return self.code or self.version is not None

    @cached_property
    def all_files(self) -> list[str]:
        """Every file that git does not ignore."""
        return listed_files(self.directory)

    @cached_property
    def dependency_files(self) -> list[str]:
        """The files that decide the environment."""
        named = [word for word in self.options if not word.startswith("-")]
        named += [word for value in self.environment.values() for word in value.split()]
        return dependency_files(self.directory, self.all_files, named, self.include)

    @cached_property
    def code_files(self) -> list[str]:
        """The files of the code: those that neither git nor `.dockerignore` ignores; none if the code is not wanted."""
        if not self.has_code:
            return []
        file = self.directory / ".dockerignore"
        lines = [line.strip() for line in file.read_text().splitlines()] if file.is_file() else []
        matcher = PatternMatcher([line for line in lines if line and not line.startswith("#")])
        return [name for name in self.all_files if not matcher.matches(name)]  # type: ignore[arg-type]

    @property
    def files(self) -> list[str]:
        """Everything that is sent to the builder."""
        return sorted({*self.dependency_files, *self.code_files})

    @cached_property
    def inputs(self) -> str:
        """The digest of everything that decides the image, from files alone, without engine and network."""
        decisive = {
            "layout": LAYOUT,
            "base": self.base,
            "options": [*self.options],
            "environment": {**self.environment},
            "platforms": [*self.platforms],
            "version": self.version,
            "dependencies": self._digest(self.dependency_files),
        }
        return _digest_of({**decisive, "code": self.code_digest})

    @cached_property
    def code_digest(self) -> str:
        """The digest of the code; empty if it is not in the image."""
        return self._digest(self.code_files) if self.has_code else ""

    def key_tag(self, found: Mapping[str, Any], base_id: str) -> str:
        """The tag for an environment's key: its first digits as in the run's log, and a digest of all else that counts.

        Args:
            found: what `prefect-uv key --json` printed.
            base_id: the id of the base image.
        """
        others = [LAYOUT, base_id, [*self.options], {**self.environment}, self.version, self.code_digest]
        return f"{str(found['key'])[:12]}-{_digest_of([*others, found.get('extra')])[:12]}"

    @property
    def inputs_tag(self) -> str:
        """The tag for the inputs, with which a later call finds the image."""
        return f"inputs-{self.inputs[:32]}"

    def dockerfile(self, *, buildkit: bool) -> str:
        """The Dockerfile; without BuildKit, it has no mounts."""
        lines = [f"FROM {self.base}"]
        if self.has_code:
            lines.append(f"WORKDIR {CODE_DIRECTORY}")
        lines += ["COPY dependencies/ ./", self._run(buildkit=buildkit)]
        if self.has_code:
            lines.append("COPY code/ ./")
        if self.version is not None:
            lines.append(self._run("--install-project", "--version", self.version, buildkit=buildkit))
            lines.append(f'LABEL org.opencontainers.image.version="{self.version}"')
        return "\n".join([*lines, ""])

    @contextmanager
    def context(self, *, buildkit: bool) -> Iterator[IO[bytes]]:
        """The build context as an open tar."""
        with tempfile.TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
                add_bytes(archive, "Dockerfile", self.dockerfile(buildkit=buildkit).encode())
                for folder, names in (("dependencies", self.dependency_files), ("code", self.code_files)):
                    archive.addfile(_folder(folder))
                    add_files(archive, self.directory, names, f"{folder}/")
            file.seek(0)
            yield file

    def _run(self, *more: str, buildkit: bool) -> str:
        mounts = (
            [CACHE_MOUNT, *(f"--mount=type=secret,id={name},uid=1000" for name in self.secrets)] if buildkit else []
        )
        variables = dict(self.environment)
        variables |= {f"{name}_FILE": f"{SECRETS}/{name}" for name in self.secrets if buildkit}
        assigned = [f"{name}={value}" for name, value in sorted(variables.items())]
        command = [*(["env", *assigned] if assigned else []), "prefect-uv", "bake", *self.options, *more]
        return " ".join(["RUN", *mounts, json.dumps(command)])

    def _digest(self, names: Sequence[str]) -> str:
        with tempfile.TemporaryFile() as nowhere:
            return write_tree(self.directory, names, nowhere)


def _folder(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, TIME
    return entry


def _digest_of(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
