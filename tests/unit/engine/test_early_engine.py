"""An early engine is what the launch would have started, or it is not used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.cache_volume.cache_directory import IN_USE, RUN_CACHE, CacheDirectory
from prefect_uv.cache_volume.lease import take_lease
from prefect_uv.cache_volume.shared_umask import shared_umask
from prefect_uv.engine.engine_version import EngineVersion
from prefect_uv.engine.launch import Launch
from prefect_uv.engine.start_up import early_engine
from prefect_uv.engine.start_up.early_engine import EarlyEngine, keep_if_fit, start_early
from prefect_uv.engine.start_up.engine_start import engine_script, launcher_command
from prefect_uv.environments.build.verification import site_packages
from prefect_uv.environments.import_path import add_hook, import_variables
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import DEPLOYMENT_VARIABLE, Settings
from tests.unit.conftest import MakeSettings

DEPLOYMENT_ID = "0c7a4b5e-1111-4222-8333-444455556666"
REPORT = """
import gc, json, os, sys
import prefect.main
print(json.dumps({
    "argv": sys.argv, "original": sys.orig_argv[1:], "path": sys.path, "name": __name__, "spec": __spec__.name,
    "main": sys.modules["__main__"].__dict__ is globals(), "directory": os.getcwd(), "environ": dict(os.environ),
    "stdin": os.fstat(0).st_ino, "descriptors": len(os.listdir("/proc/self/fd")),
    "session": os.getsid(0) == os.getpgid(0), "own": __import__("own").VALUE, "collecting": gc.isenabled(),
    "modules": sorted(sys.modules),
}), file=sys.stderr)
"""


@dataclass
class Deployment:
    """A deployment with an environment and code, as the starts of its runs see it."""

    settings: Settings
    cache: CacheDirectory
    log: RunLog
    environment: Path
    code: Path
    library: Path
    lease: int

    def launch(self, *arguments: str, **variables: str) -> Launch:
        """The launch of a run, with these arguments and further variables."""
        arguments = arguments or ("prefect.flow_engine", "flow.py:main")
        python = str(self.environment / "bin" / "python")
        environ = {
            **self.settings.flow_environ,
            **import_variables(self.environment, [self.library], ""),
            "PATH": f"/scripts:{self.environment}/bin:{self.settings.flow_environ['PATH']}",
            "UV_PYTHON": "3",
            "VIRTUAL_ENV": str(self.environment),
            "PREFECT__FLOW_ENTRYPOINT": "flow.py:main",
            **variables,
        }
        launcher = launcher_command(str(self.environment), str(self.environment / RUN_CACHE))
        script = engine_script(str(self.environment), import_bundle=False)
        leases = (self.lease,)
        return Launch(
            (*launcher, *script, *arguments),
            environ,
            self.code,
            leases,
            python,
            EngineVersion.of("3.9.1"),
            arguments=arguments,
        )

    def engine(self, value: str, imports: str = "prefect.main") -> None:
        """Let the fake engine report a value."""
        code = f"import json, os, sys, {imports}\nprint(json.dumps([{value}]), file=sys.stderr)"
        (site_packages(self.environment) / "prefect" / "flow_engine.py").write_text(code)

    def run_before(self) -> None:
        """Launch a run of the deployment, and note how."""
        assert self.choose(self.launch(), None).early is None

    def start_early(self) -> EarlyEngine:
        """The early engine of the next run."""
        early = start_early(self.settings, self.cache)
        assert early is not None
        return early

    def choose(self, launch: Launch, early: EarlyEngine | None) -> Launch:
        """The launch with the early engine if that fits."""
        return keep_if_fit(replace(launch, early=early), self.settings, self.cache, self.log)


@pytest.fixture
def deployment(make_settings: MakeSettings, log: RunLog, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment whose environment has a fake Prefect; its engine reports how it was started."""
    cache = CacheDirectory(tmp_path / "cache", {os.geteuid()}, tmp_path / "cache" / "uv")
    cache.prepare()
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    variables = {DEPLOYMENT_VARIABLE: DEPLOYMENT_ID, "PATH": path, "PREFECT_UV_CACHE_DIR": str(cache.root)}
    settings = make_settings(variables, PREFECT_API_KEY="pnu_0123456789")
    environment = cache.environments / ("a" * 64)
    venv.create(environment, symlinks=True)
    add_hook(environment)
    (environment / IN_USE).touch()
    package = site_packages(environment) / "prefect"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text("import gc; assert not gc.isenabled()")
    (package / "flow_engine.py").write_text(REPORT)
    lease = take_lease(environment)
    assert lease is not None
    deployment = Deployment(settings, cache, log, environment, tmp_path / "code", tmp_path / "library", lease)
    deployment.code.mkdir()
    deployment.library.mkdir()
    (deployment.library / "own.py").write_text("VALUE = 'own'")
    yield deployment
    os.close(lease)


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two processors for this container, whatever this machine has; returns where its quota may be written."""
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    monkeypatch.setattr(early_engine, "CPU_QUOTA", quota)
    return quota


def report(process: subprocess.Popen[bytes]) -> Any:
    """What the fake engine reports."""
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 0, stderr
    return json.loads(stderr)


def test_early_engine_is_what_would_have_been_started(deployment: Deployment) -> None:
    """Arguments, import path, variables, directory, descriptors and modules are those of an engine for the run."""
    control = {"PREFECT__CONTROL_PORT": "4711"}
    deployment.run_before()
    plain = report(deployment.launch().start(control, subprocess.PIPE))
    early = deployment.start_early()
    launch = deployment.choose(deployment.launch(), early)
    assert launch.early is early
    process = launch.start(control, subprocess.PIPE)
    early.discard()
    assert report(process) == plain


@pytest.mark.parametrize("dies", [False, True])
def test_engine_without_a_run_ends(deployment: Deployment, dies: bool) -> None:  # noqa: FBT001
    """An early engine ends when it is discarded, and also if the start dies."""
    deployment.run_before()
    early = deployment.start_early()
    if dies:
        os.close(early._sending)  # noqa: SLF001
        early._sending = -1  # noqa: SLF001
        assert early._process.wait(30) == 0  # noqa: SLF001
        early._process.communicate()  # noqa: SLF001
    else:
        early.discard()
        assert early._process.returncode == -9  # noqa: SLF001


def test_early_engine_that_died_is_replaced(deployment: Deployment) -> None:
    """The engine is started as ever."""
    deployment.run_before()
    early = deployment.start_early()
    early._process.kill()  # noqa: SLF001
    early._process.wait()  # noqa: SLF001
    launch = deployment.choose(deployment.launch(), early)
    assert report(launch.start({}, subprocess.PIPE))["own"] == "own"


def test_umask_of_the_volume_is_not_the_engines(deployment: Deployment) -> None:
    """An engine that starts while files of the volume are written has the container's umask."""
    deployment.engine("os.umask(0)")
    deployment.run_before()
    plain = report(deployment.launch().start({}, subprocess.PIPE))
    with shared_umask():
        early = deployment.start_early()
    assert report(deployment.choose(deployment.launch(), early).start({}, subprocess.PIPE)) == plain


