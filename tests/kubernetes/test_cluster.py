"""The stand-in enforces what a cluster enforces: otherwise, the other tests here would promise nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kubernetes.cluster import FINAL, Cluster, Document, RefusedError
from tests.kubernetes.cluster.admission import OPENSHIFT, OPENSHIFT_USER, RESTRICTED, admit
from tests.kubernetes.cluster.job_controller import JobController
from tests.kubernetes.cluster.store import Store
from tests.kubernetes.pool import IMAGE
from tests.stack.process import wait_until

WAIT_SECONDS = 60
FAILED = {"phase": "Failed"}
SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SAFE_POD = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def container(name: str = "main", script: str = "true", **fields: Any) -> Document:
    """A container of our image that runs a script."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def pod(name: str, *containers: Document, **fields: Any) -> Document:
    """A pod with these containers."""
    return {
        "metadata": {"name": name},
        "spec": {"containers": list(containers), **fields},
        "status": {"phase": "Pending"},
    }


@pytest.fixture
def store() -> Store:
    """The objects of a cluster without a node."""
    return Store(admit)


@contextmanager
def controlled(store: Store) -> Iterator[None]:
    """The job controller at work."""
    stopped = threading.Event()
    thread = threading.Thread(target=JobController(store, stopped).run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_standard_refuses_a_plain_pod(store: Store) -> None:
    """A refusal names each rule; a pod that keeps them all is admitted."""
    host = {"name": "host", "hostPath": {"path": "/data"}}
    with pytest.raises(RefusedError) as refused:
        store.create("pods", RESTRICTED, pod("plain", container(), volumes=[host]))
    for rule in ("allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile", "restricted volume"):
        assert rule in str(refused.value)
    store.create("pods", RESTRICTED, pod("safe", container(securityContext=SAFE), securityContext=SAFE_POD))


def test_openshift_assigns_user_and_group(store: Store) -> None:
    """A pod gets the ids of its namespace, and is refused if it asks for others."""
    wanted = {**SAFE_POD, "fsGroup": 1000}
    with pytest.raises(RefusedError, match="fsGroup"):
        store.create("pods", OPENSHIFT, pod("wanted", container(), securityContext=wanted))
    spec = store.create("pods", OPENSHIFT, pod("free", container()))["spec"]
    assert (spec["securityContext"]["fsGroup"], spec["containers"][0]["securityContext"]["runAsUser"]) == (
        OPENSHIFT_USER,
        OPENSHIFT_USER,
    )


def test_invalid_and_unknown_are_refused(store: Store) -> None:
    """The schema of the newest Kubernetes counts, and a service account has to exist."""
    with pytest.raises(RefusedError, match="is invalid"):
        store.create("pods", "default", pod("invalid", container(env={"A": "b"})))
    with pytest.raises(RefusedError, match='serviceaccount "runs" not found'):
        store.create("pods", "default", pod("stranger", container(), serviceAccountName="runs"))


def test_job_is_retried_up_to_its_limit(store: Store) -> None:
    """Each failed pod is replaced until there are more than backoffLimit; then the Job has failed, and expires."""
    spec = {"backoffLimit": 1, "ttlSecondsAfterFinished": 0, "template": {"spec": pod("x", container())["spec"]}}
    spec["template"]["spec"]["restartPolicy"] = "Never"  # type: ignore[index]

    def fail() -> bool:
        for found in store.find("pods"):
            store.change("pods", "default", found["metadata"]["name"], lambda document: document.update(status=FAILED))
        return not store.find("jobs")

    with controlled(store):
        store.create("jobs", "default", {"metadata": {"generateName": "job-"}, "spec": spec})
        wait_until(fail, "the end of the Job", WAIT_SECONDS)
    last = store.changes("jobs", "")[-1]
    assert (last["status"]["failed"], last["status"]["conditions"][0]["reason"]) == (2, "BackoffLimitExceeded")


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("root", {"securityContext": {"runAsUser": 0, "runAsNonRoot": True}}, "will run as root"),
        ("secret", {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}]}, "secret x"),
    ],
)
def test_container_that_must_not_start_waits(cluster: Cluster, name: str, fields: Document, message: str) -> None:
    """The kubelet creates no container as root where the pod forbids it, and none without its secret."""
    cluster.store.create("pods", "default", pod(name, container(**fields)))

    def waits() -> bool:
        return message in json.dumps(cluster.store.read("pods", "default", name)["status"])

    wait_until(waits, "the reason in the status", WAIT_SECONDS)
    cluster.store.delete("pods", "default", name)


@pytest.mark.docker
def test_pod_starts_in_order_and_ends_as_a_whole(cluster: Cluster) -> None:
    """Init containers run one after the other; on deletion each container gets SIGTERM, and SIGKILL after the grace."""
    volumes = {"volumes": [{"name": "shared", "emptyDir": {}}], "securityContext": {"fsGroup": 2000}}
    mounts = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}
    first = container("first", "stat -c %g /shared; sleep 0.2; touch /shared/first", **mounts)
    second = container("second", "ls /shared", **mounts)
    polite = container("polite", "trap 'echo asked; exit 0' TERM; echo ready; while :; do sleep 0.1; done")
    deaf = container("deaf", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    both = pod("whole", polite, deaf, initContainers=[first, second], terminationGracePeriodSeconds=2, **volumes)
    cluster.store.create("pods", "default", both)

    def ready() -> bool:
        running = cluster.store.read("pods", "default", "whole")["status"].get("phase") == "Running"
        return running and all(cluster.kubelet.log("whole", name) for name in ("polite", "deaf"))

    wait_until(ready, "both containers", WAIT_SECONDS)
    cluster.store.delete("pods", "default", "whole")

    def gone() -> bool:
        return all(found["metadata"]["name"] != "whole" for found in cluster.store.find("pods"))

    wait_until(gone, "the end of the pod", WAIT_SECONDS)
    assert [cluster.kubelet.log("whole", name) for name in ("first", "second")] == ["2000\n", "first\n"]
    assert cluster.kubelet.log("whole", "polite") == "ready\nasked\n"
    ends = [item for item in cluster.store.changes("pods", "") if item["status"]["phase"] in FINAL]
    statuses = {item["name"]: item["state"] for item in ends[-1]["status"]["containerStatuses"]}
    assert (statuses["polite"]["terminated"]["exitCode"], statuses["deaf"]["terminated"]["exitCode"]) == (0, 137)
