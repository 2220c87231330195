"""Review: an early engine keeps the environment that would make room for the new one."""

from __future__ import annotations

import os
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from tests.unit.engine.test_early_engine import Deployment, deployment, two_processors  # noqa: F401
import pytest


@pytest.mark.parametrize("with_early", [False, True])
def test_room(deployment: Deployment, with_early: bool) -> None:
    deployment.run_before()
    os.close(deployment.lease)
    os.utime(deployment.environment / ".inuse", (1, 1))
    (deployment.environment / "manifest.json").touch()
    early = deployment.start_early() if with_early else None
    collect_garbage(deployment.cache, deployment.settings, deployment.log, make_room=True)
    there = deployment.environment.exists()
    if early:
        early.discard()
    deployment.lease = os.open("/dev/null", os.O_RDONLY)
    assert not there
