"""Which interpreter a project gets; uv's own builds on the volume, from a mirror on this machine."""

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
DAY = 86400.0


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a list of uv's Python builds that has one."""
    directory = tmp_path_factory.mktemp("mirror")
    with served(directory) as address:
        listed = downloads(archive(directory), address, interpreter_facts(str(PYTHON))[0])
        (directory / "downloads.json").write_text(json.dumps(listed))
        yield f"{address}/downloads.json"


@pytest.fixture
def old_image(image: Image, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The entrypoint believes that its image has a Python that no project accepts."""
    old = replace(image, python_version=OLD)
    monkeypatch.setattr(Image, "read", classmethod(lambda _: old))
    return old


@pytest.fixture
def far(mirror: str) -> Mapping[str, str]:
    """Variables that let uv see its own builds only, and where they are."""
    return {"UV_PYTHON_PREFERENCE": "only-managed", "UV_PYTHON_DOWNLOADS_JSON_URL": mirror}


@pytest.fixture
def far_store(
    make_store: Callable[..., EnvironmentStore], old_image: Image, far: Mapping[str, str]
) -> Callable[..., EnvironmentStore]:
    """A maker of stores whose interpreters come from the mirror."""
    assert old_image.python_version == OLD
    return lambda **variables: make_store(**{**far, **variables})


def test_interpreter_on_the_volume(
    etl: Etl, cache: Path, far_store: Callable[..., EnvironmentStore], capsys: pytest.CaptureFixture[str]
) -> None:
    """Installed once, said so, and reached by its whole version; the next start asks nobody."""
    first = sync(far_store(), etl)
    version = interpreter_facts(str(PYTHON))[0]
    home = (cache / "python").resolve() / f"cpython-{version}-linux-x86_64-gnu" / "bin"
    assert f"home = {home}\n" in (first.path / "pyvenv.cfg").read_text()
    assert f"Python >=3.11 is not in the image: downloading it to {cache / 'python'}" in capsys.readouterr().err
    subprocess.run([first.path / "bin" / "python", "-m", "prefect.flow_engine"], check=True, timeout=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Uv, "run", no_uv)
        assert sync(far_store(), etl).hit


def test_interpreter_is_downloaded_once(etl: Etl, far_store: Callable[..., EnvironmentStore]) -> None:
    """Another environment finds it without a network."""
    sync(far_store(), etl)
    etl.write("prefect", "helper")
    etl.lock()
    nowhere = {"UV_PYTHON_DOWNLOADS_JSON_URL": "http://127.0.0.1:1/", "PREFECT_UV_OFFLINE": "true"}
    assert sync(far_store(**nowhere), etl).hit is False


def test_killed_installation_is_done_again(etl: Etl, cache: Path, far_store: Callable[..., EnvironmentStore]) -> None:
    """An interpreter without our mark does not count, whatever is in it."""
    first = sync(far_store(), etl)
    (mark,) = cache.glob("python/cpython-*.*.*-*/.whole")
    mark.unlink()
    (module,) = mark.parent.glob("lib/python3.*/json/__init__.py")
    module.unlink()
    etl.write("prefect", "helper")
    etl.lock()
    second = sync(far_store(), etl)
    assert mark.exists()
    assert module.exists()
    assert second.key != first.key


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"UV_PYTHON_DOWNLOADS": "never"}, "UV_PYTHON_DOWNLOADS=never does not allow it"),
        ({"UV_PYTHON_DOWNLOADS": "manual"}, "UV_PYTHON_DOWNLOADS=manual does not allow it"),
        ({"PREFECT_UV_OFFLINE": "true"}, "PREFECT_UV_OFFLINE does not allow it"),
    ],
)
def test_no_download(
    etl: Etl, far_store: Callable[..., EnvironmentStore], cache: Path, variables: Mapping[str, str], reason: str
) -> None:
    """The error says what was asked, what the image has, why nothing was downloaded, and what to do."""
    (etl.directory / ".python-version").write_text("3.12.99\n")
    with pytest.raises(PythonMissingError) as caught:
        sync(far_store(**variables), etl)
    assert caught.value.render() == (
        "error[python-missing]: .python-version asks for Python 3.12.99, which is not available here.\n\n"
        f"The image unit has Python {OLD}. Nothing was downloaded: {reason}.\n\n"
        "hint: Use the image py312 of the family and ask for 3.12; or let uv download it, from a mirror if necessary"
        " (UV_PYTHON_DOWNLOADS, UV_PYTHON_INSTALL_MIRROR); or ask for 3.2, which the image has."
    )
    assert environments(cache) == []


def test_download_fails(etl: Etl, make_store: Callable[..., EnvironmentStore], far: Mapping[str, str]) -> None:
    """uv's own words are part of the error."""
    (etl.directory / ".python-version").write_text("3.12.99\n")
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(**far), etl)
    assert "error: No download found for request: cpython-3.12.99-linux-x86_64-gnu" in caught.value.found


