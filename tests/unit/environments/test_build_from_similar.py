"""Builds on a similar environment: they say what has changed, save time, and do not touch the other environment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.build.hard_links import clone_environment
from prefect_uv.environments.build.stable_path import stable_path
from prefect_uv.image_facts import Image
from tests.unit.etl import ENGINE, Etl, sync
from tests.unit.wheels import build_wheel


def snapshot(environment: Path) -> dict[str, str]:
    """The digest of every file of an environment, except its lease and locks."""
    files = [path for path in environment.rglob("*") if path.is_file() and path.name not in {".inuse", ".lock"}]
    return {str(path.relative_to(environment)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def modules(environment: Path) -> dict[str, str]:
    """The digests of the installed files, without bytecode and the manifest."""
    return {
        name: digest
        for name, digest in snapshot(environment).items()
        if not name.endswith(".pyc") and name != "prefect-uv.json"
    }


def directories(environment: Path) -> set[str]:
    """The directories of an environment, except those of bytecode."""
    return {str(path.relative_to(environment)) for path in environment.glob("lib/**/") if path.name != "__pycache__"}


def compile_all(environment: Path) -> None:
    """Write bytecode, as first imports do."""
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "compileall", "-q", environment / "lib"], check=True, timeout=30)


def inodes(environment: Path, pattern: str) -> set[int]:
    """The inodes of the files that match a pattern."""
    return {path.stat().st_ino for path in environment.glob(f"lib/*/site-packages/{pattern}")}


@pytest.fixture
def with_helper(etl: Etl) -> Etl:
    """A project with three packages, so that one package is less than half of them."""
    build_wheel(etl.wheels, "tools", "1.0", {"tools/__init__.py": "y = 1\n", "tools/old.py": "", "tools/a/b/c": ""})
    etl.write("prefect", "helper", "tools")
    etl.lock()
    return etl


def upgrade(etl: Etl) -> None:
    """Lock another version of one package, which adds a file and removes one."""
    build_wheel(etl.wheels, "tools", "2.0", {"tools/__init__.py": "y = 2\n", "tools/new.py": ""})
    etl.write("prefect", "helper", "tools==2.0")
    etl.lock()


def test_unchanged_packages_keep_their_bytecode(with_helper: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """They are the same files, without the changed package's bytecode; the old environment is untouched."""
    first = sync(make_store(), with_helper).path
    compile_all(first)
    before = snapshot(first)
    upgrade(with_helper)
    second = sync(make_store(), with_helper).path
    assert snapshot(first) == before
    assert inodes(first, "prefect/__pycache__/*.pyc") == inodes(second, "prefect/__pycache__/*.pyc") != set()
    assert inodes(second, "tools/__pycache__/*.pyc") == set()
    assert not inodes(first, "tools/__init__.py") & inodes(second, "tools/__init__.py")


def test_same_files_as_built_from_scratch(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """An environment does not depend on what it was built on."""
    compile_all(sync(make_store(), with_helper).path)
    upgrade(with_helper)
    similar = sync(make_store(), with_helper)
    fresh = sync(make_store(PREFECT_UV_CACHE_DIR=str(tmp_path / "other")), with_helper)
    assert similar.key == fresh.key
    assert modules(similar.path) == modules(fresh.path)
    assert directories(similar.path) == directories(fresh.path)


def test_path_of_the_similar_environment_does_not_matter(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], tmp_path: Path
) -> None:
    """A cache directory may be given with `..` and through links."""
    first = sync(make_store(), with_helper).path
    (tmp_path / "link").symlink_to(first.parent)
    for number, path in enumerate(
        (first, first.parent / ".." / first.parent.name / first.name, tmp_path / "link" / first.name)
    ):
        clone_environment(path, tmp_path / str(number), without=["tools"])
        assert inodes(tmp_path / str(number), "tools*") == set()
        assert inodes(tmp_path / str(number), "helper.py") == inodes(first, "helper.py") != set()


