"""Flows that meet what happens to pods; they run in the pods, not in the tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow, get_run_logger, runtime

PLACES = ("/", "/cache", "/etc", "/home/prefect", "/tmp", "/var/tmp")


@flow
def first_attempt_waits(seconds: int = 120) -> None:
    """Wait in the first attempt, which a test ends, and say so in a file; complete in the next one."""
    mark = Path("/cache", f"started-{runtime.flow_run.id}")
    if mark.exists():
        return
    mark.touch()
    time.sleep(seconds)


@flow
def eat(megabytes: int) -> None:
    """Use this much memory."""
    held = [bytearray(1_000_000) for _ in range(megabytes)]
    time.sleep(len(held))


@flow
def look_around() -> None:
    """Log who the flow is and where it may write."""
    writable = [
        path for path in ("/", "/cache", "/etc", "/home/prefect", "/tmp", "/var/tmp") if os.access(path, os.W_OK)
    ]
    token = Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
    groups = sorted(os.getgroups())
    get_run_logger().info(f"uid {os.getuid()}, groups {groups}, token {token}, writable {' '.join(writable)}")
