"""What to do about an engine that ended before the flow began."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.engine.crash_hints import NO_PIP, crash_hint

FLOWS = """
import prefect
from prefect import flow, task

@flow
def daily(): ...

@prefect.flow(name="other", retries=2)
async def hourly(): ...

@task
def step(): ...

def plain(): ...
"""
LOAD = "import sys; from prefect.flows import load_function_and_convert_to_flow as load; load(sys.argv[1])"
AGAIN = "Correct the entrypoint, and deploy again."


@pytest.mark.parametrize("entrypoint", ["flows/etl.py:dialy", "flows.etl:dialy"])
def test_flow_that_does_not_exist(tmp_path: Path, entrypoint: str) -> None:
    """Prefect says only what is not there; the hint says what is."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "etl.py").write_text(FLOWS)
    command = [sys.executable, "-c", LOAD, entrypoint]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert crash_hint(ended.stderr, tmp_path) == f"flows/etl.py has these flows: daily, hourly. {AGAIN}"


@pytest.mark.parametrize("text", ["def plain(): ...", "def broken(:", "\0"])
def test_file_without_a_flow(tmp_path: Path, text: str) -> None:
    """A file in which we find no flow is said to have none."""
    (tmp_path / "flow.py").write_text(text)
    tail = "MissingFlowError: Flow function with name 'main' not found in 'flow.py'."
    assert crash_hint(tail, tmp_path) == f"flow.py has no function decorated with @flow. {AGAIN}"


@pytest.mark.parametrize(
    ("tail", "hint"),
    [
        ("Function with name 'main' not found in 'elsewhere.py'.", ""),
        ("ImportError: libodbc.so.2: cannot open shared object file: No such", "`apt-get install unixodbc`."),
        ("/cache/envs/v1/x/bin/python: No module named pip\n", NO_PIP),
        ("ModuleNotFoundError: No module named 'pipeline'", ""),
        ("ValueError: no", ""),
    ],
)
def test_other_ends(tmp_path: Path, tail: str, hint: str) -> None:
    """A library is named with its Debian package; of most ends we know nothing."""
    assert crash_hint(tail, tmp_path).endswith(hint)
    assert bool(crash_hint(tail, tmp_path)) == bool(hint)
