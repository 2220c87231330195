"""A network without a way out: what a container there reaches is what the test lets it reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.engine.proxy import Proxy
from tests.stack.containers import Containers
from tests.stack.server import PrefectServer


@dataclass(frozen=True)
class ClosedNetwork:
    """A network on which only the Prefect API answers.

    Attributes:
        name: for Docker.
        environment: the variables that lead to the API.
    """

    name: str
    environment: dict[str, str]

    @classmethod
    @contextmanager
    def create(cls, containers: Containers, server: PrefectServer) -> Iterator[ClosedNetwork]:
        """Make the network, with a proxy before the server at its gateway, and remove both at the end."""
        network = containers.client.networks.create(
            f"prefect-uv-closed-{containers.owner}", internal=True, labels=containers.labels
        )
        try:
            network.reload()
            with Proxy.before(server, network.attrs["IPAM"]["Config"][0]["Gateway"]) as proxy:
                yield cls(str(network.name), proxy.server.environment)
        finally:
            network.reload()
            for container in network.containers:
                network.disconnect(container, force=True)
            network.remove()
