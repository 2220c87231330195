"""A flow that starts processes in every way, and reports what they see."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

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
    if shutil.which("coverage"):
        ways["a console script of an extra package"] = run("coverage", "run", "-m", "everywhere.probe")
    if shutil.which("everywhere"):
        ways["the project's own console script"] = run("everywhere")
    print("seen:", json.dumps(ways))


def files():
    """What is installed in the environment, without the bytecode that Python adds."""
    found = (
        path for path in Path(sys.prefix).rglob("*") if "__pycache__" not in path.parts and ".uv" not in path.parts
    )
    return {str(path): (path.lstat().st_ino, path.lstat().st_size) for path in found if not path.is_dir()}


@flow(log_prints=True)
def change():
    """Let uv change what is installed, in every way; print how each ended, and whether the environment is as it was."""
    before = files()
    ends = {}
    for command in (
        "pip install cowsay",
        "pip uninstall mako",
        "pip install --target aside cowsay",
        "sync",
        "add cowsay",
    ):
        done = subprocess.run(["uv", *command.split()], check=False, capture_output=True, text=True, timeout=90)
        ends[command] = [done.returncode, done.stderr]
    print("seen:", json.dumps({"unchanged": files() == before, **ends}))
