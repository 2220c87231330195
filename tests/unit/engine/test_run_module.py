"""The engine's module runs as `python -m` would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.engine.launch import RUN_MODULE

TELL = """
import gc, json, multiprocessing.spawn, sys
data = multiprocessing.spawn.get_preparation_data("child")
if __name__ == "__main__":
    told = {
        "argv": sys.argv, "path": sys.path, "name": __name__, "spec": __spec__.name, "package": __package__,
        "main": sys.modules["__main__"].__dict__ is globals(), "gc": gc.isenabled(), "file": __file__,
        "spawned": data.get("init_main_from_name"), "warnings": sys.warnoptions,
    }
    print(json.dumps(told))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with a fake Prefect, whose engine reports how it was started."""
    package = tmp_path / "prefect"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text("import gc; assert not gc.isenabled()")
    (package / "flow_engine.py").write_text(TELL)
    (package / "fails.py").write_text("raise SystemExit(int(__import__('sys').argv[1]))")
    return tmp_path


def told(code: Path, *options: str) -> str:
    """What the engine reports."""
    command = [sys.executable, *options, "prefect.flow_engine", "flow.py:main"]
    return subprocess.run(command, cwd=code, check=True, capture_output=True, text=True, timeout=20, env={}).stdout


def test_as_python_does_it(code: Path) -> None:
    """Arguments, search path, name, spec and what spawned processes import are the same as with `python -m`."""
    assert told(code, str(RUN_MODULE)) == told(code, "-m")


def test_what_was_imported_is_not_looked_through(code: Path) -> None:
    """Objects from Prefect's import are frozen; objects of the flow are collected."""
    tell = "import gc, sys; a = []; a.append(a); del a; print(gc.get_freeze_count() > 1000, gc.collect() > 0)"
    (code / "prefect" / "flow_engine.py").write_text(tell)
    assert told(code, str(RUN_MODULE)) == "True True\n"


def test_with_a_safe_path(code: Path) -> None:
    """With a safe path, no directory is put in front of the search path."""
    variables = {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
    answers = {
        subprocess.run(
            [sys.executable, option, "prefect.flow_engine"],
            cwd=code.parent,
            check=True,
            capture_output=True,
            text=True,
            timeout=20,
            env=variables,
        ).stdout
        for option in (str(RUN_MODULE), "-m")
    }
    assert len(answers) == 1


def test_exit_code_is_the_modules(code: Path) -> None:
    """The module's own exit code is the exit code."""
    done = subprocess.run(
        [sys.executable, RUN_MODULE, "prefect.fails", "41"], cwd=code, check=False, timeout=20, env={}
    )
    assert done.returncode == 41


def test_prefect_without_main(code: Path) -> None:
    """An error while Prefect is imported is left to the module itself."""
    (code / "prefect" / "main.py").unlink()
    assert told(code, str(RUN_MODULE)) == told(code, "-m")


@pytest.mark.parametrize("error", ["ImportError", "TypeError"])
def test_prefect_that_cannot_be_imported(code: Path, error: str) -> None:
    """An incompatible dependency makes the import fail; the module still runs, with the collector on."""
    (code / "prefect" / "main.py").write_text(f"raise {error}('does not fit')")
    assert told(code, str(RUN_MODULE)) == told(code, "-m")
