"""The interpreter of a project, and uv's own builds on the volume, from a mirror on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.garbage.garbage_collection import collect_garbage
from prefect_uv.environments.plan.python_versions import FAMILY, accepts, image_for, minor
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.errors import PythonMissingError
from prefect_uv.image_facts import Image, interpreter_facts
from prefect_uv.log.run_log import RunLog
from prefect_uv.settings import Settings
from tests.unit.environments.test_environment_store import no_uv
from tests.unit.etl import Etl, environments, sync
from tests.unit.pythons import PYTHON, archive, downloads, served

OLD = "3.2.1"
DOWNLOAD = "; or let uv download it, from a mirror if necessary (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR)"
DAY = 86400.0


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a list of uv's Python builds with one entry."""
    directory = tmp_path_factory.mktemp("mirror")
    with served(directory) as address:
        builds = downloads(archive(directory), address, interpreter_facts(str(PYTHON))[0])
        (directory / "downloads.json").write_text(json.dumps(builds))
        yield f"{address}/downloads.json"


@pytest.fixture
def old_image(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The entrypoint believes that its image has a Python too old for every project."""
    old = replace(image, python_version=OLD)
    monkeypatch.setattr(Image, "read", classmethod(lambda _: old))
    return old


@pytest.fixture
def from_mirror(mirror: str) -> Mapping[str, str]:
    """Variables that make uv use only its own builds, from the mirror."""
    return {"UV_PYTHON_PREFERENCE": "only-managed", "UV_PYTHON_DOWNLOADS_JSON_URL": mirror}


@pytest.fixture
def mirror_store(
    make_store: Callable[..., EnvironmentStore], old_image: Image, from_mirror: Mapping[str, str]
) -> Callable[..., EnvironmentStore]:
    """Makes stores whose interpreters come from the mirror."""
    assert old_image.python_version == OLD
    return lambda **variables: make_store(**{**from_mirror, **variables})


def test_interpreter_on_the_volume(
    etl: Etl, cache: Path, mirror_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is installed once, logged, and used by its full version; the next start does not call uv."""
    first = sync(mirror_store(), etl)
    version = interpreter_facts(str(PYTHON))[0]
    directory = (cache / "python").resolve() / f"cpython-{version}-linux-x86_64-gnu" / "bin"
    assert f"home = {directory}\n" in (first.path / "pyvenv.cfg").read_text()
    assert f"Python >=3.11 is not in the image: downloading it to {cache / 'python'}" in capsys.readouterr().err
    subprocess.run([first.path / "bin" / "python", "-m", "prefect.flow_engine"], check=True, timeout=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Uv, "run", no_uv)
        assert sync(mirror_store(), etl).hit


def test_interpreter_is_downloaded_once(etl: Etl, mirror_store: Callable[..., EnvironmentStore]) -> None:
    """Another environment uses it without a network."""
    sync(mirror_store(), etl)
    etl.write("prefect", "helper")
    etl.lock()
    nowhere = {"UV_PYTHON_DOWNLOADS_JSON_URL": "http://127.0.0.1:1/", "PREFECT_UV_OFFLINE": "true"}
    assert sync(mirror_store(**nowhere), etl).hit is False


def test_killed_installation_is_done_again(
    etl: Etl, cache: Path, mirror_store: Callable[..., EnvironmentStore]
) -> None:
    """An interpreter without our mark is not used, and installed again."""
    first = sync(mirror_store(), etl)
    (mark,) = cache.glob("python/cpython-*.*.*-*/.whole")
    mark.unlink()
    (module,) = mark.parent.glob("lib/python3.*/json/__init__.py")
    module.unlink()
    etl.write("prefect", "helper")
    etl.lock()
    second = sync(mirror_store(), etl)
    assert mark.exists()
    assert module.exists()
    assert second.key != first.key


@pytest.mark.parametrize(
    ("variables", "reason", "download"),
    [
        ({"UV_PYTHON_DOWNLOADS": "never"}, "UV_PYTHON_DOWNLOADS=never does not allow it", DOWNLOAD),
        ({"UV_PYTHON_DOWNLOADS": "manual"}, "UV_PYTHON_DOWNLOADS=manual does not allow it", DOWNLOAD),
        ({"PREFECT_UV_OFFLINE": "true"}, "PREFECT_UV_OFFLINE does not allow it", ""),
    ],
)
def test_no_download(  # noqa: PLR0913, PLR0917 (fixtures)
    etl: Etl,
    mirror_store: Callable[..., EnvironmentStore],
    cache: Path,
    variables: Mapping[str, str],
    reason: str,
    download: str,
) -> None:
    """The error says what was asked for, what the image has, and why nothing was downloaded.

    It offers nothing that would be refused: the project does not allow the image's Python 3.2.
    """
    (etl.directory / ".python-version").write_text("3.12.99\n")
    with pytest.raises(PythonMissingError) as caught:
        sync(mirror_store(**variables), etl)
    assert caught.value.render() == (
        "error[python-missing]: .python-version asks for Python 3.12.99, which is not available here.\n\n"
        f"The image unit has Python {OLD}. Nothing was downloaded: {reason}.\n\n"
        f"hint: Use the image py312 of the family and ask for 3.12{download}."
    )
    assert environments(cache) == []


def test_failed_download(etl: Etl, make_store: Callable[..., EnvironmentStore], from_mirror: Mapping[str, str]) -> None:
    """The error contains uv's own words."""
    (etl.directory / ".python-version").write_text("3.12.99\n")
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(**from_mirror), etl)
    assert "error: No download found for request: cpython-3.12.99-linux-x86_64-gnu" in caught.value.found


