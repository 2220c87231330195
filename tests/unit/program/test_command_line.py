"""The command line and the environment decide what the container does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import prefect_uv
from prefect_uv.command_line import VERBS, choose_verb, variables_for

EXECUTE = ["prefect", "flow-run", "execute"]
ID = "0c7a4b5e-1111-4222-8333-444455556666"
OTHER_ID = "0c7a4b5e-1111-4222-8333-444455557777"


@pytest.mark.parametrize(
    ("argv", "verb", "arguments"),
    [
        (["prefect-uv"], "run", []),
        (["prefect-uv", *EXECUTE], "run", []),
        (["prefect-uv", *EXECUTE, ID], "run", [ID]),
        (["/opt/prefect/entrypoint.sh", *EXECUTE], "run", []),
        (["/usr/local/bin/prefect", "flow-run", "execute"], "run", []),
        (["prefect", "flow-run", "execute", ID], "run", [ID]),
        (["prefect-uv", "python", "-m", "prefect.engine"], "run", []),
        (["prefect-uv", "/bin/python3.13", "-u", "-Xdev", "-m", "prefect.engine", OTHER_ID], "run", [OTHER_ID]),
        (["prefect-uv", "python3", "-m", "prefect.flow_engine", "flow.py:main"], "run", []),
        (["prefect-uv", "uv", "run", "-m", "prefect.flow_engine", "flow.py:main"], "run", []),
        (["prefect-uv", "uv", "run", "--no-sync", "python", "-m", "prefect.engine"], "run", []),
        (["prefect-uv", "python", "-m", "prefect.engines"], "command", ["python", "-m", "prefect.engines"]),
        (["prefect-uv", "sh", "-m", "prefect.engine"], "command", ["sh", "-m", "prefect.engine"]),
        (["prefect-uv", "sh", "-c", "prefect flow-run execute"], "run", []),
        (["prefect-uv", "/bin/bash", "-c", "exec python -m prefect.engine"], "run", []),
        (["prefect-uv", "sh", "-c", "run"], "command", ["sh", "-c", "run"]),
        (["prefect-uv", "sh", "-c", "x; prefect x"], "command", ["sh", "-c", "x; prefect x"]),
        (["prefect-uv", "run"], "run", []),
        (["prefect-uv", "prefect-uv", "run"], "run", []),
        (["prefect-uv", "sync"], "sync", []),
        (["prefect-uv", "exec", "--", "python", "-V"], "exec", ["--", "python", "-V"]),
        (["prefect-uv", "doctor"], "doctor", []),
        (["prefect-uv", "key", "--json"], "key", ["--json"]),
        (["prefect-uv", "bash"], "command", ["bash"]),
        (["prefect-uv", "prefect-uv", "bash"], "command", ["bash"]),
        (["prefect-uv", "python", "-c", "run"], "command", ["python", "-c", "run"]),
        (["prefect-uv", "prefect", "version"], "command", ["prefect", "version"]),
        (["prefect", "version"], "command", ["prefect", "version"]),
        (["prefect-uv", "uv", "run", "x.py"], "command", ["uv", "run", "x.py"]),
        (["prefect-uv", "--help"], "help", []),
        (["prefect-uv", "-h"], "help", []),
        (["prefect-uv", "help"], "help", []),
        (["prefect-uv", "--version"], "version", []),
        (["prefect-uv", "-V"], "version", []),
        (["prefect-uv", "sync", "--help"], "sync", ["--help"]),
        (["prefect-uv", "run", "--group", "etl", ID], "run", ["--group", "etl", ID]),
    ],
)
def test_command_line_with_a_flow_run(argv: list[str], verb: str, arguments: list[str]) -> None:
    """With PREFECT__FLOW_RUN_ID set, as workers do, each command line runs what the table in the README says."""
    assert choose_verb(argv, {"PREFECT__FLOW_RUN_ID": ID}) == (verb, arguments)


@pytest.mark.parametrize("environ", [{}, {"PREFECT__FLOW_RUN_ID": ""}])
def test_no_command_and_no_flow_run_is_help(environ: dict[str, str]) -> None:
    """Without a command and a flow run, the help is printed."""
    assert choose_verb(["prefect-uv"], environ) == ("help", [])


@pytest.mark.parametrize(
    ("verb", "flow_run"),
    [("run", ID), ("sync", ID), ("exec", ID), ("bake", None), ("cache", None), ("doctor", None)],
)
def test_flow_run_of_a_command(verb: str, flow_run: str | None) -> None:
    """Only commands that are about a flow run know it, so that no other sets its state."""
    assert variables_for(verb, {"PREFECT__FLOW_RUN_ID": ID}).get("PREFECT__FLOW_RUN_ID") == flow_run


def test_engine_without_a_flow_run_is_a_command() -> None:
    """Without a flow run, there is nothing to execute, so Python says that it has no Prefect."""
    words = ["python", "-m", "prefect.engine"]
    assert choose_verb(["prefect-uv", *words], {}) == ("command", words)


def _entrypoint(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prefect_uv", *words]
    paths = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, env={**paths, **environ}, capture_output=True, text=True, timeout=20, check=False)


def test_help_exits_with_zero() -> None:
    """Printing the help is not a failure."""
    finished = _entrypoint()
    assert finished.returncode == 0
    assert "prefect-uv runs Prefect flows from git with uv" in finished.stdout


def test_version() -> None:
    """`--version` prints it."""
    finished = _entrypoint("--version")
    assert (finished.returncode, finished.stdout) == (0, f"prefect-uv {prefect_uv.__version__}\n")


def test_other_command_replaces_the_process() -> None:
    """Any other command replaces the process, so its output and exit code are its own."""
    finished = _entrypoint("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (finished.returncode, finished.stdout, finished.stderr) == (7, "out\n", "err\n")


def test_unknown_command_exits_with_127() -> None:
    """The exit code is that of a shell, and the message says where to look."""
    finished = _entrypoint("no-such-command")
    assert finished.returncode == 127
    assert finished.stderr == ("prefect-uv: no-such-command: command not found (see `prefect-uv --help`)\n")


def test_wrapper_of_the_command_has_a_setting() -> None:
    """A tracer in front of Prefect's command is not in the image: the message names the setting."""
    finished = _entrypoint("opentelemetry-instrument", "--service_name=my etl", *EXECUTE)
    assert finished.returncode == 127
    assert finished.stderr.splitlines()[1] == (
        "hint: Set PREFECT_UV_ENGINE_WRAPPER=\"opentelemetry-instrument '--service_name=my etl'\" without a command."
    )


