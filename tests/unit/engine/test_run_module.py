"""The engine's module runs exactly as with `python -m`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prefect_uv.engine.start_up.engine_start import RUN_MODULE

REPORT = """
import gc, json, multiprocessing.spawn, sys
data = multiprocessing.spawn.get_preparation_data("child")
if __name__ == "__main__":
    report = {
        "argv": sys.argv, "path": sys.path, "name": __name__, "spec": __spec__.name, "package": __package__,
        "main": sys.modules["__main__"].__dict__ is globals(), "gc": gc.isenabled(), "file": __file__,
        "spawned": data.get("init_main_from_name"), "warnings": sys.warnoptions,
    }
    print(json.dumps(report))
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with a fake Prefect, whose engine reports how it was started."""
    package = tmp_path / "prefect"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "main.py").write_text("import gc; assert not gc.isenabled()")
    (package / "flow_engine.py").write_text(REPORT)
    (package / "fails.py").write_text("raise SystemExit(int(__import__('sys').argv[1]))")
    return tmp_path


def report(code: Path, *options: str) -> str:
    """Start the fake engine with these options of Python, and return what it reports."""
    command = [sys.executable, *options, "prefect.flow_engine", "flow.py:main"]
    return subprocess.run(command, cwd=code, check=True, capture_output=True, text=True, timeout=20, env={}).stdout


def test_same_as_python_m(code: Path) -> None:
    """Arguments, search path, name, spec and what spawned processes import are the same as with `python -m`."""
    assert report(code, str(RUN_MODULE)) == report(code, "-m")


def test_imported_objects_are_frozen(code: Path) -> None:
    """Objects from Prefect's import are frozen; objects of the flow are collected."""
    source = "import gc, sys; a = []; a.append(a); del a; print(gc.get_freeze_count() > 1000, gc.collect() > 0)"
    (code / "prefect" / "flow_engine.py").write_text(source)
    assert report(code, str(RUN_MODULE)) == "True True\n"


def test_with_a_safe_path(code: Path) -> None:
    """With a safe path, no directory is put in front of the search path."""
    variables = {"PYTHONPATH": str(code), "PYTHONSAFEPATH": "1"}
    reports = {
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
    assert len(reports) == 1


def test_exit_code_of_the_module(code: Path) -> None:
    """The process exits with the module's exit code."""
    done = subprocess.run(
        [sys.executable, RUN_MODULE, "prefect.fails", "41"], cwd=code, check=False, timeout=20, env={}
    )
    assert done.returncode == 41


def test_prefect_without_main(code: Path) -> None:
    """An error while Prefect is imported is left to the module itself."""
    (code / "prefect" / "main.py").unlink()
    assert report(code, str(RUN_MODULE)) == report(code, "-m")


@pytest.mark.parametrize("error", ["ImportError", "TypeError"])
def test_prefect_that_cannot_be_imported(code: Path, error: str) -> None:
    """An incompatible dependency makes the import fail; the module still runs, with the collector on."""
    (code / "prefect" / "main.py").write_text(f"raise {error}('does not fit')")
    assert report(code, str(RUN_MODULE)) == report(code, "-m")
