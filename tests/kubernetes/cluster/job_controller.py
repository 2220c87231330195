"""The job controller: pods for Jobs, with backoffLimit, deletion in the foreground and time to live.

https://github.com/kubernetes/kubernetes/blob/v1.37.0/pkg/controller/job/job_controller.go
"""

from __future__ import annotations

import copy
import secrets
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from tests.kubernetes.cluster.documents import Document, RefusedError, now, set_status
from tests.kubernetes.cluster.store import FINAL, Store

POLL_SECONDS = 0.5
BATCH_SECONDS = 1.0
"""A pod that is being deleted counts as failed after this time: Kubernetes collects changes of pods as long."""
RETRY_SECONDS = 1.0
"""The wait for a new attempt at creating a pod; Kubernetes waits 10 s, then twice as long each time."""
BACKOFF_LIMIT = 6


@dataclass
class _Record:
    """What is known about a Job: the last phase of each of its pods by uid, and times of the clock."""

    phases: dict[str, str] = field(default_factory=dict)
    marked: dict[str, float] = field(default_factory=dict)
    retry: float = 0
    finished: float = 0


@dataclass
class JobController:
    """Looks at every Job again and again."""

    store: Store
    stopped: threading.Event
    _records: dict[str, _Record] = field(default_factory=dict)

    def run(self) -> None:
        """Control Jobs until the cluster stops."""
        while not self.stopped.wait(POLL_SECONDS):
            for job in self.store.find("jobs"):
                with suppress(RefusedError):  # somebody else has just deleted it
                    self._sync(job, self._records.setdefault(job["metadata"]["uid"], _Record()))
            self._collect_garbage()

    def _sync(self, job: Document, record: _Record) -> None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        pods = self.store.find("pods", namespace, f"controller-uid={job['metadata']['uid']}")
        if "deletionTimestamp" in job["metadata"]:
            for pod in pods:
                self.store.delete("pods", namespace, pod["metadata"]["name"])
            if not pods:
                self.store.remove("jobs", namespace, name)
        elif record.finished:
            ttl = job["spec"].get("ttlSecondsAfterFinished")
            if ttl is not None and time.monotonic() > record.finished + ttl:
                self.store.delete("jobs", namespace, name)
        else:
            _note(pods, record)
            status = _status(job, record)
            self.store.change("jobs", namespace, name, partial(set_status, status=status))
            if "conditions" in status:
                record.finished = time.monotonic()
            elif not status["active"] and time.monotonic() >= record.retry:
                record.retry = time.monotonic() + RETRY_SECONDS
                self._create_pod(job)

    def _create_pod(self, job: Document) -> None:
        """Create a pod; a refusal is an event of the Job, and the next attempt follows."""
        metadata, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
        owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
        pod = {"metadata": template.get("metadata") or {}, "spec": template["spec"], "status": {"phase": "Pending"}}
        pod["metadata"] |= {
            "name": f"{metadata['name']}-{secrets.token_hex(3)}",
            "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
        }
        labels = pod["metadata"].setdefault("labels", {})
        for prefix in ("", "batch.kubernetes.io/"):
            labels |= {f"{prefix}job-name": metadata["name"], f"{prefix}controller-uid": metadata["uid"]}
        try:
            self.store.create("pods", metadata["namespace"], pod)
        except RefusedError as error:
            about = {"kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
            event = {"metadata": {"generateName": f"{metadata['name']}."}, "involvedObject": about, "type": "Warning"}
            self.store.create(
                "events", metadata["namespace"], {**event, "reason": "FailedCreate", "message": str(error)}
            )

    def _collect_garbage(self) -> None:
        """Delete the pods of Jobs that are gone."""
        jobs = {job["metadata"]["uid"] for job in self.store.find("jobs")}
        for pod in self.store.find("pods", selector="controller-uid"):
            metadata = pod["metadata"]
            if metadata["labels"]["controller-uid"] not in jobs:
                with suppress(RefusedError):  # the kubelet has just removed it
                    self.store.delete("pods", metadata["namespace"], metadata["name"])


def _note(pods: list[Document], record: _Record) -> None:
    """Note the phases; a pod that was or is being deleted has failed, unless it has succeeded."""
    for pod in pods:
        uid, phase = pod["metadata"]["uid"], pod["status"]["phase"]
        if record.phases.get(uid) in FINAL:
            continue
        if phase not in FINAL and "deletionTimestamp" in pod["metadata"]:
            marked = record.marked.setdefault(uid, time.monotonic())
            phase = "Failed" if time.monotonic() > marked + BATCH_SECONDS else phase
        record.phases[uid] = phase
    for uid in record.phases.keys() - {pod["metadata"]["uid"] for pod in pods}:
        if record.phases[uid] not in FINAL:
            record.phases[uid] = "Failed"


def _status(job: Document, record: _Record) -> Document:
    counts = Counter(record.phases.values())
    succeeded, failed = counts["Succeeded"], counts["Failed"]
    active, began = len(record.phases) - succeeded - failed, job.get("status", {}).get("startTime") or now()
    status = {"startTime": began, "active": active, "succeeded": succeeded, "failed": failed}
    limit = job["spec"].get("backoffLimit", BACKOFF_LIMIT)
    if succeeded:
        return {**status, "completionTime": now(), "conditions": [{"type": "Complete", "status": "True"}]}
    if failed > limit:
        condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
        return {**status, "conditions": [condition]}
    return status
