"""What `docker run` does with the image."""

from __future__ import annotations

import pytest

from tests.images.containers import Runner

NAMES = ["prefect-uv", "prefect", "/opt/prefect/entrypoint.sh"]


def test_help_without_a_command_and_a_flow_run(run: Runner) -> None:
    """Nothing asked for: a short help, and success."""
    assert "PREFECT__FLOW_RUN_ID" in run.succeed()


def test_exit_code_of_another_command_passes_through(run: Runner) -> None:
    """`docker run IMAGE bash` works, and ends as bash ends."""
    assert run(["bash", "-c", "exit 7"]).code == 7


def test_other_command_takes_our_place_under_tini(run: Runner) -> None:
    """The command is exec'd: tini is process 1 and the command its child."""
    script = 'tr "\\0" " " </proc/1/cmdline; echo; cat /proc/1/comm; echo $PPID'
    commands, name, parent = run.succeed(["bash", "-c", script]).splitlines()
    assert commands.startswith("/usr/bin/tini -- prefect-uv bash -c ")
    assert (name, parent) == ("tini", "1")


def test_command_that_does_not_exist_is_told_as_by_a_shell(run: Runner) -> None:
    """Exit code 127, and the command is named."""
    outcome = run(["no-such-command"])
    assert outcome.code == 127
    assert "no-such-command" in outcome.stderr


@pytest.mark.parametrize("name", NAMES)
def test_workers_that_override_the_entrypoint_reach_the_program(run: Runner, name: str) -> None:
    """The names that workers start lead to the program that executes flow runs."""
    words = ["prefect-uv"] if name == "prefect-uv" else []
    arguments = ["flow-run", "execute"] if name == "prefect" else ["prefect", "flow-run", "execute"]
    direct = run(["prefect", "flow-run", "execute"], environment={"PREFECT_API_URL": "x"})
    other = run([*words, *arguments], entrypoint=name, environment={"PREFECT_API_URL": "x"})
    assert direct.code == other.code
    assert 64 <= other.code <= 78
    assert "prefect-uv: error[" in other.stderr


def test_prefect_commands_that_are_not_ours_end(run: Runner) -> None:
    """The image has no Prefect of its own: its shim says so instead of calling itself."""
    assert run(["prefect", "version"]).code not in {0, 137}


def test_program_is_isolated_and_compiled(run: Runner) -> None:
    """It starts `python -I`, and no start has to compile a module."""
    assert run.succeed(["head", "-n1", "/opt/prefect-uv/bin/prefect-uv"]) == "#!/opt/prefect-uv/bin/python -I\n"
    script = (
        "cd /opt/prefect-uv/lib/python3*/site-packages; find . -name '*.py' | while read -r file; do "
        'name=$(basename "$file" .py); ls "$(dirname "$file")/__pycache__/$name".*.pyc >/dev/null; done'
    )
    outcome = run(["bash", "-c", script])
    assert (outcome.code, outcome.stderr) == (0, "")


def test_environment_for_pull_steps_is_small(run: Runner) -> None:
    """Prefect's own steps cost the image at most 60 MB."""
    size, _ = run.succeed(["du", "-sb", "/opt/prefect-client"]).split()
    assert int(size) <= 60_000_000
