"""The environments in the image: looked up before those on the volume, and only read while flows run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments.key import fingerprint_index
from prefect_uv.environments.key.environment_contents import Contents, shortened
from prefect_uv.environments.key.fingerprint import RESOLVING, fingerprint
from prefect_uv.environments.key.manifest import DescribedEnvironment, Manifest, described_environments, nearest
from prefect_uv.environments.plan import Source
from prefect_uv.environments.published_environments import Environment, PublishedEnvironments
from prefect_uv.errors import BakedMismatchError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings

ANYBODY = range(2**32)
BAKED_HINT = (
    "Rebuild the image from this commit, so that `RUN prefect-uv bake` sees its lockfile; or run the code that the"
    " image was baked for; or set PREFECT_UV_BAKED=build."
)


@dataclass(frozen=True)
class BakedEnvironments:
    """The shelf in the image, and the line about why nothing on it fits."""

    published: PublishedEnvironments
    image: Image
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, image: Image) -> BakedEnvironments:
        """What this image has; whoever made it is trusted as much as the image is."""
        return cls(
            PublishedEnvironments(CacheDirectory(settings.baked_dir, settings.baked_dir, read_only=True), ANYBODY),
            image,
            settings,
        )

    @property
    def nothing(self) -> bool:
        """Whether nothing was baked into this image."""
        return not self.published.cache.index.is_dir()

    def known(self) -> Iterator[DescribedEnvironment]:
        """Every environment in the image."""
        return described_environments(self.published.cache)

    def look_up(self, source: Source) -> Environment | None:
        """The environment that was baked from the same files and selection: found without uv."""
        if self.nothing:
            return None
        known = fingerprint_index.look_up_entry(self.published.cache, self._inputs(source), self.published.trusted)
        return self.published.open(known.key, hit=True) if known else None

    def remember(self, source: Source, manifest: Manifest) -> None:
        """Write down what an environment was baked from."""
        python = manifest.contents.python
        known = fingerprint_index.IndexEntry(manifest.key, source.name, python, fingerprint_index.file_stamp(python))
        fingerprint_index.write_entry(self.published.cache, self._inputs(source), known)

    def decline(self, contents: Contents, project: str, instead: str, log: RunLog) -> None:
        """Say what the nearest baked environment has else, and what happens instead; nothing is said of no baked one.

        Raises:
            BakedMismatchError: PREFECT_UV_BAKED=refuse.
        """
        near = nearest(self.known(), contents, project)
        if near is None:
            return
        changes = shortened(contents.differences(near[1].contents))
        misfit = f"baked environment {near[1].key[:12]} does not fit: {changes}"
        if self.settings.baked == "refuse":
            raise BakedMismatchError(f"No environment baked into the image fits {project}.", misfit, BAKED_HINT)
        log.info(f"{misfit}; {instead}")

    def _inputs(self, source: Source) -> str:
        """As on the volume, but for indexes and constraints: the lock has been compared with them when it was baked."""
        environ = {name: value for name, value in self.settings.environ.items() if name not in RESOLVING}
        return fingerprint(source.fields(), self.image, environ, source.project.directory)
