"""The environments baked into the image, or mounted there: looked up before those on the volume, and only read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect_uv.cache_volume.cache_directory import CacheDirectory, is_executable
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.environment_contents import Contents, joined_differences
from prefect_uv.environments.key.fingerprint import RESOLUTION_VARIABLES, fingerprint
from prefect_uv.environments.key.manifest import (
    DescribedEnvironment,
    Manifest,
    described_environments,
    nearest_environment,
    without_extras,
)
from prefect_uv.environments.plan import Source
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.errors import BakedMismatchError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

EVERY_UID = range(2**32)
BAKED_HINT = (
    "Rebuild the image from this commit, so that `RUN prefect-uv bake` sees its lockfile, or export the environment"
    " again; or run the code that the image was baked for; or set PREFECT_UV_BAKED=build."
)
NOTHING_HINT = (
    "Use the image that has the environment, mount the exported environment there, or set PREFECT_UV_BAKED=build."
)


class BakedDirectory(CacheDirectory):
    """The directory with what was baked, which is trusted like the image itself."""

    def places(self, path: Path) -> tuple[Path, Path]:
        """The path of an entry; in an exported environment's image, a link in that place leads to it (ADR 33)."""
        place = Path(os.path.normpath(path.parent / path.readlink())) if path.is_symlink() else path
        return place, place


@dataclass(frozen=True)
class BakedEnvironments:
    """The environments in the image, and the explanation if none of them fits."""

    published: PublishedEnvironments
    image: Image
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, image: Image) -> BakedEnvironments:
        """This image's environments, all of which are trusted, like the image itself."""
        cache = BakedDirectory(settings.baked_dir, EVERY_UID, settings.baked_dir, read_only=True)
        return cls(PublishedEnvironments(cache), image, settings)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was baked into this image."""
        return not self.published.cache.index.is_dir()

    def environments(self) -> Iterator[DescribedEnvironment]:
        """Every environment in the image."""
        return described_environments(self.published.cache)

    def look_up(self, source: Source) -> Environment | None:
        """The environment that was baked from the same files and selection, found without uv; None if there is none."""
        if self.is_empty:
            return None
        entry = fingerprint_index.look_up_entry(self.published.cache, self.fingerprint_of(source))
        return self.published.open(entry.key, hit=True) if entry else None

    def remember(self, source: Source, manifest: Manifest) -> None:
        """Index an environment by the inputs that it was baked from."""
        entry = fingerprint_index.IndexEntry.of(manifest.key, source.name, manifest.contents.python)
        fingerprint_index.write_entry(self.published.cache, self.fingerprint_of(source), entry)

    def report_mismatch(self, contents: Contents, project: str, instead: str, log: RunLog) -> None:
        """Log why no baked environment is used; no line if nothing was baked, and that is no reason to refuse.

        Args:
            contents: what is needed.
            project: for which project, by name.
            instead: what happens instead, for the log.
            log: gets the line.

        Raises:
            BakedMismatchError: PREFECT_UV_BAKED=refuse.
        """
        misfit, refuse = self._misfit(contents, project), self.settings.baked == "refuse"
        if refuse and not misfit:
            missing = f"There is no environment in {self.settings.baked_dir}, and PREFECT_UV_BAKED is `refuse`."
            raise BakedMismatchError(missing, hint=NOTHING_HINT)
        if refuse:
            raise BakedMismatchError(f"No environment baked into the image fits {project}.", misfit, BAKED_HINT)
        if misfit:
            log.info(f"{misfit}; {instead}")

    def _misfit(self, contents: Contents, project: str) -> str:
        """How the project's nearest baked environment differs, or for what there are others; empty without any."""
        baked = [*self.environments()]
        if nearest := nearest_environment(baked, contents, project, _without_directory):
            changes = joined_differences(contents.differences(nearest[1].contents))
            if not changes and not is_executable(nearest[0]):
                return f"baked environment {contents.key[:12]} fits, but {self.settings.baked_dir} is mounted noexec"
            return f"baked environment {nearest[1].key[:12]} does not fit: {changes}"
        others = ", ".join(sorted({manifest.project for _, manifest in baked}))
        return f"the image has a baked environment for {others}, none for {project}" if others else ""

    def fingerprint_of(self, source: Source) -> str:
        """As on the volume, without indexes and constraints: the lock was checked against them when it was baked."""
        environ = {name: value for name, value in self.settings.environ.items() if name not in RESOLUTION_VARIABLES}
        return fingerprint(source.fields(), self.image, environ, source.project.directory)


def _without_directory(purpose: str) -> str:
    """The project's name without that of the directory, which is another one when the image is built."""
    name = without_extras(purpose)
    return name.partition("/")[2] or name