def test_request_that_contradicts_the_project(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], old_image: Image
) -> None:
    """PREFECT_UV_PYTHON takes precedence over .python-version, but not over requires-python."""
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(PREFECT_UV_PYTHON="3.2"), etl)
    assert caught.value.render() == (
        "error[python-missing]: PREFECT_UV_PYTHON asks for Python 3.2, but etl requires >=3.11.\n\n"
        f"{old_image.python} is Python {OLD}.\n\n"
        "hint: Change PREFECT_UV_PYTHON or requires-python; then run `uv lock`, commit and push."
    )
    assert environments(cache) == []


def test_unused_interpreters_are_removed(cache: Path, log: RunLog) -> None:
    """Unused interpreters are removed after a day, as are dangling links and interrupted downloads."""
    cache_directory = CacheDirectory(cache, {os.geteuid()}, cache / "uv-0.13")
    cache_directory.prepare()
    old, new, unfinished = (cache_directory.pythons / name for name in ("cpython-3.1.0", "cpython-3.2.0", ".temp/x"))
    for directory in (old, new, unfinished):
        directory.mkdir(parents=True)
    (cache_directory.pythons / "cpython-3.0").symlink_to("nowhere")
    for directory in (old, unfinished):
        os.utime(directory, (1, 1))
    collect_garbage(cache_directory, Settings(), log)
    assert sorted(path.name for path in cache_directory.pythons.iterdir()) == [".temp", "cpython-3.2.0"]
    assert not unfinished.exists()


def test_interpreter_of_an_environment_stays(
    etl: Etl, cache: Path, mirror_store: Callable[..., EnvironmentStore], log: RunLog
) -> None:
    """It stays, however old it is."""
    store = mirror_store()
    environment = sync(store, etl)
    (interpreter,) = cache.glob("python/cpython-*.*.*-*")
    os.utime(interpreter, (1, 1))
    collect_garbage(store.volume.cache, Settings(), log)
    assert (environment.path / "bin" / "python").exists()


