"""The claim on a flow run: of the containers that share a cache volume, only one executes it at a time.

Nothing else tells a second container for a run (a duplicated pod, one started by hand) from the next attempt after a
first that was killed: the API says Running for both, and accepts Running once more.

Prefect 3.8.8: no rule of `CoreFlowPolicy` is against it. https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py
"""

from __future__ import annotations

import fcntl
import time

from prefect_uv.cache_volume.cache_directory import CacheDirectory, crosses_nodes, shared_umask
from prefect_uv.cache_volume.file_lock import try_lock
from prefect_uv.cache_volume.work_lock import LogLine, WorkLock
from prefect_uv.processes.signals import pause

CLAIM_POLL_SECONDS = 0.25
CLAIM_HEARTBEAT_SECONDS = 10.0
CLAIM_SILENT_SECONDS = 60.0


class RunClaim:
    """A lock on a file of the volume, which the kernel drops however this process ends.

    The lock of another node does not prove that its holder lives, so the holder also has a heartbeat. Without a volume
    to write to, or without locks on it, everybody gets the claim.
    """

    def __init__(self, cache: CacheDirectory, flow_run_id: str) -> None:
        self._cache = cache
        self._path = cache.locks / f"run-{flow_run_id}"
        self._lock: WorkLock | None = None

    def take(self, report: LogLine) -> bool:
        """Take the claim; if another process has it, wait until that process has ended.

        Args:
            report: gets a line about each process that we wait for.

        Returns:
            whether another process had it.
        """
        waited = False
        while self._lock is None and (lock := self._open()):
            try:
                if lock.take():
                    self._lock = lock
                    lock.sign()
                    if crosses_nodes(self._cache.root):
                        lock.start_heartbeat(pause=CLAIM_HEARTBEAT_SECONDS)
                else:
                    waited = True
                    self._outlive(lock, report)
            finally:
                if lock is not self._lock:
                    lock.close()
        return waited

    def release(self) -> None:
        """Give the claim to whoever waits for it."""
        if self._lock is not None:
            if self._lock.is_current():
                self._path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _open(self) -> WorkLock | None:
        """Open the file; None if there is no volume, or it cannot be written to."""
        if self._cache.read_only or not self._cache.root.is_dir():
            return None
        try:
            with shared_umask():
                self._cache.make_directory(self._cache.locks)
                return WorkLock(self._path)
        except OSError:
            return None

    def _outlive(self, lock: WorkLock, report: LogLine) -> None:
        """Return when the holder has ended, or has been silent on another node; the claim can then be taken."""
        report(f"{lock.holder()} executes this flow run: waiting until it has ended")
        heartbeat, heard = lock.last_heartbeat(), time.monotonic()
        while lock.is_current() and not try_lock(lock.descriptor, fcntl.LOCK_EX):
            pause(CLAIM_POLL_SECONDS)
            if lock.last_heartbeat() != heartbeat:
                heartbeat, heard = lock.last_heartbeat(), time.monotonic()
            silent = time.monotonic() - heard
            if silent > CLAIM_SILENT_SECONDS and not lock.is_of_this_node():
                report(f"{lock.holder()} has been silent for {silent:.0f} s: executing the flow run here")
                self._path.unlink(missing_ok=True)
                return