def test_uv_asks_an_interpreter_once(
    with_helper: Etl,
    make_store: Callable[..., EnvironmentStore],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uv caches what it knows of an interpreter by its path, so that every build uses the same one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sync(make_store(), with_helper)
    queried = set(cache.glob("uv-*/interpreter-*/*/*"))
    upgrade(with_helper)
    sync(make_store(), with_helper)
    with_helper.write("prefect")
    with_helper.lock()
    sync(make_store(), with_helper)
    assert set(cache.glob("uv-*/interpreter-*/*/*")) == queried != set()
    assert list(tmp_path.glob("prefect-uv-build-*")) == []


def test_simultaneous_builds_have_different_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no link can be made, the directory's own path is used."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with stable_path(tmp_path / "a") as first, stable_path(tmp_path / "b") as second:
        assert (first.readlink(), second.readlink()) == (tmp_path / "a", tmp_path / "b")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with stable_path(tmp_path / "c") as path:
        assert path == tmp_path / "c"


@pytest.mark.parametrize("damage", ["tools-1.0.dist-info/RECORD", "."])
def test_similar_environment_that_is_damaged(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """It is not used, and does not stop the build."""
    first = sync(make_store(), with_helper).path
    (broken,) = first.glob(f"lib/*/site-packages/{damage}")
    broken.rename(first / "away")
    upgrade(with_helper)
    assert not sync(make_store(), with_helper).hit
    assert f"could not build on {first.name[:12]}: building from scratch" in capsys.readouterr().err


def test_running_environment_is_not_disturbed(with_helper: Etl, make_store: Callable[..., EnvironmentStore]) -> None:
    """A process in the old environment still imports the old files."""
    first = sync(make_store(), with_helper).path
    command = [str(first / "bin" / "python"), "-c", "input(); import tools.old; print(tools.y)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        upgrade(with_helper)
        sync(make_store(), with_helper)
        assert process.communicate("\n", timeout=20)[0] == "1\n"


@pytest.mark.parametrize(
    ("dependencies", "change"),
    [
        (("prefect", "helper", "tools==2.0"), "tools 1.0 -> 2.0"),
        (("prefect", "helper"), "- tools 1.0"),
        (("prefect", "helper", "tools==1.0", "extra"), "+ extra 1.0"),
    ],
)
def test_miss_says_what_has_changed(
    with_helper: Etl,
    make_store: Callable[..., EnvironmentStore],
    capsys: pytest.CaptureFixture[str],
    dependencies: tuple[str, ...],
    change: str,
) -> None:
    """One line names the changes from the nearest environment."""
    build_wheel(with_helper.wheels, "extra", "1.0", {"extra.py": ""})
    first = sync(make_store(), with_helper)
    upgrade(with_helper)
    with_helper.write(*dependencies)
    with_helper.lock()
    capsys.readouterr()
    second = sync(make_store(), with_helper)
    line = f"prefect-uv: environment {second.key[:12]} is new; changes from {first.key[:12]}: {change}\n"
    assert capsys.readouterr().err == line


def test_miss_is_compared_with_the_newest_of_equals(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Among equally similar environments, the newest is the one that people remember."""
    for version in ("1.0", "2.0", "3.0", "4.0"):
        build_wheel(with_helper.wheels, "tools", version, {"tools.py": f"y = {version}\n"})
        with_helper.write("prefect", "helper", f"tools=={version}")
        with_helper.lock()
        sync(make_store(), with_helper)
    lines = [line for line in capsys.readouterr().err.splitlines() if " is new; changes from " in line]
    explanations = [line.rpartition(": ")[2] for line in lines]
    assert explanations == ["tools 1.0 -> 2.0", "tools 2.0 -> 3.0", "tools 3.0 -> 4.0"]


def test_miss_is_compared_with_the_same_project_only(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """How another project on the volume differs explains nothing."""
    sync(make_store(), with_helper)
    with_helper.write("prefect")
    path = with_helper.directory / "pyproject.toml"
    path.write_text(path.read_text().replace('"etl"', '"other"'))
    with_helper.lock()
    capsys.readouterr()
    other = sync(make_store(), with_helper)
    line = f"prefect-uv: environment {other.key[:12]} is the first one here for other\n"
    assert capsys.readouterr().err == line


def test_miss_names_a_changed_variable(
    with_helper: Etl, make_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Variables and settings of uv that change what is installed are named."""
    sync(make_store(), with_helper)
    sync(make_store(UV_NO_BUILD="1"), with_helper)
    assert ": + UV_NO_BUILD=1\n" in capsys.readouterr().err


def test_miss_names_a_changed_python(
    with_helper: Etl,
    make_store: Callable[..., EnvironmentStore],
    this_image: Image,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each Python has its own environment of a project, and the log names the change."""
    first = sync(make_store(), with_helper)
    other = replace(this_image, python_version="3.99.1")
    monkeypatch.setattr(Image, "read", classmethod(lambda _: other))
    second = sync(make_store(), with_helper)
    assert f"{first.key[:12]}: Python {this_image.python_version} -> 3.99.1\n" in capsys.readouterr().err
    assert first.path.exists()
    assert second.path.exists()


def test_damaged_package_in_uvs_cache_is_fetched_again(
    etl: Etl, make_store: Callable[..., EnvironmentStore], cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """uv installs a truncated file from its cache as it is; we notice, clean the cache, and build again."""
    first = sync(make_store(), etl)
    os.close(first.lease)
    for path in cache.glob("uv-*/archive-v0/*/prefect/flow_engine.py"):
        path.write_text("")
    assert ENGINE["prefect/flow_engine.py"]
    build_wheel(etl.wheels, "tools", "1.0", {"tools.py": ""})
    etl.write("prefect", "tools")
    etl.lock()
    second = sync(make_store(), etl)
    assert "warning: damaged in uv's cache, fetching again: prefect" in capsys.readouterr().err
    engine = next(second.path.glob("lib/*/site-packages/prefect/flow_engine.py"))
    assert engine.read_text() == ENGINE["prefect/flow_engine.py"]
