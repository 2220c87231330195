"""How the tests run: which of them share a process, how long they may take, and what is cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.suite import lanes, mark
from tests.suite.leftovers import remove
from tests.suite.locks import lock_once
from tests.suite.spent import Spent, budgets

TESTS = Path(__file__).parents[2]


def report(nodeid: str, when: str, duration: float) -> pytest.TestReport:
    """The report of a test's setup, call or teardown that passed."""
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=duration)  # type: ignore[arg-type]


def test_every_directory_of_tests_has_a_budget() -> None:
    """CONTRIBUTING.md has a budget for each directory of tests, and for no other."""
    assert set(budgets()) == {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}


def test_spent_is_summed_up_by_directory() -> None:
    """Setups, calls and teardowns are added up, and a directory over its budget is marked."""
    spent = Spent({"pull": 3, "engine": 1})
    for when, seconds in (("setup", 1.0), ("call", 1.0), ("teardown", 0.5)):
        spent.pytest_runtest_logreport(report("tests/pull/test_x.py::test_y", when, seconds))
        spent.pytest_runtest_logreport(report("tests/engine/test_x.py::test_y", when, seconds))
    engine, pull, total = spent.lines()
    assert engine.split() == ["tests/engine", "1", "tests", "2", "s", "of", "1", "s,", "OVER", "BUDGET"]
    assert pull.split() == ["tests/pull", "1", "tests", "2", "s", "of", "3", "s"]
    assert total.startswith("all ")
    assert " 2 tests      5 s in 0 s by the clock" in total


def test_every_pattern_of_units_has_tests() -> None:
    """Each pattern matches a module; otherwise its tests would no longer share a process."""
    modules = [str(path.relative_to(TESTS.parent)) for path in TESTS.rglob("test_*.py")]
    assert {lanes.unit_of(module) for module in modules} >= set(lanes.UNITS)


def test_same_project_is_locked_once(tmp_path: Path) -> None:
    """A second copy of a project gets the first one's lockfile; others, and those with a test's index, do not."""
    runs = tmp_path / "runs"
    command = ["sh", "-c", f"echo run >> {runs}; cat pyproject.toml > uv.lock"]
    texts = ("one", "one", "two", "http://127.0.0.1/simple", "http://127.0.0.1/simple")
    for number, text in enumerate(f"{text} {tmp_path.name}" for text in texts):
        project = tmp_path / str(number)
        project.mkdir()
        (project / "pyproject.toml").write_text(text)
        lock_once(command, project, os.environ)
        assert (project / "uv.lock").read_text() == text
    assert len(runs.read_text().split()) == 4


def test_failed_lock_is_an_error(tmp_path: Path) -> None:
    """A failure raises an error with the output, and the next call tries again."""
    command = ["sh", "-c", "echo no solution >&2; exit 1"]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no solution"):
            lock_once(command, tmp_path, os.environ)


def test_process_left_behind_is_killed(tmp_path: Path) -> None:
    """A process that inherited the run's mark is killed and reported, and the run's folder is removed."""
    folder = tmp_path / "run"
    folder.mkdir()
    with subprocess.Popen(["sleep", "60"], env={**os.environ, mark.VARIABLE: str(folder)}) as process:
        removed = remove(folder, seconds=0)
        assert process.wait(10) == -signal.SIGKILL
    assert removed == [f"process {process.pid}: sleep 60 "]
    assert not folder.exists()