def test_request_that_contradicts_the_project(
    etl: Etl, cache: Path, make_store: Callable[..., EnvironmentStore], old_image: Image
) -> None:
    """PREFECT_UV_PYTHON counts more than .python-version, and never more than requires-python."""
    with pytest.raises(PythonMissingError) as caught:
        sync(make_store(PREFECT_UV_PYTHON="3.2"), etl)
    assert caught.value.render() == (
        "error[python-missing]: PREFECT_UV_PYTHON asks for Python 3.2, but etl requires >=3.11.\n\n"
        f"{old_image.python} is Python {OLD}.\n\n"
        "hint: Change PREFECT_UV_PYTHON or requires-python; then run `uv lock`, commit and push."
    )
    assert environments(cache) == []


def test_garbage(cache: Path, log: RunLog) -> None:
    """Interpreters that nothing runs on go after a day; links that lead nowhere and interrupted downloads go too."""
    cache_directory = CacheDirectory(cache, cache / "uv-0.13")
    cache_directory.prepare()
    old, young, left = (cache_directory.pythons / name for name in ("cpython-3.1.0", "cpython-3.2.0", ".temp/x"))
    for place in (old, young, left):
        place.mkdir(parents=True)
    (cache_directory.pythons / "cpython-3.0").symlink_to("nowhere")
    for place in (old, left):
        os.utime(place, (1, 1))
    collect_garbage(cache_directory, Settings(), log)
    assert sorted(path.name for path in cache_directory.pythons.iterdir()) == [".temp", "cpython-3.2.0"]
    assert not left.exists()


def test_interpreter_of_an_environment_is_no_garbage(
    etl: Etl, cache: Path, far_store: Callable[..., EnvironmentStore], log: RunLog
) -> None:
    """However old it is."""
    store = far_store()
    environment = sync(store, etl)
    (home,) = cache.glob("python/cpython-*.*.*-*")
    os.utime(home, (1, 1))
    collect_garbage(store.published.cache, Settings(), log)
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
    """As uv and PEP 440 read them; what names an implementation or a path is uv's to judge."""
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
        (">=3.13.7", "3.13.5", ""),
        ("3.13t", "3.13.5", ""),
        ("pypy3.11", "3.13.5", ""),
        ("/opt/python3.9", "3.13.5", ""),
        ("3.9", "3.13.5", OWN_IMAGE),
        (">=3.15", "3.13.5", OWN_IMAGE),
    ],
)
def test_image_to_use(request_: str, here: str, advice: str) -> None:
    """One that is there, and is another one than this."""
    assert image_for(request_, here) == advice


def test_images_of_the_family() -> None:
    """The entrypoint knows those that the builder makes."""
    images = tomllib.loads((Path(__file__).parents[4] / "images" / "family.toml").read_text())["images"]
    assert {image["python"]: name for name, image in images.items() if name != "base"} == FAMILY


def test_variant_that_no_image_has(etl: Etl, make_store: Callable[..., EnvironmentStore], this_image: Image) -> None:
    """No image is named, and the interpreter that is here is."""
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
