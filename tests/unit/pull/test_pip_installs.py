"""`pip install` in a pull step adds packages to the run; anywhere else, and for all that it cannot do, it says so."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from images.family import ROOT
from prefect_uv.commands.pip import main
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import installed_versions
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import PullStepError
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import ExtraPackages, find_project
from prefect_uv.pull import Checkout, pull
from prefect_uv.pull.pip_installs import NOTES_VARIABLE, with_installs
from prefect_uv.settings import Settings
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.etl import Etl
from tests.unit.wheels import build_wheel

SHELL = "prefect.deployments.steps.run_shell_script"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a requirements file and the image's `pip` first on PATH."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pip"
    source = ROOT / "entrypoint" / "src"
    program.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {str(source)!r})\n"
        "from prefect_uv.commands.pip import main\nmain()\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    directory = tmp_path / "here"
    (directory / "etl").mkdir(parents=True)
    (directory / "etl" / "requirements.txt").write_text("helper==1.0\n")
    monkeypatch.chdir(directory)
    return directory


def perform(log: RunLog, script: str, **variables: str) -> Checkout:
    """The checkout after a step with this script, in the directory `etl`."""
    step = {SHELL: {"script": script, "directory": "etl", "shell": True}}
    return pull({"pull_steps": [step]}, Settings.from_environ({**os.environ, **variables}), log, None)


def outside(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A run of `pip` in the container, outside a pull step."""
    return subprocess.run(
        ["pip", *words], env={**os.environ, **variables}, check=False, capture_output=True, text=True, timeout=20
    )


@pytest.mark.parametrize(
    ("arguments", "files", "lines"),
    [
        ("-r requirements.txt", ["requirements.txt"], []),
        ("-q --no-cache-dir -U --requirement=requirements.txt cowsay==6.1", ["requirements.txt"], ["cowsay==6.1"]),
        ("cowsay -rrequirements.txt 'roman>=5' --retries 5", ["requirements.txt"], ["cowsay", "roman>=5"]),
        ("-U pip uv==0.9 cowsay[x]", [], ["cowsay[x]"]),
        ("--upgrade pip", [], []),
        ("-c limits.txt cowsay", [], ["cowsay", "-c %/limits.txt"]),
        (". -e ./lib 'vendor/a-1.0-py3-none-any.whl'", [], ["%", "%/vendor/a-1.0-py3-none-any.whl", "-e %/lib"]),
        (".[fast] x.whl", [], ["%/.[fast]", "%/x.whl"]),
        ("-e git+https://host.invalid/x.git#egg=x", [], ["git+https://host.invalid/x.git#egg=x"]),
        ("'x @ https://host.invalid/x.whl'", [], ["x @ https://host.invalid/x.whl"]),
        ("-r https://host.invalid/r.txt", [], ["-r https://host.invalid/r.txt"]),
    ],
)
def test_what_pip_is_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, files: list[str], lines: list[str]
) -> None:
    """Files, names, paths and addresses become extra packages of the run; pip and uv are in the image."""
    directory, notes = here / "etl", here / "notes"
    monkeypatch.chdir(directory)
    monkeypatch.setenv(NOTES_VARIABLE, str(notes))
    monkeypatch.setattr(sys, "argv", ["pip", "install", *shlex.split(arguments)])
    main()
    checkout = with_installs(Checkout(here, here, {}), notes, Mask())
    assert checkout.requirements == tuple(directory / file for file in files)
    assert checkout.packages == tuple(line.replace("%", str(directory)) for line in lines)


def test_several_installs_of_a_shell_line(log: RunLog, here: Path) -> None:
    """All of a step's installs count, in the order of the lines, also behind `&&` and in a subshell."""
    script = "pip install cowsay==6.1 && (pip install -r requirements.txt)\npip install roman"
    checkout = perform(log, script)
    assert checkout.packages == ("cowsay==6.1", "roman")
    assert checkout.requirements == (here / "etl" / "requirements.txt",)


def test_credentials_are_masked(log: RunLog, capsys: pytest.CaptureFixture[str]) -> None:
    """The log names the address without its credentials, and masks them from then on."""
    checkout = perform(log, "pip install git+https://bob:tr0ub4dor@host.invalid/x.git")
    log.info(checkout.packages[0])
    assert "tr0ub4dor" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("-r nowhere.txt", "etl/nowhere.txt does not exist"),
        ("-i https://index.invalid x", "--index-url https://index.invalid is not used: set PIP_INDEX_URL in the job"),
        ("--pre x", "unrecognized arguments: --pre. List the packages in PREFECT_UV_EXTRA_PACKAGES"),
        ("", "needs at least one package"),
    ],
)
def test_what_would_be_something_else_is_refused(log: RunLog, arguments: str, reason: str) -> None:
    """Nothing is ignored that decides what is installed: the step fails and names the setting."""
    with pytest.raises(PullStepError) as caught:
        perform(log, f"pip install {arguments}")
    assert reason in caught.value.found


