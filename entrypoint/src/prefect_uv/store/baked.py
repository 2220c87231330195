"""The environments in the image: looked up before those on the volume, and only read while flows run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prefect_uv.errors import BakedMismatchError
from prefect_uv.image import Image
from prefect_uv.runlog import RunLog
from prefect_uv.settings import Settings
from prefect_uv.store import index
from prefect_uv.store.contents import Contents, shortened
from prefect_uv.store.identity import RESOLVING, fingerprint
from prefect_uv.store.manifest import Known, Manifest, manifests, nearest
from prefect_uv.store.shelf import Environment, Shelf
from prefect_uv.store.sources import Source
from prefect_uv.volume.layout import Area

ANYBODY = range(2**32)
HINT = (
    "Build the image again from this commit, so that `RUN prefect-uv bake` sees its lock; or run the code that the"
    " image was baked for; or set PREFECT_UV_BAKED=build."
)


@dataclass(frozen=True)
class Baked:
    """The shelf in the image, and the line about why nothing on it fits."""

    shelf: Shelf
    image: Image
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, image: Image) -> Baked:
        """What this image has; whoever made it is trusted as much as the image is."""
        return cls(Shelf(Area(settings.baked_dir, settings.baked_dir, read_only=True), ANYBODY), image, settings)

    @property
    def nothing(self) -> bool:
        """Whether nothing was baked into this image."""
        return not self.shelf.area.index.is_dir()

    def known(self) -> Iterator[Known]:
        """Every environment in the image."""
        return manifests(self.shelf.area)

    def look_up(self, source: Source) -> Environment | None:
        """The environment that was baked from the same files and selection: found without uv."""
        if self.nothing:
            return None
        known = index.look_up(self.shelf.area, self._inputs(source), self.shelf.trusted)
        return self.shelf.open(known.key, hit=True) if known else None

    def remember(self, source: Source, manifest: Manifest) -> None:
        """Write down what an environment was baked from."""
        python = manifest.contents.python
        known = index.Known(manifest.key, source.name, python, index.stamp(python))
        index.write(self.shelf.area, self._inputs(source), known)

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
            raise BakedMismatchError(f"No environment in the image fits {project}.", misfit, HINT)
        log.info(f"{misfit}; {instead}")

    def _inputs(self, source: Source) -> str:
        """As on the volume, but for indexes and constraints: the lock has been compared with them when it was baked."""
        environ = {name: value for name, value in self.settings.environ.items() if name not in RESOLVING}
        return fingerprint(source.fields(), self.image, environ, source.project.directory)
