"""The figures in the docs are the measured ones."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bench import report
from bench.goals import COLD, FLOOR, OURS, PACKAGE_CHANGED, UNCHANGED, WARM, goals


@pytest.fixture
def results() -> dict[str, Any]:
    """The results of the last full run."""
    return report.saved(quick=False)


def test_pages_hold_the_results(results: dict[str, Any]) -> None:
    """The table, the headline and the plot are those of the results."""
    for page, content in report.pages(results).items():
        assert page.read_text() == content, page


def test_goal_is_judged_by_the_figures(results: dict[str, Any]) -> None:
    """A warm start as fast as the floor reaches the goal, and one that takes twice as long misses it."""
    slow = copy.deepcopy(results)
    for name, times in ((FLOOR, 1), (OURS, 2)):
        for run in slow["cases"][WARM][name]:
            run["running"] = times
    reached, missed = (next(goals(each)) for each in (slow | {"cases": _even(slow)}, slow))
    assert (missed.measured, reached.measured) == (2, 1)
    assert "**missed**" in str(missed)
    assert "reached" in str(reached)


def test_changed_package_is_compared_with_warm_runs_of_its_rounds(results: dict[str, Any]) -> None:
    """It is not compared with the case "warm", because the machine may have been faster or slower then."""
    cases = copy.deepcopy(results["cases"])
    for case, name, seconds in ((PACKAGE_CHANGED, OURS, 5), (PACKAGE_CHANGED, UNCHANGED, 3), (WARM, OURS, 1)):
        for run in cases[case][name]:
            run["running"] = seconds
    (goal,) = (goal for goal in goals({**results, "cases": cases}) if goal.text.startswith(PACKAGE_CHANGED))
    assert goal.measured == 2


def _even(results: dict[str, Any]) -> dict[str, Any]:
    cases: dict[str, Any] = copy.deepcopy(results["cases"])
    for run in cases[WARM][OURS]:
        run["running"] = 1
    return cases


def test_crowd_that_does_not_complete_misses_its_goal(results: dict[str, Any]) -> None:
    """A crowd in which a run did not complete misses the goal, however fast it was."""
    cold = [dict(run, exited=1) for run in results["cases"][COLD][OURS]]
    cases = results["cases"] | {COLD: {OURS: cold}}
    crowd = {"50": {FLOOR: {"seconds": 9, "completed": 50, "builds": 0}}}
    for completed, measured in ((50, 1), (49, float("inf"))):
        crowd["50"][OURS] = {"seconds": 10, "completed": completed, "builds": 1}
        *_, last = goals({**results, "cases": cases, "crowd": crowd})
        assert last.measured == measured
