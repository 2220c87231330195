"""The claim on a flow run: of the containers that share a cache volume, only one executes it at a time.

Nothing else tells a second container for a run (a duplicated pod, one started by hand) from the next attempt after a
first that was killed: the API says Running for both, and accepts Running once more.

Prefect 3.8.8: no rule of `CoreFlowPolicy` is against it. https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/server/orchestration/core_policy.py
"""

from __future__ import annotations

import fcntl
import time

from prefect_uv.cache_volume.cache_directory import CacheDirectory, crosses_nodes
from prefect_uv.cache_volume.file_lock import try_lock
from prefect_uv.cache_volume.shared_umask import shared_umask
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
        self._flow_run_id = flow_run_id
        self._path = cache.locks / f"run-{flow_run_id}"
        self._lock: WorkLock | None = None

    def take(self) -> bool:
        """Take the claim, unless it is ours already; False if another process has it."""
        if self._lock is not None or (lock := self._open()) is None:
            return True
        if not lock.take():
            lock.close()
            return False
        try:
            lock.sign()
        except OSError:  # the volume is full
            lock.close()
            return True
        if crosses_nodes(self._cache.root):
            lock.start_heartbeat(CLAIM_HEARTBEAT_SECONDS)
        self._lock = lock
        return True

    def outwait(self, report: LogLine) -> None:
        """Return when the holder has ended, or has been silent on another node; the claim may then be free.

        Args:
            report: gets a line about whom we wait for.
        """
        if lock := self._open():
            try:
                self._watch(lock, report)
            finally:
                lock.close()

    def release(self) -> None:
        """Give the claim to whoever waits for it."""
        if self._lock is not None:
            if self._lock.is_current():
                self._path.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def _open(self) -> WorkLock | None:
        """Open the file; None if there is no run, or no volume that can be written to."""
        if not self._flow_run_id or self._cache.read_only or not self._cache.root.is_dir():
            return None
        try:
            with shared_umask():
                self._cache.make_directory(self._cache.locks)
                return WorkLock(self._path)
        except OSError:
            return None

    def _watch(self, lock: WorkLock, report: LogLine) -> None:
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
