"""Flow runs whose first attempt waits until a test ends it, and says so in a file on the claim."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from prefect_uv.options.template_options import VOLUME
from tests.kubernetes.pool import Pool
from tests.stack.process import wait_until

WAIT_SECONDS = 120


def first_attempt_pauses() -> dict[str, Any]:
    """The pull step that says so and pauses in the first attempt of a run."""
    mark = '/cache/started-"$PREFECT__FLOW_RUN_ID"'
    script = f"bash -c 'test -e {mark} || {{ touch {mark}; sleep 60; }}'"
    return {"prefect.deployments.steps.run_shell_script": {"script": script}}


def await_first_attempt(pool: Pool, flow_run: UUID, claim: str = VOLUME) -> str:
    """Wait until the first attempt says that it has come as far as it should, and return its pod's name."""
    mark = pool.cluster.claim(claim) / f"started-{flow_run}"
    wait_until(mark.exists, f"the first attempt of {flow_run}", WAIT_SECONDS)
    (pod,) = pool.cluster.pods(flow_run)
    return str(pod["metadata"]["name"])
