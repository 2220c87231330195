"""A cache volume, and a way to look into it while no flow run uses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from docker.models.containers import Container

from tests.stack.containers import Containers


@dataclass(frozen=True)
class CacheVolume:
    """A named volume that an idle container of our image holds, so that it can be looked into."""

    name: str
    maintenance: Container

    @classmethod
    @contextmanager
    def create(
        cls, containers: Containers, image: str, options: Mapping[str, str] | None = None
    ) -> Iterator[CacheVolume]:
        """Make a volume (`options` are those of Docker's local driver) and remove it at the end."""
        volume = containers.client.volumes.create(driver_opts=dict(options or {}), labels=containers.labels)
        maintenance = containers.start(
            image, ["infinity"], {}, [f"{volume.name}:/cache"], entrypoint="sleep", init=True
        )
        try:
            yield cls(volume.name, maintenance)
        finally:
            containers.remove_volume(volume)

    def run(self, *command: str) -> str:
        """Run a command beside the volume; the value is its output."""
        code, output = self.maintenance.exec_run(list(command), user="0")
        if code != 0:
            raise RuntimeError(f"{command!r} exited with code {code}: {output!r}")
        return b"".join([output] if isinstance(output, bytes) else output).decode(errors="replace")

    def leftovers(self) -> list[str]:
        """Builds under way and garbage."""
        script = "for d in tmp trash; do if [ -d /cache/envs/$d ]; then find /cache/envs/$d -mindepth 1; fi; done"
        return self.run("sh", "-c", script).splitlines()
