"""`build_image` for Python: an image for `flow.deploy(image=…)` and `deploy(image=…)`.

Prefect 3.9.1: flow.deploy calls build(), push() and then reads `reference`.
https://github.com/PrefectHQ/prefect/blob/3.9.1/src/prefect/deployments/runner.py
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from prefect.docker.docker_image import DockerImage

from prefect_uv_deploy.image_build import ImageBuild
from prefect_uv_deploy.image_builder import FoundImage, ImageBuilder, names_registry, with_base_digest
from prefect_uv_deploy.selection import bake_options, build_environment


class BakedImage(DockerImage):
    """An image that is built only if neither the registry nor the engine has it.

    Args:
        name: the image's name without tag; a registry comes first.
        base: an image of prefect-uv, or one that was built FROM one.
        directory: the root of the project's files.
        stream_progress_to: where lines are written; None for nowhere.
        options: those of the step `build_image` that are not named here, with the same meaning.
    """

    def __init__(  # noqa: PLR0913 (the inputs of the step)
        self,
        name: str,
        *,
        base: str,
        directory: str | Path = ".",
        groups: Sequence[str] = (),
        only_groups: Sequence[str] = (),
        extras: Sequence[str] = (),
        package: str | None = None,
        project: str | None = None,
        job_variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        pull: bool = False,
        stream_progress_to: TextIO | None = sys.stdout,
        **options: Any,
    ) -> None:
        super().__init__(name, tag="unbuilt")
        self._stream = stream_progress_to  # Prefect 3.0 has no such attribute
        self._build = ImageBuild(
            base=base,
            directory=Path(directory).resolve(),
            options=bake_options(groups, only_groups, extras, package, project),
            environment=build_environment(job_variables, environment),
            **options,
        )
        self._pull = pull
        self._builder = ImageBuilder(self.name, names_registry(self.name), self._say)
        self._found: FoundImage | None = None

    @property
    def reference(self) -> str:
        """By digest once it was found in the registry or pushed; until then, by its tag."""
        return self._found.reference if self._found else f"{self.name}:{self.tag}"

    def build(self) -> None:
        """Find the image, or build it.

        Raises:
            DeployError: it cannot be built, or the registry cannot be asked.
        """
        build = with_base_digest(self._build) if self._pull else self._build
        self._found = self._builder.find_or_build(build)
        self.tag = self._found.tag

    def push(self) -> None:
        """Push the image, unless it came from the registry.

        Raises:
            RegistryError: the registry refuses it.
        """
        if self._found is None:
            self.build()
        if self._found:
            self._found = self._builder.push(self._found)

    def _say(self, line: str) -> None:
        if self._stream:
            self._stream.write(f"prefect-uv-deploy: {line}\n")
            self._stream.flush()