@pytest.mark.parametrize(
    ("imported", "value"),
    [
        ("import multiprocessing.process", "multiprocessing.process.ORIGINAL_DIR"),
        ("import opentelemetry.trace", "opentelemetry.trace.WHOSE"),
        ("TEXT = open(os.environ['PREFECT_HOME'] + '/profiles.toml').read()", "prefect.main.TEXT"),
    ],
    ids=["directory at import", "part of a namespace", "profile that a pull step writes"],
)
def test_engine_with_what_the_run_brings(deployment: Deployment, imported: str, value: str) -> None:
    """The run's directory, packages and profiles are what its engine sees, started early or not."""
    part = Path("opentelemetry", "trace")
    for place, whose in ((site_packages(deployment.environment), "environment"), (deployment.code, "project")):
        (place / part).mkdir(parents=True)
        (place / part / "__init__.py").write_text(f"WHOSE = {whose!r}")
    home = deployment.code.parent / "home"
    home.mkdir()
    environ = {**deployment.settings.flow_environ, "PREFECT_HOME": str(home)}
    deployment.settings = replace(deployment.settings, flow_environ=environ)
    (site_packages(deployment.environment) / "prefect" / "main.py").write_text(f"import os\n{imported}")
    deployment.engine(value, imports="multiprocessing.process, opentelemetry.trace, prefect.main")
    (home / "profiles.toml").write_text("before")
    deployment.run_before()
    early = start_early(deployment.settings, deployment.cache)
    (home / "profiles.toml").write_text("of the run")
    plain = report(deployment.launch().start({}, subprocess.PIPE))
    launch = deployment.choose(deployment.launch(), early)
    assert report(launch.start({}, subprocess.PIPE)) == plain


