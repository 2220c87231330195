"""The standard library's own tests of imports, which an engine imports from an import bundle as it does Prefect."""

from __future__ import annotations

import compileall
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from images import apt
from prefect_uv.cache_volume.cache_directory import IMPORT_BUNDLE, CacheDirectory
from prefect_uv.engine.start_up.engine_start import RUN_MODULE
from prefect_uv.environments.build.import_bundle import write_import_bundle
from prefect_uv.environments.build.verification import site_packages

MODULES = (
    "test_import",
    "test_importlib",
    "test_modulefinder",
    "test_pkgutil",
    "test_pyclbr",
    "test_runpy",
    "test_zipimport",
)
LONG_FORM = (
    *("test_code_module", "test_doctest", "test_frozen", "test_inspect", "test_linecache", "test_module"),
    *("test_multiprocessing_main_handling", "test_pickle", "test_reprlib", "test_source_encoding", "test_traceback"),
    *("test_trace", "test_warnings"),
)
FEWEST_TESTS = 1500
SECONDS = 240
RUN_TESTS = """
import json, sys, unittest
class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.outcomes = {}
for name, outcome in (
    ("addSuccess", "passed"), ("addError", "failed"), ("addFailure", "failed"), ("addSkip", "skipped"),
    ("addExpectedFailure", "passed"), ("addUnexpectedSuccess", "failed"),
):
    def add(self, test, *_, outcome=outcome):
        self.outcomes[str(test)] = outcome
    setattr(Result, name, add)
modules, sys.argv = sys.argv[1:], ["tests"]
result = Result()
suite = unittest.defaultTestLoader.loadTestsFromNames([f"test.{name}" for name in modules])
loaders = {type(module.__loader__).__name__ for name, module in sys.modules.items() if name.startswith("test.")}
suite.run(result)
sys.__stdout__.write("\\n" + json.dumps([sorted(loaders), result.outcomes]))
"""


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose packages are the standard library's tests, and what passes for Prefect."""
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    if importlib.util.find_spec("test.test_importlib") is None:
        apt.install(f"libpython{minor}-testsuite", "the standard library's tests run with an import bundle")
        importlib.invalidate_caches()
    (found,) = importlib.import_module("test").__path__
    environment = tmp_path / "env"
    venv.create(environment, symlinks=True)
    site = site_packages(environment)
    shutil.copytree(found, site / "test")
    (site / "prefect").mkdir()
    for name in ("__init__", "main", "flow_engine"):
        (site / "prefect" / f"{name}.py").touch()
    compileall.compile_dir(site, quiet=2, workers=0)
    cache = CacheDirectory(tmp_path / "cache", {os.geteuid()}, tmp_path / "cache" / "uv")
    cache.prepare()
    write_import_bundle(environment, cache)
    return environment


def test_outcomes_are_the_same_with_a_bundle(environment: Path, tmp_path: Path) -> None:
    """Each test passes with a bundle if it does without, though its module and what it imports come from the bundle."""
    (tmp_path / "tests.py").write_text(RUN_TESTS)
    modules = [*MODULES, *(LONG_FORM if os.environ.get("PREFECT_UV_TEST_FULL") else ())]
    outcomes = []
    for options, loader in (([], "SourceFileLoader"), ([f"--imports={environment / IMPORT_BUNDLE}"], "BundleLoader")):
        done = subprocess.run(
            [environment / "bin" / "python", RUN_MODULE, *options, "tests.py", *modules],
            cwd=tmp_path,
            env={"PYTHONPATH": str(site_packages(environment)), "HOME": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        found, tests = json.loads(done.stdout.splitlines()[-1])
        assert found == [loader]
        outcomes.append(tests)
    assert len(outcomes[0]) > FEWEST_TESTS
    assert {name for name, outcome in outcomes[0].items() if outcomes[1].get(name) != outcome} == set()
