"""What the container was started with decides what it does."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from prefect_uv.command_line import VERBS, choose_verb

EXECUTE = ["prefect", "flow-run", "execute"]
ID = "0c7a4b5e-1111-4222-8333-444455556666"


@pytest.mark.parametrize(
    ("argv", "verb", "arguments"),
    [
        (["prefect-uv"], "run", []),
        (["prefect-uv", *EXECUTE], "run", []),
        (["prefect-uv", *EXECUTE, ID], "run", [ID]),
        (["/opt/prefect/entrypoint.sh", *EXECUTE], "run", []),
        (["/usr/local/bin/prefect", "flow-run", "execute"], "run", []),
        (["prefect", "flow-run", "execute", ID], "run", [ID]),
        (["prefect-uv", "run"], "run", []),
        (["prefect-uv", "prefect-uv", "run"], "run", []),
        (["prefect-uv", "sync"], "sync", []),
        (["prefect-uv", "exec", "--", "python", "-V"], "exec", ["--", "python", "-V"]),
        (["prefect-uv", "doctor"], "doctor", []),
        (["prefect-uv", "bash"], "command", ["bash"]),
        (["prefect-uv", "prefect-uv", "bash"], "command", ["bash"]),
        (["prefect-uv", "python", "-c", "run"], "command", ["python", "-c", "run"]),
        (["prefect-uv", "prefect", "version"], "command", ["prefect", "version"]),
        (["prefect", "version"], "command", ["prefect", "version"]),
        (["prefect-uv", "uv", "run", "x.py"], "command", ["uv", "run", "x.py"]),
        (["prefect-uv", "--help"], "help", []),
        (["prefect-uv", "-h"], "help", []),
        (["prefect-uv", "help"], "help", []),
    ],
)
def test_command_line_with_a_flow_run(argv: list[str], verb: str, arguments: list[str]) -> None:
    """The table of the README, with PREFECT__FLOW_RUN_ID set as workers do."""
    assert choose_verb(argv, {"PREFECT__FLOW_RUN_ID": ID}) == (verb, arguments)


@pytest.mark.parametrize("environ", [{}, {"PREFECT__FLOW_RUN_ID": ""}])
def test_nothing_asked_for_is_help(environ: dict[str, str]) -> None:
    """No command and no flow run: a short help."""
    assert choose_verb(["prefect-uv"], environ) == ("help", [])


def _entrypoint(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect_uv", *words]
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, env={**paths, **environ}, capture_output=True, text=True, timeout=20, check=False)


def test_help_exits_with_zero() -> None:
    """The help is an answer, not a failure."""
    finished = _entrypoint()
    assert finished.returncode == 0
    assert finished.stdout.startswith("prefect-uv runs Prefect flows from git with uv")


def test_other_command_replaces_the_process() -> None:
    """Any other command runs as it is, with its own exit code."""
    finished = _entrypoint("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (finished.returncode, finished.stdout, finished.stderr) == (7, "out\n", "err\n")


def test_unknown_command_exits_with_127() -> None:
    """As a shell does."""
    finished = _entrypoint("no-such-command")
    assert finished.returncode == 127
    assert finished.stderr == "prefect-uv: no-such-command: command not found\n"


def test_command_that_is_not_executable_exits_with_126(tmp_path: Path) -> None:
    """As a shell does."""
    file = tmp_path / "script"
    file.write_text("not a program")
    finished = _entrypoint(str(file))
    assert finished.returncode == 126
    assert finished.stderr == f"prefect-uv: {file}: Permission denied\n"


def test_prefect_that_is_only_our_own_link_ends(tmp_path: Path) -> None:
    """`prefect version` where the only `prefect` is our own link ends with 127 instead of starting itself forever."""
    link = tmp_path / "prefect"
    program = f"import sys; sys.argv[0] = {str(link)!r}; sys.path[:0] = {sys.path!r}; import prefect_uv.__main__ as m"
    link.write_text(f"#!{sys.executable}\n{program}; m.main()\n")
    link.chmod(0o755)
    finished = subprocess.run(
        [link, "version"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=3, check=False
    )
    assert finished.returncode == 127
    assert "prefect: command not found" in finished.stderr


def test_every_verb_has_a_function() -> None:
    """Functions are named where nothing imports them: each is there."""
    assert all(callable(getattr(import_module(module), function)) for module, function in VERBS.values())


def test_another_program_waits_for_none_of_our_imports() -> None:
    """`docker run IMAGE COMMAND` becomes the command before the recipe is imported."""
    assert imported("prefect_uv.__main__") == {"prefect_uv", "prefect_uv.command_line", "prefect_uv.__main__"}


def test_api_and_git_are_asked_before_the_rest_is_imported() -> None:
    """Project, store, code and launch are imported while they are waited for (ADR 0015)."""
    assert packages("prefect_uv.recipe").isdisjoint({"pull", "project", "environments", "project_code", "preparation"})
    assert packages("prefect_uv.pull").isdisjoint({"project", "environments", "project_code", "preparation"})


def packages(module: str) -> set[str]:
    """The packages of ours that a module imports."""
    return {name.split(".")[1] for name in imported(module) if "." in name}


def imported(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    program = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('prefect_uv')))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    return set(done.stdout.split())
