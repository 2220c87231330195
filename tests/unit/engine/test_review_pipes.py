"""Review: more than 64 KiB in both pipes of an early engine."""

from __future__ import annotations

import subprocess
import threading

from prefect_uv.environments.build.verification import site_packages
from tests.unit.engine.test_early_engine import Deployment, deployment, report, two_processors  # noqa: F401


def test_both_pipes_full(deployment: Deployment) -> None:  # noqa: F811
    """An engine that warns a lot while it imports gets a run with a long PATH."""
    package = site_packages(deployment.environment) / "prefect"
    (package / "main.py").write_text("import sys; sys.stderr.write('x' * 100_000)")
    deployment.run_before()
    early = deployment.start_early()
    path = "/p" * 40_000 + ":" + deployment.launch().environ["PATH"]
    launch = deployment.choose(deployment.launch(PATH=path), early)
    assert launch.early is early
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(launch.start({}, subprocess.PIPE)), daemon=True)
    thread.start()
    thread.join(5)
    hangs = thread.is_alive()
    early._process.kill()
    assert not hangs
    started[0].communicate(timeout=30)