def test_command_that_is_not_executable_exits_with_126(tmp_path: Path) -> None:
    """The exit code and the message are those of a shell."""
    file = tmp_path / "script"
    file.write_text("not a program")
    finished = _entrypoint(str(file))
    assert finished.returncode == 126
    assert finished.stderr == f"prefect-uv: {file}: Permission denied\n"


def test_prefect_that_is_only_our_own_link_is_not_found(tmp_path: Path) -> None:
    """If the only `prefect` on PATH is our own link, `prefect version` exits with 127 instead of looping."""
    link = tmp_path / "prefect"
    program = f"import sys; sys.argv[0] = {str(link)!r}; sys.path[:0] = {sys.path!r}; import prefect_uv.__main__ as m"
    link.write_text(f"#!{sys.executable}\n{program}; m.main()\n")
    link.chmod(0o755)
    finished = subprocess.run(
        [link, "version"], env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=3, check=False
    )
    assert finished.returncode == 127
    assert "prefect: command not found" in finished.stderr


def test_other_program_gets_the_signals_that_are_blocked_for_us() -> None:
    """The image blocks signals while Python starts: another program gets them, and any that waits."""
    words = ["env", "--block-signal=TERM", "sh", "-c", 'kill $$; exec "$@"', "sh", sys.executable, "-m", "prefect_uv"]
    environ = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    finished = subprocess.run([*words, "sleep", "9"], env=environ, capture_output=True, timeout=20, check=False)
    assert (finished.returncode, finished.stderr) == (-signal.SIGTERM, b"")


def test_every_command_has_its_function() -> None:
    """The functions of the commands, which are named by text, all exist."""
    assert all(callable(getattr(import_module(module), function)) for module, function in VERBS.values())


def test_another_program_does_not_wait_for_our_imports() -> None:
    """`docker run IMAGE COMMAND` becomes the command before the recipe is imported."""
    assert imported("prefect_uv.__main__") == {"prefect_uv", "prefect_uv.command_line", "prefect_uv.__main__"}


def test_later_phases_are_not_imported_before_the_api_is_asked() -> None:
    """The modules of later phases are imported while the start waits for the API and git (ADR 15)."""
    assert packages("prefect_uv.recipe").isdisjoint({"pull", "project", "environments", "project_code", "preparation"})
    assert packages("prefect_uv.pull").isdisjoint({"project", "environments", "project_code", "preparation"})


def test_an_early_engine_does_not_wait_for_what_asks_the_api() -> None:
    """An engine starts before the API's client is imported, which takes as long as everything before it (ADR 37)."""
    for module in ("prefect_uv.start", "prefect_uv.recipe", "prefect_uv.engine.start_up.early_engine"):
        assert "api" not in packages(module)


def test_the_api_is_asked_after_the_early_engine_was_started() -> None:
    """When the early engine is started, nothing that asks the API has been imported."""
    program = """if True:
        import os, sys
        from prefect_uv import recipe
        from prefect_uv.engine.start_up import early_engine
        from prefect_uv.start import start

        def start_early(*_):
            print("http.client" in sys.modules, flush=True)
            os._exit(0)

        early_engine.start_early = start_early
        start(recipe.run, {"PREFECT__FLOW_RUN_ID": "%s", "PREFECT_API_URL": "http://127.0.0.1:9/api"}, [])
    """
    done = python(program % "0c7a4b5e-1111-4222-8333-444455556666")
    assert done.stdout.strip() == "False", done.stderr


def packages(module: str) -> set[str]:
    """Our packages that a module imports."""
    return {name.split(".")[1] for name in imported(module) if "." in name}


def imported(module: str) -> set[str]:
    """Our modules that a module imports."""
    program = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('prefect_uv')))"
    return set(python(program).stdout.split())


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own, which finds our modules."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
