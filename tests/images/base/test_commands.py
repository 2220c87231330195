"""What `docker run` does with the image."""

from __future__ import annotations

import json

import pytest

from docs.workers import WORKERS
from tests.images.containers import Runner

ENGINE = ["python", "-m", "prefect.engine"]
STARTS = [
    *sorted({(tuple(one.entrypoint), tuple(one.command)) for one in WORKERS.values()}),
    (ENGINE, []),
    ([], ENGINE),
    ([], ["sh", "-c", "prefect flow-run execute"]),
    ([], ["sh", "-c", "cd / && python -m prefect.engine"]),
    (["bash", "-c"], ["exec python3 -u -m prefect.flow_engine flow.py:main"]),
]
"""What replaces the ENTRYPOINT, and its arguments: as workers do it, and as templates and older releases did."""


def test_help_without_a_command_and_a_flow_run(run: Runner) -> None:
    """Without a command and a flow run, the image prints a short help and exits with 0."""
    assert "PREFECT__FLOW_RUN_ID" in run.succeed()


def test_exit_code_of_another_command_passes_through(run: Runner) -> None:
    """`docker run IMAGE bash` runs bash and exits with its exit code."""
    assert run(["bash", "-c", "exit 7"]).code == 7


def test_other_command_replaces_the_program_under_tini(run: Runner) -> None:
    """Another command is exec'd, with no signal blocked: tini is process 1, and the command is its child."""
    script = 'tr "\\0" " " </proc/1/cmdline; echo; cat /proc/1/comm; echo $PPID; grep SigBlk /proc/self/status'
    commands, name, parent, blocked = run.succeed(["bash", "-c", script]).splitlines()
    assert commands.startswith("/usr/bin/tini -- prefect-uv bash -c ")
    assert (name, parent) == ("tini", "1")
    assert int(blocked.split()[1], 16) == 0


def test_command_that_does_not_exist(run: Runner) -> None:
    """As with a shell, the exit code is 127 and the message names the command."""
    outcome = run(["no-such-command"])
    assert outcome.code == 127
    assert "no-such-command" in outcome.stderr


@pytest.mark.parametrize(("entrypoint", "command"), STARTS)
def test_every_start_of_a_worker_reaches_the_program(run: Runner, entrypoint: list[str], command: list[str]) -> None:
    """Whatever replaces the ENTRYPOINT leads to the program that executes flow runs, and as if nothing were between."""
    environment = {"PREFECT_API_URL": "x", "PREFECT__FLOW_RUN_ID": "x"}
    outcome = run(command, entrypoint=list(entrypoint) or None, environment=environment)
    assert outcome.code == 65, outcome
    assert "prefect-uv: error[settings-invalid]: " in outcome.stderr


def test_engine_of_a_run_that_is_named(run: Runner) -> None:
    """`python -m prefect.engine ID` passes the flow run on; without one, the error says so, and nothing loops."""
    flow_run = "0c7a4b5e-1111-4222-8333-444455556666"
    for arguments, missing in (([flow_run], "PREFECT_API_URL"), ([], "PREFECT__FLOW_RUN_ID")):
        outcome = run(["-m", "prefect.engine", *arguments], entrypoint=["python"])
        assert f"{missing} is not set" in outcome.stderr


def test_image_has_no_prefect_to_import(run: Runner) -> None:
    """For everything but its engine, Python says that there is no Prefect."""
    for arguments in (["-c", "import prefect"], ["-m", "prefect"], ["-m", "prefect.server"]):
        outcome = run(arguments, entrypoint=["python"])
        assert (outcome.code, "No module named 'prefect'" in outcome.stderr) == (1, True)


@pytest.mark.parametrize(
    ("entrypoint", "script", "waits"),
    [
        ([], "cd / && {}", True),
        (["sh", "-c"], "{}", True),
        (["sh", "-c"], "exec {}", False),
    ],
)
def test_shell_that_waits_is_found(run: Runner, entrypoint: list[str], script: str, *, waits: bool) -> None:
    """A shell between the container's start and us is found, unless it has been replaced."""
    code = "from prefect_uv.processes.process_tree import shell_above as s; print(s())"
    script = script.format(f"/opt/prefect-uv/bin/python -c '{code}'")
    command = [script] if entrypoint else ["sh", "-c", script]
    assert run.succeed(command, entrypoint=entrypoint or None).strip() == (script if waits else "")


def test_other_prefect_commands_fail(run: Runner) -> None:
    """The image has no Prefect of its own: its `prefect` fails at other commands instead of calling itself."""
    assert run(["prefect", "version"]).code not in {0, 137}


def test_program_is_isolated_and_has_bytecode(run: Runner) -> None:
    """The program runs with `python -I` and signals blocked while it starts, and all of its modules have bytecode."""
    assert run.succeed(["head", "-n1", "/opt/prefect-uv/bin/prefect-uv"]) == (
        "#!/usr/bin/env -S --block-signal=HUP,INT,QUIT,TERM /opt/prefect-uv/bin/python -I\n"
    )
    script = (
        "cd /opt/prefect-uv/lib/python3*/site-packages; find . -name '*.py' | while read -r file; do "
        'name=$(basename "$file" .py); ls "$(dirname "$file")/__pycache__/$name".*.pyc >/dev/null; done'
    )
    outcome = run(["bash", "-c", script])
    assert (outcome.code, outcome.stderr) == (0, "")


def test_python_is_the_interpreter_for_projects(run: Runner) -> None:
    """`python`, as pull steps call it, is the interpreter of the image's facts, whoever runs it, also by uv."""
    facts = json.loads(run.succeed(["cat", "/opt/prefect-uv/image.json"]))
    script = "python --version; python3 --version; uv run --no-project python --version"
    lines = run.succeed(["bash", "-c", script], user="12345:0", environment={"UV_CACHE_DIR": "/tmp/uv"}).splitlines()
    assert lines == 3 * [f"Python {facts['python_version']}"]


def test_pip_says_what_to_use(run: Runner) -> None:
    """No command changes the image's Python; `pip install` names what does its work."""
    script = 'for pip in pip pip3 "python -m pip" "uv pip"; do UV_SYSTEM_PYTHON=1 $pip install cowsay; echo $?; done'
    outcome = run(["bash", "-c", script], user="0")
    assert outcome.stdout.split() == ["1", "1", "1", "2"]
    assert outcome.stderr.count("In a pull step (run_shell_script), it adds packages to the run.") == 3
    assert "In a pull step, `pip install` adds packages to the run." in outcome.stderr


def test_environment_for_pull_steps_is_small(run: Runner) -> None:
    """The environment for Prefect's own steps adds at most 60 MB to the image."""
    size, _ = run.succeed(["du", "-sb", "/opt/prefect-client"]).split()
    assert int(size) <= 60_000_000
