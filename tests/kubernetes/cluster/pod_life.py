"""The life of one pod on the node: images, containers in their order, the end, and the status at each step.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from docker.models.containers import Container

from tests.kubernetes.cluster.documents import Document, RefusedError, now, set_status
from tests.kubernetes.cluster.process import wait_for_process
from tests.kubernetes.cluster.sandbox import ConfigurationError, Node

RETRY_SECONDS = 1.0
"""The wait before another look for an image, a claim or a secret; a kubelet waits 10 s and longer."""
CLEAN_UP_SECONDS = 1.0
"""A deleted pod's object stays for this time with its final status, so that the job controller sees it."""
GRACE_SECONDS = 30
PULL_REASONS = ("ErrImagePull", "ImagePullBackOff")


@dataclass
class PodLife:
    """A pod, from the creation of its containers until they have ended."""

    node: Node
    pod: Document
    ended: threading.Event = field(default_factory=threading.Event)
    _began: str = field(default_factory=now)
    _states: dict[str, Document] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _why: Document = field(default_factory=dict)

    def run(self) -> None:
        """Live through it."""
        metadata = self.pod["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            phase = self._play() if self._create() else "Failed"
            self.node.podman.remove_pod(name)
            shutil.rmtree(self.node.volumes.of_pod(metadata["uid"]), ignore_errors=True)
            self._publish(phase)
        finally:
            self.ended.set()
        time.sleep(CLEAN_UP_SECONDS)
        with suppress(RefusedError):  # somebody has deleted it after its end
            if "deletionTimestamp" in self.node.store.read("pods", namespace, name)["metadata"]:
                self.node.store.remove("pods", namespace, name)

    def end(self, why: Document | None = None, grace: int | None = None) -> None:
        """Send SIGTERM to all running containers, and SIGKILL after the grace period; start no further one."""
        with self._lock:
            if self._ending.is_set():
                return
            self._why = why or {}
            self._ending.set()
            running = [name for name, state in self._states.items() if "running" in state]
        if grace is None:
            grace = self.pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        for name in running:
            threading.Thread(target=self._container(name).stop, kwargs={"timeout": grace}, name=name).start()

    def log(self, name: str) -> str:
        """What a container has printed so far."""
        path = self._log_path(name)
        return path.read_text() if path.exists() else self._container(name).logs().decode(errors="replace")

    def _create(self) -> bool:
        """Create the containers as soon as it is possible; False if the pod ended before."""
        attempts = 0
        while not self._ending.is_set():
            if image := self.node.missing_image(self.pod):
                waiting = {"reason": PULL_REASONS[attempts % 2], "message": f'Back-off pulling image "{image}"'}
            else:
                try:
                    self.node.create(self.pod)
                except ConfigurationError as error:
                    waiting = {"reason": "CreateContainerConfigError", "message": str(error)}
                else:
                    self._states = {}
                    return True
            attempts += 1
            self._states = {name: {"waiting": waiting} for name in self._names("initContainers", "containers")}
            self._publish("Pending")
            self._ending.wait(RETRY_SECONDS)
        return False

    def _play(self) -> str:
        """Run the init containers one after the other, then the others together, and return the final phase."""
        for name in self._names("initContainers"):
            self._start(name)
            self._publish("Pending")
            if not self._wait(name):
                return "Failed"
        mains = self._names("containers")
        for name in mains:
            self._start(name)
        self._publish("Running")
        results = [self._wait(name) for name in mains]
        return "Succeeded" if all(results) and "reason" not in self._why else "Failed"

    def _start(self, name: str) -> None:
        with self._lock:
            if not self._ending.is_set():
                self._container(name).start()
                self._states[name] = {"running": {"startedAt": now()}}

    def _wait(self, name: str) -> bool:
        """Wait for a container, and return whether it was started and ended well."""
        if name not in self._states:
            return False
        container = self._container(name)
        killed = wait_for_process(container.attrs["State"]["Pid"])
        code = container.wait()["StatusCode"]
        reason = "OOMKilled" if killed else "Error" if code else "Completed"
        self._log_path(name).write_bytes(container.logs())
        with self._lock:
            self._states[name] = {"terminated": {"exitCode": code, "reason": reason, "finishedAt": now()}}
        self._publish("Pending" if name in self._names("initContainers") else "Running")
        return code == 0

    def _publish(self, phase: str) -> None:
        status = {
            "phase": phase,
            "startTime": self._began,
            "initContainerStatuses": [self._status(name) for name in self._names("initContainers")],
            "containerStatuses": [self._status(name) for name in self._names("containers")],
            **self._why,
        }
        metadata = self.pod["metadata"]
        self.node.store.change("pods", metadata["namespace"], metadata["name"], partial(set_status, status=status))

    def _status(self, name: str) -> Document:
        state = self._states.get(name) or {"waiting": {"reason": "PodInitializing"}}
        return {"name": name, "restartCount": 0, "ready": "running" in state, "state": state}

    def _container(self, name: str) -> Container:
        return self.node.container(self.pod["metadata"]["name"], name)

    def _names(self, *lists: str) -> list[str]:
        return [container["name"] for key in lists for container in self.pod["spec"].get(key, [])]

    def _log_path(self, name: str) -> Path:
        return self.node.volumes.logs / f"{self.pod['metadata']['name']}-{name}.log"
