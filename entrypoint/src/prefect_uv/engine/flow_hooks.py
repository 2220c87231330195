"""The flow's on_cancellation and on_crashed hooks, run by the project's Python where the engine could not."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Literal

from prefect_uv.engine.launch import Launch
from prefect_uv.log.run_log import RunLog
from prefect_uv.processes import process_tree
from prefect_uv.processes.signals import also_on_signals

HOOKS_SECONDS = 120.0
HURRIED_HOOKS_SECONDS = 5.0
HOOKS_SCRIPT = Path(__file__).with_name("_run_hooks.py")


def run_hooks(kind: Literal["cancellation", "crashed"], launch: Launch, log: RunLog) -> None:
    """Run the hooks in the flow's working directory and environment; a failing hook is logged and changes nothing.

    A signal to stop leaves them a few seconds.

    The script is passed as text: running it by its path would put our directory on the import path.
    """
    flow = (launch.environ["PREFECT__FLOW_RUN_ID"], launch.environ["PREFECT__FLOW_ENTRYPOINT"])
    command = [launch.python, "-c", HOOKS_SCRIPT.read_text(), kind, *flow]
    try:
        process = subprocess.Popen(
            command, env=launch.environ, cwd=launch.directory, pass_fds=launch.leases, start_new_session=True
        )
        with also_on_signals(lambda: _kill_soon(process)):
            code = process.wait(HOOKS_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning(f"on_{kind} hooks were stopped after {HOOKS_SECONDS:.0f} s")
    except OSError as error:
        log.warning(f"on_{kind} hooks could not be run: {error}")
    else:
        if code:
            log.warning(f"on_{kind} hooks could not be run (exit code {code})")
    finally:
        process_tree.kill_descendants()


def _kill_soon(process: subprocess.Popen[bytes]) -> None:
    timer = threading.Timer(HURRIED_HOOKS_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
