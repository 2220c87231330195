"""The cluster as one object: it starts and stops its parts, and shows tests what is on its node."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.kubernetes.cluster.admission import admit
from tests.kubernetes.cluster.api_server import serve_api
from tests.kubernetes.cluster.documents import Document, RefusedError
from tests.kubernetes.cluster.job_controller import JobController
from tests.kubernetes.cluster.kubelet import Kubelet
from tests.kubernetes.cluster.podman import Podman
from tests.kubernetes.cluster.sandbox import Node
from tests.kubernetes.cluster.store import Store
from tests.kubernetes.cluster.volumes import Volumes

LOOPBACK = "127.0.0.1"
DEFAULT = "default"


@dataclass(frozen=True)
class Cluster:
    """A running cluster.

    Attributes:
        kubeconfig: the file with which clients reach the API server.
    """

    store: Store
    podman: Podman
    kubelet: Kubelet
    volumes: Volumes
    kubeconfig: Path

    @classmethod
    @contextmanager
    def start(cls, folder: Path, environment: Mapping[str, str]) -> Iterator[Cluster]:
        """Start a cluster whose containers all get these variables; at the end, nothing of it is left."""
        stopped = threading.Event()
        store, volumes = Store(admit), Volumes(folder)
        with Podman.start() as podman:
            kubelet = Kubelet(Node(podman, store, volumes, environment), stopped)
            threads = [threading.Thread(target=part.run) for part in (kubelet, JobController(store, stopped))]
            with serve_api(LOOPBACK, store, kubelet.log) as url:
                for thread in threads:
                    thread.start()
                try:
                    yield cls(store, podman, kubelet, volumes, _kubeconfig(folder, url))
                finally:
                    stopped.set()
                    for thread in threads:
                        thread.join()
                    kubelet.stop()

    def claim(self, name: str, namespace: str = DEFAULT) -> Path:
        """The directory of a claim, which is created if there is none."""
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}
        with suppress(RefusedError):  # it exists
            self.store.create("persistentvolumeclaims", namespace, {"metadata": {"name": name}, "spec": spec})
        return self.volumes.claim(namespace, name)

    def pods(self, flow_run: UUID) -> list[Document]:
        """The pods of a flow run that the API server has, the oldest first."""
        return self.store.find("pods", selector=f"prefect.io/flow-run-id={flow_run}")

    def history(self, flow_run: UUID) -> list[Document]:
        """All pods that a flow run ever had, as they were at last, with the logs of their containers."""
        pods: dict[str, Document] = {}
        for pod in self.store.changes("pods", f"prefect.io/flow-run-id={flow_run}"):
            pods[pod["metadata"]["name"]] = pod
        for name, pod in pods.items():
            logs = {path.stem.removeprefix(f"{name}-"): path for path in self.volumes.logs.glob(f"{name}-*.log")}
            pod["logs"] = {container: path.read_text(errors="replace") for container, path in sorted(logs.items())}
        return list(pods.values())


def _kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    names: dict[str, Any] = {"cluster": "stand-in", "user": "tests"}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "tests",
        "clusters": [{"name": names["cluster"], "cluster": {"server": url}}],
        "users": [{"name": names["user"], "user": {}}],
        "contexts": [{"name": "tests", "context": names}],
    }
    path.write_text(json.dumps(configuration))
    return path
