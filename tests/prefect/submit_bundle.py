"""Run in a container by test_bundles.py: submit a flow as a bundle and wait for its end, or only write the bundle."""

import json
import os
import platform
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import cowsay
from prefect import flow, get_run_logger, runtime
from prefect.bundles import create_bundle_for_flow_run
from prefect.client.orchestration import get_client
from prefect_docker.decorators import docker


def hook(flow: Any, flow_run: Any, state: Any) -> None:
    """Print the state, as on_cancellation and on_crashed hook."""
    del flow, flow_run
    sys.stdout.write(f"hook: {state.name}\n")


@flow(on_cancellation=[hook], on_crashed=[hook])
def bundled(action: str = "") -> None:
    """Do what the argument says."""
    logger = get_run_logger()
    logger.info(cowsay.get_output_string("cow", f"Python {platform.python_version()}"))
    if action == "crash":
        os._exit(7)
    if action == "fail":
        message = "as asked"
        raise ValueError(message)
    if action == "read":
        logger.info(Path("data.txt").read_text())
    if action == "wait" and runtime.flow_run.run_count == 1:
        logger.info("waiting")
        time.sleep(300)


def store(submitted: Any, action: str) -> None:
    """Write the bundle, and before it the archive of included files, if any, as they are kept in a storage."""
    with get_client(sync_client=True) as client:
        flow_run = client.create_flow_run(submitted, parameters={"action": action})
    made = create_bundle_for_flow_run(flow=submitted, flow_run=flow_run)
    if made["zip_path"]:
        shutil.copy(made["zip_path"], "stored.zip")
    Path("unfinished.json").write_text(json.dumps(made["bundle"]))
    Path("unfinished.json").rename("stored.json")


if __name__ == "__main__":
    variables = json.loads(os.environ["JOB_VARIABLES"])
    included = ["data.txt"] if "read" in sys.argv else None
    submitted = docker(work_pool="docker", include_files=included, **variables)(bundled)
    if sys.argv[1] == "store":
        store(submitted, sys.argv[2])
    else:
        submitted.submit(*sys.argv[1:]).wait()
