"""Flow runs in containers that are started as each of Prefect's workers starts them: Cancel and SIGTERM arrive."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from uuid import UUID

import pytest
from docker.models.containers import Container
from prefect.states import Cancelling

from docs.workers import WORKERS
from images.family import ROOT
from tests.stack import EXCHANGE, Repository, Stack, git_clone
from tests.stack.environment import job_volumes
from tests.unit.templates.test_cloud_templates import CLOUDS, cloud_template

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

CLOUD_RUN = ["prefect", "flow-run", "execute"]
SHELL = ["sh", "-c", "prefect flow-run execute"]
OTHERS = [
    pytest.param(["/opt/prefect/entrypoint.sh", *CLOUD_RUN], marks=pytest.mark.full),
    pytest.param(["python", "-m", "prefect.engine"], marks=pytest.mark.full),
    pytest.param(["bash", "-c", "cd / && prefect flow-run execute"], marks=pytest.mark.full),
    pytest.param(["sh", "-c", "cd / && exec python -m prefect.engine"], marks=pytest.mark.full),
]
"""What else takes the place of tini. tests/images/base/test_commands.py holds that each becomes the same program."""


def start(stack: Stack, plain: Repository, exchange: Path, entrypoint: list[str]) -> tuple[UUID, Container]:
    """Start a container whose flow waits, and return its flow run's id and it."""
    deployment = stack.api.deploy("start-forms", "flows.py:recording_signals", [git_clone(plain.url)])
    flow_run = stack.api.create_run(deployment, {"folder": EXCHANGE})
    container = stack.start_directly(flow_run, exchange=exchange, command=(), entrypoint=entrypoint)
    stack.wait_for_file(exchange / "ready", container)
    return flow_run, container


@pytest.mark.parametrize("entrypoint", [CLOUD_RUN, *OTHERS], ids=" ".join)
def test_sigterm_and_orphans_without_tini(
    stack: Stack, plain: Repository, tmp_path: Path, entrypoint: list[str]
) -> None:
    """Without tini we are process 1: the engine gets one SIGTERM, and processes that lose their parent are reaped."""
    flow_run, container = start(stack, plain, tmp_path, entrypoint)
    orphan = "sleep 0.2 & grep -c . /proc/$!/stat"
    assert container.exec_run(["sh", "-c", orphan]).output == b"1\n"
    reaped = "sleep 0.5; while grep -qs ') Z ' /proc/[0-9]*/stat; do sleep 0.1; done"
    assert container.exec_run(["timeout", "30", "sh", "-c", reaped]).exit_code == 0
    container.stop(timeout=30)
    run = stack.finish(flow_run, container)
    assert signals(tmp_path) == [signal.SIGTERM], run.report()
    assert (run.state.name, run.outcome.exit_code) == ("Crashed", 143), run.report()


@pytest.mark.parametrize("entrypoint", [SHELL, pytest.param(CLOUD_RUN, marks=pytest.mark.full), *OTHERS], ids=" ".join)
def test_cancel_without_tini(stack: Stack, plain: Repository, tmp_path: Path, entrypoint: list[str]) -> None:
    """Cancel ends the run and the container, also if a shell waits for us; then a line says what that costs."""
    flow_run, container = start(stack, plain, tmp_path, entrypoint)
    stack.api.client.set_flow_run_state(flow_run, Cancelling())
    run = stack.finish(flow_run, container)
    assert signals(tmp_path) == [signal.SIGTERM], run.report()
    assert (run.state.name, run.outcome.exit_code) == ("Cancelled", 0), run.report()
    said = "a shell waits for this run and passes no signal on" in run.messages
    assert said is (entrypoint == SHELL), run.report()


def signals(folder: Path) -> list[int]:
    """The signals that arrived at the engine."""
    return list((folder / "signals").read_bytes())


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_forms_are_those_of_the_workers(stack: Stack) -> None:
    """Each package, installed in a throw-away environment, renders the start on record: from our template, if any."""
    templates = stack.git.root / "templates"
    templates.mkdir()
    for kind in set(WORKERS) & CLOUDS.keys():
        (templates / f"{kind}.json").write_text(json.dumps(cloud_template(kind, "--image", "ours")))
    requirements = sorted({one.requirement for one in WORKERS.values()})
    modules = [one.module for one in WORKERS.values()]
    script = f"""
        cd /tmp
        uv venv --quiet workers
        uv pip install --quiet --python workers {" ".join(map(repr, requirements))}
        workers/bin/python /render.py {" ".join(modules)}
    """
    program = ROOT / "tests" / "prefect" / "render_start_forms.py"
    container = stack.containers.start(
        stack.image,
        ["bash", "-euc", script],
        {"UV_CACHE_DIR": "/tmp/uv"},
        [*job_volumes(stack.cache.name), f"{program}:/render.py:ro", f"{templates}:/templates:ro"],
    )
    outcome = stack.containers.wait(container, 1100)
    assert outcome.exit_code == 0, outcome.output
    rendered = json.loads(outcome.stdout.splitlines()[-1])
    assert rendered == {kind: [one.entrypoint or None, one.command] for kind, one in WORKERS.items()}
