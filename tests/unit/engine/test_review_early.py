"""Review: what an early engine must not change."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.environments.build.verification import site_packages
from prefect_uv.environments.import_path import import_variables
from tests.unit.engine.test_early_engine import Deployment, deployment, report, two_processors  # noqa: F401


def both(
    deployment: Deployment, engine: str, between: Any = lambda: None, undo: Any = lambda: None, launch: Any = None
) -> tuple[Any, Any]:
    """What the plain engine and the early one report; the early one reports None if it is not used."""
    (site_packages(deployment.environment) / "prefect" / "flow_engine.py").write_text(engine)
    make = launch or deployment.launch
    between()
    assert deployment.choose(make(), None).early is None
    plain = report(make().start({}, subprocess.PIPE))
    undo()
    from prefect_uv.engine.start_up.early_engine import start_early

    early = start_early(deployment.settings, deployment.cache)
    if early is None:
        return plain, plain
    import time

    time.sleep(0.5)
    between()
    chosen = deployment.choose(make(), early)
    return plain, report(chosen.start({}, subprocess.PIPE))


def test_umask(deployment: Deployment) -> None:
    engine = "import json, os, sys; print(json.dumps({'umask': os.umask(0)}), file=sys.stderr)"
    (site_packages(deployment.environment) / "prefect" / "flow_engine.py").write_text(engine)
    before = os.umask(0o077)
    try:
        deployment.run_before()
        plain = report(deployment.launch().start({}, subprocess.PIPE))
        with shared_umask():
            early = deployment.start_early()
        launch = deployment.choose(deployment.launch(), early)
        assert report(launch.start({}, subprocess.PIPE)) == plain
    finally:
        os.umask(before)


def test_original_dir(deployment: Deployment) -> None:
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text("import multiprocessing.process")
    engine = "import json, sys; from multiprocessing import process as p; print(json.dumps({'d': p.ORIGINAL_DIR}), file=sys.stderr)"
    plain, early = both(deployment, engine)
    assert early == plain


def test_sitecustomize(deployment: Deployment) -> None:
    (deployment.library / "sitecustomize.py").write_text("import os; os.environ['CUSTOM'] = 'yes'")
    engine = "import json, os, sys; print(json.dumps({'d': os.environ.get('CUSTOM')}), file=sys.stderr)"
    plain, early = both(deployment, engine)
    assert plain == {"d": "yes"}
    assert early == plain


def test_pythonpath_that_is_pulled(deployment: Deployment) -> None:
    source = deployment.code / "src"
    environ = {**deployment.settings.flow_environ, "PYTHONPATH": str(source)}
    deployment.settings = replace(deployment.settings, flow_environ=environ)

    def pull() -> None:
        source.mkdir()
        (source / "etl.py").write_text("VALUE = 1")

    def undo() -> None:
        (source / "etl.py").unlink()
        subprocess.run(["rm", "-rf", str(source)], check=True)

    engine = "import json, sys; import etl; print(json.dumps({'d': etl.VALUE}), file=sys.stderr)"
    plain, early = both(deployment, engine, pull, undo)
    assert early == plain


@pytest.mark.parametrize("variable", ["PREFECT_LOGGING_SETTINGS_PATH", "PREFECT_PROFILES_PATH"])
def test_settings_file_that_is_pulled(deployment: Deployment, variable: str) -> None:
    file = deployment.code / "pulled"
    environ = {**deployment.settings.flow_environ, variable: str(file)}
    deployment.settings = replace(deployment.settings, flow_environ=environ)
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text(
        f"import os; from pathlib import Path; PATH = Path(os.environ['{variable}']); TEXT = PATH.read_text() if PATH.exists() else 'default'"
    )
    engine = "import json, sys; import prefect.main; print(json.dumps({'d': prefect.main.TEXT}), file=sys.stderr)"
    plain, early = both(deployment, engine, lambda: file.write_text("mine"), file.unlink)
    assert plain == {"d": "mine"}
    assert early == plain


def test_profile_that_a_pull_step_writes(deployment: Deployment, tmp_path: Path) -> None:
    home = tmp_path / "prefecthome"
    home.mkdir()
    file = home / "profiles.toml"
    environ = {**deployment.settings.flow_environ, "PREFECT_HOME": str(home)}
    deployment.settings = replace(deployment.settings, flow_environ=environ)
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text(
        f"from pathlib import Path; PATH = Path('{file}'); TEXT = PATH.read_text() if PATH.exists() else 'default'"
    )
    engine = "import json, sys; import prefect.main; print(json.dumps({'d': prefect.main.TEXT}), file=sys.stderr)"
    plain, early = both(deployment, engine, lambda: file.write_text("mine"), file.unlink)
    assert early == plain


def test_module_that_hides_a_namespace(deployment: Deployment) -> None:
    part = site_packages(deployment.environment) / "opentelemetry" / "trace"
    part.mkdir(parents=True)
    (part / "__init__.py").write_text("WHOSE = 'environment'")
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text(
        "import opentelemetry.trace as t; WHOSE = t.WHOSE"
    )
    own = deployment.code / "opentelemetry" / "trace"
    own.mkdir(parents=True)
    (own / "__init__.py").write_text("WHOSE = 'project'")
    engine = "import json, sys; import prefect.main; print(json.dumps({'d': prefect.main.WHOSE}), file=sys.stderr)"
    plain, early = both(deployment, engine)
    assert early == plain


def test_optional_module_of_the_project(deployment: Deployment) -> None:
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text(
        "try:\n    import uvloop\n    GOT = 1\nexcept ImportError:\n    GOT = 0\n"
    )
    (deployment.code / "uvloop.py").write_text("")
    engine = "import json, sys; import prefect.main; print(json.dumps({'d': prefect.main.GOT}), file=sys.stderr)"
    plain, early = both(deployment, engine)
    assert early == plain


@pytest.mark.parametrize(
    "text",
    [
        "[tool]\nprefect = {home = '/x'}",
        "[tool]\nprefect.home = '/x'",
        '["tool".prefect]\nhome = "/x"',
        "tool = {prefect = {home = '/x'}}",
    ],
)
def test_settings_in_other_spelling(deployment: Deployment, text: str) -> None:
    (deployment.code / "pyproject.toml").write_text(text)
    deployment.run_before()
    from prefect_uv.engine.start_up.early_engine import start_early

    early = start_early(deployment.settings, deployment.cache)
    assert early is None


def test_directory_twice(deployment: Deployment) -> None:
    engine = "import json, sys; print(json.dumps({'d': sys.path}), file=sys.stderr)"

    def launch() -> Any:
        return deployment.launch(
            **import_variables(deployment.environment, [deployment.library, deployment.library], "")
        )

    plain, early = both(deployment, engine, launch=launch)
    assert early == plain


def test_command_of_a_note(deployment: Deployment, tmp_path: Path) -> None:
    """A note names nothing but the environment's Python: not any program, not any variable."""
    deployment.run_before()
    (note,) = deployment.cache.index.glob("deployment-*")
    good = json.loads(note.read_text())
    from prefect_uv.engine.start_up.early_engine import start_early

    mark = tmp_path / "mark"
    note.write_text(json.dumps({**good, "command": ["/bin/sh", "-c", f"echo $PREFECT_API_KEY > {mark}"]}))
    early = start_early(deployment.settings, deployment.cache)
    if early:
        early._process.wait(10)
    assert not mark.exists()


def test_logging_of_the_project(deployment: Deployment, tmp_path: Path) -> None:
    """A configuration of logging may name a class of the project; Prefect passes over one that it cannot import."""
    (tmp_path / "logging.yml").touch()
    environ = {**deployment.settings.flow_environ, "PREFECT_LOGGING_SETTINGS_PATH": str(tmp_path / "logging.yml")}
    deployment.settings = replace(deployment.settings, flow_environ=environ)
    deployment.run_before()
    from prefect_uv.engine.start_up.early_engine import start_early

    assert start_early(deployment.settings, deployment.cache) is None