@pytest.mark.parametrize("script", ["uv pip install --system x", "uv pip sync requirements.txt"])
def test_uv_pip_names_pip(log: RunLog, script: str) -> None:
    """uv has no environment to install into; the hint names what the author wants."""
    with pytest.raises(PullStepError) as caught:
        perform(log, f"cd / && {script} --offline --no-cache")
    assert caught.value.hint.startswith("Write `pip install` or the step pip_install_requirements")


def test_index_of_the_settings_may_be_named(log: RunLog) -> None:
    """An index that is the job variable's own needs no other setting."""
    script, index = "pip install -i $PIP_INDEX_URL x", "https://index.invalid/simple"
    assert perform(log, script, PIP_INDEX_URL=index).packages == ("x",)


def test_outside_of_a_pull_step() -> None:
    """In a flow or a Dockerfile, `pip install` fails, and names what to use."""
    finished = outside("install", "cowsay")
    assert finished.returncode == 1
    for name in ("PREFECT_UV_EXTRA_PACKAGES", "PREFECT_UV_EXTRA_REQUIREMENTS", "uv add", "prefect-uv bake", "--target"):
        assert name in finished.stderr


def test_into_a_directory(tmp_path: Path) -> None:
    """`--target` changes no environment, so uv does it, wherever it is asked for."""
    wheel = build_wheel(tmp_path, "helper", "1.0", {"helper.py": ""})
    cache = str(tmp_path / "uv")
    finished = outside("install", "--no-cache-dir", "-t", "lib", str(wheel), UV_CACHE_DIR=cache, UV_OFFLINE="1")
    assert finished.returncode == 0, finished.stderr
    assert Path("lib/helper.py").is_file()


@pytest.mark.parametrize(
    ("words", "code", "answer"),
    [
        (["--version"], 0, "pip of prefect-uv "),
        ([], 0, "Here, pip has the commands install, list"),
        (["list"], 0, "pytest "),
        (["freeze"], 0, "pytest=="),
        (["show", "pytest"], 0, "Name: pytest\n"),
        (["download", "x"], 2, "there is no `pip download`"),
    ],
)
def test_other_commands(words: list[str], code: int, answer: str) -> None:
    """What only reads is answered by uv, for the active environment; the rest does not exist."""
    finished = outside(*words, VIRTUAL_ENV=sys.prefix)
    assert finished.returncode == code, finished.stderr
    assert answer in finished.stdout + finished.stderr


def test_installed_once_with_constraints(
    etl: Etl, make_store: Callable[..., EnvironmentStore], log: RunLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pip is asked for is installed as extra packages, under its constraints, and found again without uv."""
    for version in ("1.0", "2.0"):
        build_wheel(etl.wheels, "trinket", version, {"trinket.py": ""})
    (etl.directory / "limits.txt").write_text("trinket<2\n")
    monkeypatch.chdir(etl.directory.parent)
    checkout = perform(log, "pip install -c limits.txt trinket")
    project = find_project(etl.directory, None, make_store().settings)

    def extended() -> dict[str, str]:
        store = make_store()
        extra = ExtraPackages(checkout.packages, checkout.requirements)
        return installed_versions(store.extend(store.environment(project), extra, project).path)

    assert extended()["trinket"] == "1.0"
    with monkeypatch.context() as patch:
        patch.setattr(Uv, "run", no_uv)
        assert extended()["trinket"] == "1.0"
    (etl.directory / "limits.txt").write_text("trinket>1\n")
    assert extended()["trinket"] == "2.0"


@pytest.mark.parametrize("arguments", [".", "-e .", "-e .[fast]"])
def test_project_itself(
    etl: Etl, make_store: Callable[..., EnvironmentStore], log: RunLog, monkeypatch: pytest.MonkeyPatch, arguments: str
) -> None:
    """The flow's own project is imported from its sources anyway, so installing it changes nothing."""
    monkeypatch.chdir(etl.directory.parent)
    checkout = perform(log, f"pip install {arguments}")
    store = make_store()
    project = find_project(etl.directory, None, store.settings)
    environment = store.environment(project)
    assert store.extend(environment, ExtraPackages(checkout.packages), project).path == environment.path
