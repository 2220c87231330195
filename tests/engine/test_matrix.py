"""Every case on every Prefect version: final state, hooks, exit code, one SIGTERM, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.engine.cases import AUTH_STRING, CASES, REPORTS_ALL, Case, version_of
from tests.engine.conftest import PREVIOUS, Record
from tests.engine.host import Host, Run
from tests.pins import PREFECT

VERSIONS = ["3.0.11", "3.2.15", "3.4.25", "3.6.26", "3.6.29", "3.8.3", PREVIOUS, PREFECT]
IN_SHORT_FORM = {f"{version}-{case.title}" for case in CASES for version in case.short}
ON_THE_PREVIOUS_SERVER = {f"{PREFECT}-cancel, process pool"}
ON_A_PLAIN_START = {f"{PREFECT}-sys.exit(3)"}
PLAIN_START = {"PREFECT_UV_EARLY_ENGINE": "false", "PREFECT_UV_IMPORT_BUNDLE": "false"}
FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
APPLICABLE = [(version, case) for version, case in product(VERSIONS, CASES) if version_of(version) >= case.since]


def selected(short: Container[str]) -> list[Any]:
    """All cases in the long form, and in the short one those named, as parameters."""
    cases = [(case, version, f"{version}-{case.title}") for version, case in APPLICABLE]
    return [pytest.param(case, version, id=name) for case, version, name in cases if FULL or name in short]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("case", "version"), selected(IN_SHORT_FORM))
def test_run_ends_as_the_table_says(request: pytest.FixtureRequest, record: Record, case: Case, version: str) -> None:
    """State, hooks and exit code are as in the table, the engine gets at most one SIGTERM, and nothing is left."""
    host: Host = request.getfixturevalue("host" if version_of(version) >= AUTH_STRING else "open_host")
    _run(case, version, host, record)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("case", "version"), selected(ON_THE_PREVIOUS_SERVER))
def test_run_ends_the_same_on_the_previous_server(previous_host: Host, case: Case, version: str) -> None:
    """The version of the server makes no difference."""
    _run(case, version, previous_host, lambda *_, **__: None)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("case", "version"), selected(ON_A_PLAIN_START))
def test_run_ends_the_same_after_a_plain_start(request: pytest.FixtureRequest, case: Case, version: str) -> None:
    """An engine that starts when everything is known, and imports file by file, makes no difference."""
    host: Host = request.getfixturevalue("host" if version_of(version) >= AUTH_STRING else "open_host")
    plain = replace(case, environment={**case.environment, **PLAIN_START})
    run = _run(plain, version, host, lambda *_, **__: None)
    assert case.early or run.loader == "SourceFileLoader"


def _run(case: Case, version: str, host: Host, record: Record) -> Run:
    for flag in host.project(version).glob("imported"):
        flag.unlink()
    run = host.start(version, case.flow, case.parameters, case.environment)
    if not case.early:
        run.wait_for_flow()
    case.act(run)
    code, seconds = run.end()
    state = run.state
    hooks = (run.notes.count("on_cancellation"), run.notes.count("on_crashed"))
    record(
        case.title,
        version,
        state=state.name,
        on_cancellation=hooks[0],
        on_crashed=hooks[1],
        code=code,
        seconds=round(seconds, 1),
        sigterms=run.sigterms,
    )
    assert (state.name, *hooks, code) == (case.state, case.cancellation, case.crashed, _code(case, version)), run.output
    assert ("killed the engine and what it started" in run.output) == case.outlasts, run.output
    assert run.sigterms <= case.levels, run.output
    assert run.left_behind() == [], run.output
    return run


def _code(case: Case, version: str) -> int:
    """Engines from 3.8.4 on exit with 0 after they have reported a crash; our exit code for a crash is never 0."""
    reported = case.title.startswith("sys.exit") and version_of(version) >= REPORTS_ALL
    return 1 if reported else case.code
