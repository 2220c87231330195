"""The kubelet: one life for each pod, which ends when the pod is deleted or evicted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tests.kubernetes.cluster.pod_life import PodLife
from tests.kubernetes.cluster.sandbox import Node

EVICTED = {"reason": "Evicted", "message": "The node was low on resource: memory."}
END_SECONDS = 90


@dataclass
class Kubelet:
    """Runs every pod of the cluster on its only node."""

    node: Node
    stopped: threading.Event
    _lives: dict[str, PodLife] = field(default_factory=dict)

    def run(self) -> None:
        """Start and end pods until the cluster stops."""
        for change, pod in self.node.store.watch("pods", self.stopped):
            name = pod["metadata"]["name"]
            if change == "ADDED":
                self._lives[name] = PodLife(self.node, pod)
                threading.Thread(target=self._lives[name].run, name=name, daemon=True).start()
            elif change == "MODIFIED" and "deletionTimestamp" in pod["metadata"]:
                self._lives[name].end()

    def evict(self, name: str) -> None:
        """End a pod because the node is short of memory; the pod's object stays."""
        self._lives[name].end(EVICTED)

    def log(self, pod: str, container: str) -> str:
        """What a container has printed so far."""
        return self._lives[pod].log(container)

    def stop(self) -> None:
        """Kill the pods that are left, and wait for them."""
        for life in self._lives.values():
            life.end(grace=0)
        for life in self._lives.values():
            life.ended.wait(END_SECONDS)