@pytest.mark.parametrize(
    ("request_", "version", "answer"),
    [
        ("3.12", "3.12.4", True),
        ("3.12", "3.1.2", False),
        ("3.12.4", "3.12.4", True),
        (">=3.11,<3.14", "3.13.5", True),
        (">=3.11, <3.13", "3.13.0", False),
        ("==3.12.*", "3.12.9", True),
        ("!=3.12.*", "3.12.9", False),
        ("==3.12", "3.12.0", True),
        ("~=3.11", "3.13.5", True),
        ("~=3.12.1", "3.13.0", False),
        (">3.12", "3.12.0", False),
        ("<=3.13", "3.13.0", True),
        ("pypy3.11", "3.11.2", None),
        ("/usr/bin/python3", "3.11.2", None),
        ("3.13t", "3.13.5", None),
    ],
)
def test_accepted_versions(request_: str, version: str, *, answer: bool | None) -> None:
    """Requests mean what they mean to uv and PEP 440; implementations and paths are left to uv."""
    assert accepts(request_, version) is answer


PY312 = "Use the image py312 of the family"
PY313 = "Use the image py313 of the family"
OWN_IMAGE = "Build an image that has it (Dockerfile.py312 with PYTHON_VERSION)"


@pytest.mark.parametrize(
    ("request_", "here", "advice"),
    [
        ("3.12", "3.13.5", PY312),
        (">=3.11,<3.13", "3.13.5", PY312),
        (">3.13", "3.12.4", PY313),
        ("3", "3.11.2", PY313),
        ("==3.12.4", "3.13.5", f"{PY312} and ask for 3.12"),
        ("3.13.99", "3.13.5", ""),
        (">=3.13.7", "3.13.5", "Use the image py314 of the family"),
        (">=3.13.7,<3.14", "3.13.5", ""),
        ("3.13t", "3.13.5", ""),
        ("pypy3.11", "3.13.5", ""),
        ("/opt/python3.9", "3.13.5", ""),
        (">=3.14", "3.13.5", "Use the image py314 of the family"),
        ("<3.12", "3.13.5", "Use the image py311 of the family"),
        ("3.10", "3.13.5", "Use the image py310 of the family"),
        ("3.9", "3.13.5", OWN_IMAGE),
        (">=3.15", "3.13.5", OWN_IMAGE),
    ],
)
def test_image_to_use(request_: str, here: str, advice: str) -> None:
    """The error names an image that has the requested Python and is not this one."""
    assert image_for(request_, here) == advice


def test_request_that_contradicts_the_project_and_is_not_there(
    etl: Etl, make_store: Callable[..., EnvironmentStore], old_image: Image
) -> None:
    """Neither another image nor a download is offered for a version that the project does not allow."""
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(PREFECT_UV_PYTHON="3.9.99", PREFECT_UV_OFFLINE="true"), etl)
    assert caught.value.render() == (
        "error[python-missing]: PREFECT_UV_PYTHON asks for Python 3.9.99, but etl requires >=3.11.\n\n"
        f"The image unit has Python {old_image.python_version}. Nothing was downloaded: PREFECT_UV_OFFLINE does not"
        " allow it.\n\n"
        "hint: Change PREFECT_UV_PYTHON or requires-python; then run `uv lock`, commit and push."
    )


def test_images_of_the_family() -> None:
    """The entrypoint knows the images that the builder builds."""
    pythons = tomllib.loads((Path(__file__).parents[4] / "images" / "family.toml").read_text())["family"]["pythons"]
    assert {python: f"py{python.replace('.', '')}" for python in pythons} == FAMILY
    assert list(FAMILY) == pythons


def test_variant_that_no_image_has(etl: Etl, make_store: Callable[..., EnvironmentStore], this_image: Image) -> None:
    """The hint names no image, but the interpreter that is available."""
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(PREFECT_UV_PYTHON="pypy3.11", UV_PYTHON_DOWNLOADS="never"), etl)
    assert caught.value.render() == (
        "error[python-missing]: PREFECT_UV_PYTHON asks for Python pypy3.11, which is not available here.\n\n"
        f"The image unit has Python {this_image.python_version}. Nothing was downloaded: UV_PYTHON_DOWNLOADS=never"
        " does not allow it.\n\n"
        "hint: Let uv download it, from a mirror if necessary (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR); or"
        " ask for"
        f" {minor(this_image.python_version)}, which the image has."
    )
