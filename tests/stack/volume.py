"""A cache volume that tests can look into and change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from docker.models.containers import Container

from tests.stack.containers import Containers


@dataclass(frozen=True)
class CacheVolume:
    """A volume, with an idle container of our image in which commands can be run on it."""

    name: str
    maintenance: Container

    @classmethod
    @contextmanager
    def create(
        cls, containers: Containers, image: str, options: Mapping[str, str] | None = None
    ) -> Iterator[CacheVolume]:
        """Create a volume, with these options of Docker's local driver, and remove it at the end."""
        volume = containers.client.volumes.create(driver_opts=dict(options or {}), labels=containers.labels)
        maintenance = containers.start(
            image, ["infinity"], {}, [f"{volume.name}:/cache"], entrypoint="sleep", init=True
        )
        try:
            yield cls(volume.name, maintenance)
        finally:
            containers.remove_volume(volume)

    def run(self, *command: str) -> str:
        """Run a command as root in the idle container, which has the volume at /cache, and return its output."""
        code, output = self.maintenance.exec_run(list(command), user="0")
        if code != 0:
            raise RuntimeError(f"{command!r} exited with code {code}: {output!r}")
        return b"".join([output] if isinstance(output, bytes) else output).decode(errors="replace")

    def leftovers(self) -> list[str]:
        """The files of unfinished builds, and garbage that has not been deleted."""
        script = "for d in tmp trash; do if [ -d /cache/envs/$d ]; then find /cache/envs/$d -mindepth 1; fi; done"
        return self.run("sh", "-c", script).splitlines()
