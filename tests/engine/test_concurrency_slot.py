"""A run keeps the slot of its deployment's concurrency limit while we pull and build, on a real server."""

from __future__ import annotations

import json
import signal
import socket
from datetime import UTC, datetime, timedelta

from tests.engine.host import Host, Run
from tests.stack.api import git_clone
from tests.stack.process import wait_until

LONGER = timedelta(seconds=120)
"""The server grants a lease for 30 seconds, and we renew it for 300."""


def _expiry(host: Host, lease: object) -> datetime:
    """When a lease on a slot expires."""
    path = host.server.home / ".prefect" / "concurrency_leases" / f"{lease}.json"
    return datetime.fromisoformat(json.loads(path.read_text())["expiration"]).astimezone(UTC)


def test_slot_is_kept_while_code_is_pulled(host: Host) -> None:
    """The lease that the server granted with Pending is renewed long before the engine could do so."""
    folder = host.home / "slot"
    (folder / "tmp").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        step = git_clone(f"http://127.0.0.1:{silent.getsockname()[1]}/r.git")
        deployment = host.api.deploy("limited", "flows.py:sleeping", [step], concurrency_limit=1)
        flow_run = host.api.create_run(deployment, {"folder": str(folder)})
        host.api.submit(flow_run)
        run = Run(host, flow_run, folder, host.container(flow_run, folder, {}))
        lease = run.state.state_details.deployment_concurrency_lease_id
        granted = _expiry(host, lease)
        wait_until(lambda: _expiry(host, lease) > granted + LONGER, "the lease is renewed", 60)
        run.signal(signal.SIGTERM)
        run.end()
