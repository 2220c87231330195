"""Review: what a bundle must not change."""

from __future__ import annotations
import os, subprocess, sys
from pathlib import Path
import pytest
from prefect_uv.engine.launch import RUN_MODULE
from tests.unit.engine.test_bundled_imports import *  # noqa
from prefect_uv.environments.build.verification import site_packages


def test_module_replaced_by_flow(run, environment, bundle):
    """A flow that upgrades a package it has not imported yet gets the new one."""
    site = site_packages(environment)
    script = f"import importlib, pathlib; pathlib.Path({str(site / 'later.py')!r}).write_text('VALUE = \"upgraded\"'); importlib.invalidate_caches(); import later; print(later.VALUE)"
    assert run(script).stdout == "upgraded\n"
    (site / "later.py").write_text(MODULES["later.py"])
    import compileall

    compileall.compile_dir(str(site), quiet=1, force=True)
    os.utime(site, ns=(0, site.stat().st_mtime_ns))
    assert run(script, f"--imports={bundle}").stdout == "upgraded\n"


def test_module_edited_in_place(run, environment, bundle):
    site = site_packages(environment)
    (site / "later.py").write_text("VALUE = 'edited'")
    script = "import later; print(later.VALUE)"
    assert run(script).stdout == "edited\n"
    assert run(script, f"--imports={bundle}").stdout == "edited\n"


def test_same_size(run, environment, bundle, cache):
    site = site_packages(environment)
    (site / "later.py").write_text("VALUE = 'LATER'")
    os.utime(site / "later.py", (1, 1))
    import py_compile

    py_compile.compile(str(site / "later.py"))
    write_import_bundle(environment, cache)
    script = "import later; print(later.VALUE)"
    assert run(script, f"--imports={bundle}").stdout == run(script).stdout


def test_sibling_of_site_packages(run, environment, bundle):
    other = Path(f"{site_packages(environment)}2")
    other.mkdir()
    (other / "alone2.py").write_text("")
    script = f"import sys; sys.path.insert(0, {str(other)!r}); import later; print(later.__file__)"
    assert run(script, f"--imports={bundle}").stdout == run(script).stdout


def test_trailing_slash(run, environment, bundle):
    site = site_packages(environment)
    script = f"import sys; sys.path.insert(0, {str(site) + '/'!r}); import later; print(later.__file__)"
    assert run(script, f"--imports={bundle}").stdout == run(script).stdout


def test_pickled_spec(run, environment, bundle):
    script = "import pickle, copy, alone; copy.deepcopy(alone.__spec__); pickle.loads(pickle.dumps(alone.__loader__)); print('ok')"
    assert run(script).stdout == "ok\n"
    assert run(script, f"--imports={bundle}").stdout == "ok\n"


def test_loader_type(run, environment, bundle):
    script = "import alone, sys; t = type(alone.__loader__); print(t.__module__ in sys.modules)"
    assert run(script).stdout == "True\n"
    assert run(script, f"--imports={bundle}").stdout == "True\n"


def test_deleted_module(run, environment, bundle):
    site = site_packages(environment)
    (site / "pack" / "lazy.py").unlink()
    script = "import pack\ntry:\n    import pack.inner\n    import pack.lazy\n    print('there')\nexcept ImportError:\n    print('gone')"
    m = site / "prefect" / "main.py"
    m.write_text("")
    assert run(script).stdout == run(script, f"--imports={bundle}").stdout