@pytest.mark.parametrize("variable", ["PYTHONPATH", "PREFECT_PROFILES_PATH"])
def test_path_into_what_is_pulled(deployment: Deployment, variable: str) -> None:
    """An engine that would look for files of the run before they are there is not started early."""
    environ = {**deployment.settings.flow_environ, variable: str(deployment.code / "pulled")}
    deployment.settings = replace(deployment.settings, flow_environ=environ)
    deployment.run_before()
    assert start_early(deployment.settings, deployment.cache) is None


@pytest.mark.parametrize("name", ["sitecustomize.py", "plugin.dist-info/entry_points.txt"])
def test_library_that_changes_the_start(deployment: Deployment, name: str) -> None:
    """A sitecustomize or a plugin in the import path of the run: its engine is started for it."""
    deployment.run_before()
    (deployment.library / name).parent.mkdir(exist_ok=True)
    (deployment.library / name).write_text("[prefect.collections]\n")
    assert deployment.choose(deployment.launch(), deployment.start_early()).early is None


@pytest.mark.parametrize(
    "text",
    ["[tool]\nprefect = {home = '/x'}", "[tool]\nprefect.home = '/x'", '["tool".prefect]', "tool = {prefect = {}}"],
)
def test_settings_in_every_spelling(deployment: Deployment, text: str) -> None:
    """Settings of Prefect in pyproject.toml are seen however they are written."""
    (deployment.code / "pyproject.toml").write_text(text)
    deployment.run_before()
    assert start_early(deployment.settings, deployment.cache) is None


def test_both_pipes_full(deployment: Deployment) -> None:
    """An engine that warns a lot while it imports never keeps us from launching a run with long variables."""
    main = site_packages(deployment.environment) / "prefect" / "main.py"
    main.write_text("import sys; sys.stderr.write('x' * 100_000 + '\\n')")
    deployment.run_before()
    launch = deployment.launch(PATH=f"{'/p' * 40_000}:{deployment.launch().environ['PATH']}")
    launch = deployment.choose(launch, deployment.start_early())
    process = launch.start({}, subprocess.PIPE)
    process.kill()
    process.communicate(timeout=30)


def test_discarded_engine_makes_room(deployment: Deployment) -> None:
    """When an environment has to be built, the engine in the old one is gone, and the run gets one of its own."""
    deployment.run_before()
    early = deployment.start_early()
    early.discard()
    launch = deployment.choose(deployment.launch(), early)
    assert report(launch.start({}, subprocess.PIPE))["own"] == "own"


CHANGES = [".env", "prefect.toml", "asyncio.py", "prefect/__init__.py", "plugin.egg-info/entry_points.txt", "uv.toml"]


@pytest.mark.parametrize("name", [*CHANGES, "pyproject.toml"])
def test_directory_that_changes_the_import(deployment: Deployment, name: str) -> None:
    """Settings of Prefect, modules that hide others, plugins and a required uv: the engine is started for the run."""
    deployment.run_before()
    early = deployment.start_early()
    path = deployment.code / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('required-version = ">=0.1"\n[prefect.collections]\na = "b"\n[tool.prefect]\n')
    assert deployment.choose(deployment.launch(), early).early is None
    assert early._process.returncode == -9  # noqa: SLF001
    assert start_early(deployment.settings, deployment.cache) is None


