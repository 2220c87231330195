"""The docs show what the benchmark measured, and judge it correctly."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import meters, report
from bench.goals import COLD, FLOOR, OURS, PACKAGE_CHANGED, UNCHANGED, WARM, Goal, goals
from prefect_uv.engine._run_module import EARLY_OPTION


@pytest.fixture
def results() -> dict[str, Any]:
    """The results of the last full run."""
    return report.load(quick=False)


@pytest.fixture
def results_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder for results."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    return tmp_path


def with_running(results: Mapping[str, Any], case: str, seconds: Mapping[str, float]) -> dict[str, Any]:
    """A copy of the results in which all runs of these variants were Running after so many seconds."""
    changed = copy.deepcopy(dict(results))
    for variant, value in seconds.items():
        for run in changed["cases"][case][variant]:
            run["running"] = value
    return changed


def test_pages_show_the_results(results: dict[str, Any]) -> None:
    """Tables, headline and plot are those of the last full run."""
    for page, content in report.pages(results).items():
        assert page.read_text() == content, page


def test_goal_is_missed_above_its_limit(results: dict[str, Any]) -> None:
    """Ours in the same time as the floor reaches the first goal; in twice the time, it misses it."""
    reached = next(goals(with_running(results, WARM, {FLOOR: 1, OURS: 1})))
    missed = next(goals(with_running(results, WARM, {FLOOR: 1, OURS: 2})))
    assert (reached.measured, missed.measured) == (1, 2)
    assert "reached" in str(reached)
    assert "**missed**" in str(missed)


def test_changed_package_is_compared_with_warm_runs_of_the_same_rounds(results: dict[str, Any]) -> None:
    """It is not compared with the case "warm", during which the machine may have been faster or slower."""
    changed = with_running(results, PACKAGE_CHANGED, {OURS: 5, UNCHANGED: 3})
    assert goal_of(with_running(changed, WARM, {OURS: 1}), PACKAGE_CHANGED).measured == 2


def goal_of(results: Mapping[str, Any], case: str) -> Goal:
    """The only goal of a case."""
    (goal,) = (goal for goal in goals(results) if goal.text.startswith(case))
    return goal


def test_incomplete_crowd_misses_its_goal(results: dict[str, Any]) -> None:
    """A crowd of which a flow run did not complete misses the goal, however short its time."""
    cold = [dict(run, exited=1) for run in results["cases"][COLD][OURS]]
    cases = results["cases"] | {COLD: {OURS: cold}}
    crowd = {"50": {FLOOR: {"seconds": 9, "completed": 50, "builds": 0}}}
    for completed, measured in ((50, 1), (49, float("inf"))):
        crowd["50"][OURS] = {"seconds": 10, "completed": completed, "builds": 1}
        *_, last = goals({**results, "cases": cases, "crowd": crowd})
        assert last.measured == measured


def test_interrupted_run_keeps_the_last_complete_results(results: dict[str, Any], results_folder: Path) -> None:
    """Unfinished results are in a file of their own until the run is finished."""
    report.finish(results, quick=True)
    report.save({"dates": {}, "cases": {}}, quick=True)
    assert report.load(quick=True) == results
    assert (results_folder / "quick.unfinished.json").is_file()


def test_finished_run_replaces_the_last_results(
    results: dict[str, Any], results_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing unfinished is left, and the tables are printed."""
    report.finish(results, quick=True)
    newer = results | {"rounds": 1}
    report.save(newer, quick=True)
    report.finish(newer, quick=True)
    assert report.load(quick=True) == newer
    assert [path.name for path in results_folder.iterdir()] == ["quick.json"]
    assert capsys.readouterr().out.splitlines()[-1] == report.tables(newer).splitlines()[-1]


def test_parts_are_added_to_the_last_complete_results(results: dict[str, Any], results_folder: Path) -> None:
    """PARTS keeps what it does not measure again; without PARTS, a run starts with no results."""
    assert results_folder.is_dir()
    report.finish(results, quick=True)
    assert report.start(["crowd"], quick=True) == results
    assert report.start([], quick=True) == {"dates": {}}


@pytest.mark.usefixtures("results_folder")
@pytest.mark.parametrize(("quick", "command"), [(True, "make bench QUICK=1"), (False, "make bench")])
def test_parts_without_results_are_refused(command: str, *, quick: bool) -> None:
    """Single parts cannot be added to results that do not exist: the message names the run that is needed first."""
    with pytest.raises(SystemExit, match=rf"which does not exist: run `{command}` without PARTS first"):
        report.start(["crowd"], quick=quick)


def test_meters_know_an_early_engine() -> None:
    """Its command line ends with an option instead of the engine's module: it counts as the engine, not as ours."""
    assert EARLY_OPTION.encode() == meters.EARLY_ENGINE
