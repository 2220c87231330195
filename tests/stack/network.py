"""A network on which only the Prefect API can be reached.

Containers on Docker's internal networks can reach every service of the host
(https://docs.docker.com/reference/cli/docker/network/create/#internal). This network has only a loopback interface: a
container without a network relays connections from it to a socket in a shared folder, and other containers join it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.engine.proxy import Proxy
from tests.stack.containers import Containers
from tests.stack.process import wait_until
from tests.stack.server import PrefectServer
from tests.suite import mark

ADDRESS = "127.0.0.2:4200"
"""Not 127.0.0.1, which the worker replaces with the host's name.

prefect-docker 0.7.4: https://github.com/PrefectHQ/prefect/blob/main/src/integrations/prefect-docker/prefect_docker/worker.py
"""
READY_SECONDS = 30
RELAY = f"""
import socket, threading

def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass

host, _, port = "{ADDRESS}".partition(":")
with socket.create_server((host, int(port))) as listener:
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        api = socket.socket(socket.AF_UNIX)
        api.connect("/api/socket")
        for ends in ((client, api), (api, client)):
            threading.Thread(target=carry, args=ends, daemon=True).start()
"""


@dataclass(frozen=True)
class ClosedNetwork:
    """The network of a container, which other containers can join.

    Attributes:
        mode: the network mode of a container that joins it.
        environment: the variables with the API's address and credentials.
    """

    mode: str
    environment: dict[str, str]

    @classmethod
    @contextmanager
    def create(cls, containers: Containers, image: str, server: PrefectServer) -> Iterator[ClosedNetwork]:
        """Start the relay in a container of this image, and remove the container at the end."""
        with TemporaryDirectory(dir=mark.folder()) as folder, socket.socket(socket.AF_UNIX) as listener:
            Path(folder).chmod(0o755)
            path = Path(folder) / "socket"
            listener.bind(str(path))
            path.chmod(0o666)
            listener.listen()
            relay = containers.start(image, ["python3", "-c", RELAY], {}, [f"{folder}:/api"], network_mode="none")
            try:
                wait_until(lambda: b"ready" in relay.logs(), "the relay to the API", READY_SECONDS)
                with Proxy.behind(listener, server, ADDRESS) as proxy:
                    yield cls(f"container:{relay.id}", proxy.server.environment)
            finally:
                relay.remove(force=True)