@pytest.mark.parametrize("name", ["README.md", "flow.py", "prefect.yaml", "data/file.csv", "types/table.csv"])
def test_directory_that_changes_nothing(deployment: Deployment, name: str) -> None:
    """What projects usually contain does not matter."""
    deployment.run_before()
    (deployment.code / name).parent.mkdir(exist_ok=True)
    (deployment.code / name).touch()
    (deployment.code / "pyproject.toml").write_text('[project]\nname = "etl"\n[project.scripts]\netl = "flow:main"\n')
    early = deployment.start_early()
    assert deployment.choose(deployment.launch(), early).early is early
    early.discard()


@pytest.mark.parametrize("variables", [{"OMP_NUM_THREADS": "1"}, {"PREFECT_API_KEY": "other"}, {}])
def test_other_launch(deployment: Deployment, variables: dict[str, str]) -> None:
    """With another variable or another command, the engine is started for the run."""
    deployment.run_before()
    early, launch = deployment.start_early(), deployment.launch(**variables)
    if not variables:
        launch = replace(launch, command=("python", *launch.command[-3:]))
    assert deployment.choose(launch, early).early is None


@pytest.mark.parametrize(
    "changed",
    [
        {"early_engine": False},
        {"supervise": False},
        {"engine_wrapper": ("tracer",)},
        {"PYTHONPATH": "lib"},
        {"PYTHONPATH": "/lib:"},
        {"UV_ENV_FILE": ".env"},
        {"COVERAGE_PROCESS_START": "/etc/coveragerc"},
        {DEPLOYMENT_VARIABLE: DEPLOYMENT_ID.replace("0", "1")},
        {DEPLOYMENT_VARIABLE: "../../etc"},
    ],
)
def test_no_early_engine(deployment: Deployment, changed: dict[str, Any]) -> None:
    """By a setting, with a wrapper, with a relative path, or for an unknown deployment, none is started."""
    deployment.run_before()
    fields = {name: value for name, value in changed.items() if name.islower()}
    environ = {**deployment.settings.flow_environ, **{name: changed[name] for name in changed.keys() - fields.keys()}}
    settings = replace(deployment.settings, flow_environ=environ, **fields)
    assert start_early(settings, deployment.cache) is None


def test_one_processor(deployment: Deployment, monkeypatch: pytest.MonkeyPatch, two_processors: Path) -> None:
    """With one processor, or the right to use less than two, no engine is started early."""
    deployment.run_before()
    two_processors.write_text("150000 100000")
    assert start_early(deployment.settings, deployment.cache) is None
    for quota in ("200000 100000", "max 100000"):
        two_processors.write_text(quota)
        deployment.start_early().discard()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert start_early(deployment.settings, deployment.cache) is None


def test_nothing_is_noted_where_it_is_of_no_use(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container with one processor does not look at its environment for the sake of the next run."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    deployment.run_before()
    assert [*deployment.cache.index.glob("deployment-*")] == []


def test_note_that_cannot_be_trusted(deployment: Deployment, tmp_path: Path) -> None:
    """A note of another user, of an environment elsewhere or gone, or a note that says nothing starts no engine."""
    deployment.run_before()
    note = deployment.cache.index / f"deployment-{DEPLOYMENT_ID}"
    good = json.loads(note.read_text())
    assert "pnu_" not in note.read_text()
    assert start_early(deployment.settings, replace(deployment.cache, trusted=())) is None
    elsewhere, gone = {**good, "environment": str(tmp_path)}, {**good, "environment": f"{good['environment']}b"}
    shell = {**good, "command": ["/bin/sh", "-c", "true"]}
    preload = {**good, "variables": {"LD_PRELOAD": "/tmp/evil.so"}}
    for bad in (elsewhere, gone, shell, preload, {"environment": 7}, None):
        note.write_text(json.dumps(bad))
        assert start_early(deployment.settings, deployment.cache) is None
