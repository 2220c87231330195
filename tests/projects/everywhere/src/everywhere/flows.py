"""A flow that starts processes in every way, and reports what they see."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from everywhere.probe import seen
from prefect import flow

TEMPLATE = "<% import json; from everywhere.probe import seen %>${json.dumps(seen())}"


def run(*command, text=None):
    """What the last line of a command's output says."""
    done = subprocess.run(command, input=text, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout.strip().splitlines()[-1])


@flow(log_prints=True)
def report():
    """Print one line of JSON."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        ways = {"the flow": seen(), "a process pool": pool.submit(seen).result(timeout=60)}
    ways["sys.executable"] = run(sys.executable, "-m", "everywhere.probe")
    ways["python"] = run("python", "-m", "everywhere.probe")
    ways["uv run"] = run("uv", "run", "python", "-m", "everywhere.probe")
    ways["a console script of a dependency"] = run("mako-render", text=TEMPLATE)
    if shutil.which("everywhere"):
        ways["the project's own console script"] = run("everywhere")
    print("seen:", json.dumps(ways))
