"""The stack's containers and volumes, which are found and removed by their label."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import docker
from docker.models.containers import Container
from docker.models.volumes import Volume

from images.family import read
from tests.stack.environment import job_environment
from tests.suite import mark

RUN_LABEL = "io.prefect.flow-run-id"
# prefect-docker 0.7.4: its worker reverses Prefect's label `prefect.io/flow-run-id`.
# https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-docker/prefect_docker/worker.py

HARDENED: dict[str, Any] = {
    "cap_drop": ["ALL"],
    "read_only": True,
    "security_opt": ["no-new-privileges"],
    "tmpfs": {"/tmp": ""},
}
"""Options for `docker run --cap-drop ALL --read-only --security-opt no-new-privileges --tmpfs /tmp`."""
HARDENED_AND_BUILDING: dict[str, Any] = {**HARDENED, "tmpfs": {"/tmp": "exec"}}
"""The same for projects that are built and installed: by default, Docker mounts a tmpfs with noexec."""
WRITABLE: dict[str, Any] = {"read_only": False, "tmpfs": {}}
"""Options for a root that can be written to and searched, in spite of those."""


def image_name(name: str) -> str:
    """The tag that `make build/<name>` gives an image of the family."""
    return read().tag(name)


@dataclass(frozen=True)
class Outcome:
    """A container's exit code and output."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Everything that it wrote, stdout first."""
        return f"{self.stdout}\n{self.stderr}"


@dataclass(frozen=True)
class Containers:
    """A connection to the Docker engine; everything that it creates has the label `label` with the value `owner`."""

    client: docker.DockerClient
    label: str
    owner: str
    gateway: str

    @classmethod
    @contextmanager
    def connect(cls, label: str) -> Iterator[Containers]:
        """Connect to the engine, and at the end remove the containers and volumes that were created through it."""
        client = docker.from_env(timeout=120)
        containers = cls(client, label, uuid4().hex, _gateway(client))
        try:
            yield containers
        finally:
            remove_labelled(f"{label}={containers.owner}")
            client.close()

    @property
    def labels(self) -> dict[str, str]:
        """The labels of everything that is created here."""
        return {self.label: self.owner, **mark.labels()}

    def remove_volume(self, volume: Volume) -> None:
        """Remove the containers that still use a volume, then the volume."""
        for container in self.client.containers.list(all=True, filters={"volume": volume.name}, ignore_removed=True):
            container.remove(force=True)
        volume.remove()

    def start(
        self,
        image: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        volumes: Sequence[str],
        **options: Any,
    ) -> Container:
        """Start a container that has the label, with this machine's package index and proxies."""
        return self.client.containers.run(
            image,
            list(command),
            detach=True,
            environment={**job_environment(self.gateway), **environment},
            labels=self.labels,
            volumes=list(volumes),
            **options,
        )

    def of_run(self, flow_run_id: UUID) -> Container | None:
        """The container that a worker started for a flow run; None if there is none yet."""
        label = f"{RUN_LABEL}={flow_run_id}"
        containers = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return containers[0] if containers else None

    def wait(self, container: Container, timeout: float) -> Outcome:
        """Wait until the container has exited, and return its exit code and output."""
        code = container.wait(timeout=timeout)["StatusCode"]
        return Outcome(
            code,
            container.logs(stdout=True, stderr=False).decode(errors="replace"),
            container.logs(stdout=False, stderr=True).decode(errors="replace"),
        )


def remove_labelled(label: str) -> None:
    """Remove every container and volume with this label, running or not."""
    with closing(docker.from_env()) as client:
        for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in client.volumes.list(filters={"label": label}):
            volume.remove()


def bridge_address() -> str:
    """The host's address on Docker's default bridge; DockerException if no engine answers."""
    with closing(docker.from_env()) as client:
        return _gateway(client)


def _gateway(client: docker.DockerClient) -> str:
    """The host's address on Docker's default bridge, where containers reach it."""
    configuration = client.networks.get("bridge").attrs["IPAM"]["Config"][0]
    subnet = ipaddress.ip_network(configuration["Subnet"])
    return str(configuration.get("Gateway") or next(subnet.hosts()))
