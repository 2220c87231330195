"""`prefect-uv cache`: what it prints and what it does."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.commands.cache import cache as cache_verb
from prefect_uv.environments import EnvironmentStore
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.options.option_parser import parse_options
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from tests.unit.etl import Etl, environments, only_wheels, sync, unlocked

Run = Callable[..., int]


@pytest.fixture
def run(cache: Path, log: RunLog, this_image: Image) -> Run:
    """Runs the command with arguments."""
    assert this_image
    settings = Settings.from_environ({"PREFECT_UV_CACHE_DIR": str(cache)})
    return lambda *words: cache_verb(Session(settings, log, parse_options(["cache", *words])))


def test_empty_volume(run: Run, capsys: pytest.CaptureFixture[str], cache: Path) -> None:
    """An unused volume is reported as empty."""
    assert run() == 0
    assert capsys.readouterr().out == f"{cache} has no environments yet\n"


def test_list(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, capsys: pytest.CaptureFixture[str], image: Image
) -> None:
    """A row has key, size, last use, whether it is in use, Python and projects."""
    environment = sync(make_store(), etl)
    assert run("list") == 0
    line = capsys.readouterr().out.splitlines()[1]
    version = re.escape(image.python_version)
    assert re.fullmatch(rf"{environment.key[:12]} +0\.\d\d GB +0 min ago  yes +{version} +etl", line), line


def test_prune_all_spares_environments_in_use(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Everything else is removed."""
    used = sync(make_store(), etl)
    (cache / "envs" / "v1" / ("0" * 64)).mkdir()
    assert run("prune", "--all") == 0
    assert environments(cache) == [used.path]
    assert re.fullmatch(r"freed \d\.\d\d GB\n", capsys.readouterr().out)


def test_verify(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of the right size with other bytes is found, and the environment is discarded."""
    environment = sync(make_store(), etl)
    assert run("verify") == 0
    module = next(environment.path.glob("lib/*/site-packages/prefect/flow_engine.py"))
    module.write_text(module.read_text().swapcase())
    assert run("verify") == 1
    short = environment.key[:12]
    assert capsys.readouterr().out == f"{short}  intact\n{short}  DAMAGED: prefect\n"
    assert environments(cache) == []


def test_verify_finds_packages_installed_later(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An environment that somebody has changed with uv no longer matches its key."""
    environment = sync(make_store(), etl)
    wheel = etl.wheels / "helper-1.0-py3-none-any.whl"
    install = ["uv", "pip", "install", "--quiet", "--no-index", "--python", str(environment.path), str(wheel)]
    subprocess.run(install, check=True, timeout=20)
    assert run("verify") == 1
    assert capsys.readouterr().out == f"{environment.key[:12]}  DAMAGED: helper\n"
    assert environments(cache) == []


def test_environments_made_from_requirements(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, capsys: pytest.CaptureFixture[str], image: Image
) -> None:
    """They are listed and verified like all others."""
    store = make_store(UV_CONFIG_FILE=only_wheels(etl))
    made = store.environment(unlocked("helper==1.0", "prefect"))
    assert run("list") == 0
    row = rf"{made.path.name[:12]} +0\.\d\d GB +0 min ago  yes +{re.escape(image.python_version)} +etl"
    assert re.fullmatch(row, capsys.readouterr().out.splitlines()[1])
    module = next(made.path.glob("lib/*/site-packages/helper.py"))
    module.write_text(module.read_text().swapcase())
    assert run("verify") == 1
    assert capsys.readouterr().out == f"{made.path.name[:12]}  DAMAGED: helper\n"
    assert not made.path.exists()


def test_environments_of_the_first_version(
    etl: Etl, make_store: Callable[..., EnvironmentStore], run: Run, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Environments that pull steps had there are listed, not verified, and removed like other garbage."""
    sync(make_store(), etl)
    old = cache / "envs" / "isolated-v1" / ("0" * 64)
    old.mkdir(parents=True)
    (old / "prefect-uv.json").write_text('{"key": "x", "wanted": ["cowsay"], "packages": {}}')
    (old / ".inuse").touch()
    assert (run("list"), run("verify")) == (0, 0)
    assert "000000000000" in capsys.readouterr().out
    assert run("prune", "--all") == 0
    assert not old.exists()
