"""Packages that install the same file, such as opencv-python and opencv-python-headless: the last one wins."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.verification import damaged_files, site_packages
from tests.unit.environments.test_extra_packages_source import extend
from tests.unit.etl import Etl, sync
from tests.unit.wheels import build_wheel

SHARED = "cv/__init__.py"
CONTENTS = {"gui": "OWNER = 'gui'\n", "headless": "OWNER = 'headless'\n"}


@pytest.fixture
def cv(etl: Etl) -> Etl:
    """A project with two packages that own the same module, and some more."""
    for name, text in CONTENTS.items():
        build_wheel(etl.wheels, name, "1.0", {SHARED: text, f"cv/of_{name}.py": ""})
        build_wheel(etl.wheels, name, "2.0", {SHARED: f"{text}NEW = True\n", f"cv/of_{name}.py": ""})
    for name in ("more", "tools"):
        build_wheel(etl.wheels, name, "1.0", {f"{name}.py": ""})
    select(etl, "gui==1.0", "headless==1.0")
    return etl


def select(etl: Etl, *packages: str) -> None:
    """Lock the project with these packages."""
    etl.write("prefect", "helper", "more", "tools", *packages)
    etl.lock()


def compiled(environment: Path) -> list[Path]:
    """The bytecode of the shared module."""
    return list(environment.glob("lib/*/site-packages/cv/__pycache__/__init__.*.pyc"))


def owner(environment: Path) -> str:
    """The package whose module Python imports."""
    python = environment / "bin" / "python"
    return subprocess.check_output([python, "-c", "import cv; print(cv.OWNER)"], text=True, timeout=30).strip()


def test_environment_is_intact(cv: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A file that is what one of its owners says is intact."""
    environment = sync(make_store(), cv).path
    assert owner(environment) in CONTENTS
    assert damaged_files(environment, hashes=True) == {}


@pytest.mark.parametrize("damage", [lambda path: path.write_text("OWNER = ?\n"), Path.unlink], ids=["other", "missing"])
def test_damage_is_reported_for_each_owner(
    cv: Etl, make_store: Callable[..., EnvironmentStore], damage: Callable[[Path], None]
) -> None:
    """A file that is what none of its owners says is damaged."""
    environment = sync(make_store(), cv).path
    path = site_packages(environment) / SHARED
    path.chmod(0o644)
    damage(path)
    assert damaged_files(environment, hashes=True) == {"gui": [str(path)], "headless": [str(path)]}


@pytest.mark.parametrize("remaining", ["gui", "headless"])
def test_removing_one_owner_leaves_the_file_to_the_other(
    cv: Etl, make_store: Callable[..., EnvironmentStore], remaining: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next environment, built on this one, has the file of the owner that remains."""
    sync(make_store(), cv)
    select(cv, f"{remaining}==1.0")
    environment = sync(make_store(), cv).path
    assert owner(environment) == remaining
    assert damaged_files(environment, hashes=True) == {}
    assert "building from scratch" not in capsys.readouterr().err


@pytest.mark.parametrize("upgraded", ["gui", "headless"])
def test_upgrading_one_owner(
    cv: Etl, make_store: Callable[..., EnvironmentStore], upgraded: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next environment, built on this one, is intact."""
    sync(make_store(), cv)
    select(cv, *(f"{name}=={'2.0' if name == upgraded else '1.0'}" for name in CONTENTS))
    environment = sync(make_store(), cv).path
    assert owner(environment) in CONTENTS
    assert damaged_files(environment, hashes=True) == {}
    assert "building from scratch" not in capsys.readouterr().err


def test_extra_package_that_shares_a_file(cv: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """The environment that it extends keeps its own file, and the extended one does not use its bytecode."""
    select(cv, "gui==1.0")
    base = sync(make_store(), cv).path
    assert owner(base) == "gui"
    extended = extend(make_store(), cv, "headless==1.0").path
    assert not compiled(extended)
    assert owner(extended) == "headless"
    assert owner(base) == "gui"
    assert damaged_files(extended, hashes=True) == {}


def test_bytecode_of_a_shared_module_is_not_kept(
    cv: Etl, cache: Path, make_store: Callable[..., EnvironmentStore]
) -> None:
    """Bytecode of one owner is never restored next to the other's source, which may have the same size and time."""
    select(cv, "gui==1.0")
    store = make_store()
    alone = sync(store, cv)
    with store.maintenance(alone):
        assert owner(alone.path) == "gui"
    assert list(cache.glob("bytecode/v1/gui-*/cv/__pycache__/__init__.*.pyc"))
    select(cv, "gui==1.0", "headless==1.0")
    store = make_store()
    both = sync(store, cv)
    assert not compiled(both.path)
    with store.maintenance(both):
        owner(both.path)
    assert not list(cache.glob("bytecode/v1/headless-*/cv/__pycache__/__init__.*.pyc"))
