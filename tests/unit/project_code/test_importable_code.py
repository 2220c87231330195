"""The project's own code: its sources with metadata, or an installation that a real uv builds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_uv.environments import Environment
from prefect_uv.errors import ProjectBuildError
from prefect_uv.image_facts import Image
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import LockedProject, Project
from prefect_uv.project.files.toml_tables import read_toml
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code import FlowCode, ProjectCode, baked_code_directory, install_project
from prefect_uv.project_code.version_tags import takes_version_from_git
from prefect_uv.session import Session
from tests.unit.conftest import MakeSettings
from tests.unit.wheels import build_wheel

PROJECT = """[project]
name = "My.Shop"
version = "1.2"
requires-python = ">=3.11"
dependencies = ["lib>=1"]
[project.optional-dependencies]
charts = ["plot", "draw>=2; python_version > '3'"]
[project.scripts]
shop = "shop:main"
[project.entry-points."shop.counters"]
front = "shop:main"
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
[tool.uv.build-backend]
module-name = "shop"
"""
PROBE = """
import json, shop, importlib.metadata as m
points = [[e.group, e.name] for g in ("console_scripts", "shop.counters") for e in m.entry_points(group=g)]
print(json.dumps([shop.SAYS, m.version("my-shop"), m.requires("my-shop"), points]))
"""


def importable_code(session: Session, project: Project, environment: Environment) -> FlowCode:
    """What a start with this session can import of the project."""
    return ProjectCode(session.settings, session.log, session.scratch).make_importable(project, environment)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A checkout of a package with a src layout."""
    directory = tmp_path / "checkout"
    (directory / "src" / "shop").mkdir(parents=True)
    (directory / ".git").mkdir()
    (directory / "pyproject.toml").write_text(PROJECT)
    write_code(directory, "hello")
    return directory


def write_code(directory: Path, word: str) -> None:
    """Write the package's module, which says a word."""
    code = f"SAYS = {word!r}\ndef main():\n    import sys; print(SAYS, sys.prefix)\n"
    (directory / "src" / "shop" / "__init__.py").write_text(code)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment as the store makes it, without packages."""
    home = tmp_path_factory.mktemp("environment")
    command = ["uv", "venv", "--quiet", "--no-project", "--relocatable", "--python", sys.executable, str(home / "env")]
    subprocess.run(command, check=True, timeout=30)
    return Environment(
        home / "env",
        "abc",
        hit=True,
        prefect="3.8.8",
        python_version="3.13.5",
        uv_cache=home / "uv",
        run_cache=None,
        lease=0,
    )


def locked_project(*directories: Path, installable: bool = True) -> LockedProject:
    """The project that is found for these local packages."""
    packages = tuple(
        LocalPackage(path.name, path, installable, read_toml(path / "pyproject.toml")) for path in directories
    )
    roots = tuple(root for package in packages for root in package.source_roots)
    first = directories[0]
    return LockedProject(
        name="shop",
        shape="package",
        directory=first,
        root=first,
        inputs=(),
        source_roots=roots,
        local_packages=packages,
    )


@pytest.mark.parametrize(
    ("requires", "more", "expected"),
    [
        ("hatch-vcs>=0.4", "", True),
        ("setuptools_scm[toml]", "", True),
        ("versioneer", "", True),
        ("hatchling", "", False),
        ("pdm-backend", '[tool.pdm.version]\nsource = "scm"', True),
        ("pdm-backend", '[tool.pdm.version]\nsource = "file"', False),
        ("setuptools_scm", 'version = "1.0"', False),
    ],
)
def test_version_from_git(tmp_path: Path, requires: str, more: str, expected: bool) -> None:  # noqa: FBT001 (a parameter)
    """Tags are fetched only for a build that computes the version from them."""
    build = f'[build-system]\nrequires = ["{requires}"]\n'
    (tmp_path / "pyproject.toml").write_text(f'{build}[project]\nname = "shop"\n{more}\n')
    assert takes_version_from_git(LocalPackage.of(tmp_path)) == expected


@pytest.fixture
def make_session(make_settings: MakeSettings, log: RunLog, this_image: Image) -> Iterator[Callable[..., Session]]:
    """Makes sessions, whose scratch directories are removed after the test."""
    assert this_image
    made: list[Session] = []

    def make(**variables: str) -> Session:
        made.append(Session(make_settings(PREFECT_UV_OFFLINE="true", **variables), log))
        return made[-1]

    yield make
    for session in made:
        session.cleanup.close()


def probe_code(code: FlowCode, environment: Environment, probe: str = PROBE) -> Any:
    """What a probe prints in the environment with this code."""
    environ = {"PYTHONPATH": os.pathsep.join(map(str, code.import_path)), "PATH": os.environ["PATH"]}
    command = [str(environment.path / "bin" / "python"), "-c", probe]
    return json.loads(subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, timeout=20).stdout)


def test_metadata_without_a_build(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """The code is imported from its sources, with the version, requirements and entry points of an installation."""
    session = make_session()
    code = importable_code(session, locked_project(shop), environment)
    assert code.import_path[0] == shop / "src"
    assert code.script_directories == ()
    requirements = [
        "lib>=1",
        "plot ; extra == 'charts'",
        "draw>=2 ; (python_version > '3') and extra == 'charts'",
    ]
    points = [["console_scripts", "shop"], ["shop.counters", "front"]]
    assert probe_code(code, environment) == ["hello", "1.2", requirements, points]
    assert not (shop / "build").exists()
    session.cleanup.close()
    assert not code.import_path[1].exists()


def test_virtual_project_has_no_metadata(
    make_session: Callable[..., Session], shop: Path, environment: Environment
) -> None:
    """A virtual project has no metadata, as uv does not install it."""
    assert importable_code(make_session(), locked_project(shop, installable=False), environment) == FlowCode(
        (shop / "src",)
    )


def test_dynamic_version_is_not_guessed(
    make_session: Callable[..., Session], shop: Path, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package with a dynamic version has no metadata, and a log line says how to get it."""
    text = PROJECT.replace('version = "1.2"', 'dynamic = ["version"]')
    (shop / "pyproject.toml").write_text(text)
    assert importable_code(make_session(), locked_project(shop), environment) == FlowCode((shop / "src",))
    assert capsys.readouterr().err == (
        "prefect-uv: importlib.metadata will not find checkout: pyproject.toml states no version;"
        " PREFECT_UV_INSTALL_PROJECT=true builds and installs it\n"
    )


def test_installed(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """PREFECT_UV_INSTALL_PROJECT installs modules, metadata and scripts, and leaves checkout and uv cache unchanged."""
    before = sorted(shop.rglob("*"))
    session = make_session(PREFECT_UV_INSTALL_PROJECT="true")
    code = importable_code(session, locked_project(shop), environment)
    installation = code.import_path[0]
    assert (code.import_path, code.script_directories) == ((installation,), (installation / "bin",))
    assert probe_code(code, environment)[:2] == ["hello", "1.2"]
    script = subprocess.run(
        [str(installation / "bin" / "shop")],
        env={"PYTHONPATH": str(installation), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert script.stdout == f"hello {environment.path}\n"
    assert sorted(shop.rglob("*")) == before
    assert environment.uv_cache
    assert not list(environment.uv_cache.rglob("*.dist-info"))
    session.cleanup.close()
    assert not installation.exists()


def test_installed_again_after_an_edit(
    make_session: Callable[..., Session], shop: Path, environment: Environment
) -> None:
    """Changed code is installed although pyproject.toml is the same, unlike with uv's cached wheels."""
    session = make_session(PREFECT_UV_INSTALL_PROJECT="true")
    (shop / "src" / "shop" / "old.py").write_text("")
    assert probe_code(importable_code(session, locked_project(shop), environment), environment)[0] == "hello"
    (shop / "src" / "shop" / "old.py").unlink()
    write_code(shop, "goodbye")
    code = importable_code(session, locked_project(shop), environment)
    assert probe_code(code, environment)[0] == "goodbye"
    assert not (code.import_path[0] / "shop" / "old.py").exists()


def test_read_only_checkout(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """The build works on a copy: what a backend writes next to the sources does not reach the checkout."""
    backend(shop, "open('written', 'w').close(); raise SystemExit(os.getcwd())")
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    assert str(shop) not in caught.value.found
    assert not (shop / "written").exists()


def no_scratch() -> Path:
    """Fail as Python does if no temporary directory is writable."""
    raise FileNotFoundError(2, "No usable temporary directory found")


def test_nowhere_to_write(
    make_session: Callable[..., Session],
    shop: Path,
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a file system that is all read-only, a start has no metadata and logs a warning."""
    session = make_session()
    monkeypatch.setattr(session, "scratch", no_scratch)
    assert importable_code(session, locked_project(shop), environment) == FlowCode((shop / "src",))
    assert capsys.readouterr().err == (
        "prefect-uv: warning: importlib.metadata will not find checkout: [Errno 2] No usable temporary directory"
        " found\n"
    )


def test_nowhere_to_build(
    make_session: Callable[..., Session], shop: Path, environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error for a build without a writable directory, word for word."""
    session = make_session(PREFECT_UV_INSTALL_PROJECT="true")
    monkeypatch.setattr(session, "scratch", no_scratch)
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(session, locked_project(shop), environment)
    assert caught.value.render() == (
        "error[project-build-failed]: There is nowhere to build the project.\n\n"
        "[Errno 2] No usable temporary directory found\n\n"
        "hint: Mount a writable /tmp that is not noexec, or set TMPDIR to such a directory."
    )


def test_built_because_of_its_backend(
    make_session: Callable[..., Session], shop: Path, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package whose modules only its build knows is built without any setting; named source roots prevent it."""
    backend(shop, "sys.exit('tried')")
    with pytest.raises(ProjectBuildError, match="checkout could not be built"):
        importable_code(make_session(), locked_project(shop), environment)
    assert capsys.readouterr().err == (
        "prefect-uv: checkout is built and installed for this run: it has a build backend of its own, backend\n"
    )
    chosen = importable_code(make_session(PREFECT_UV_SOURCE_ROOT="src"), locked_project(shop), environment)
    assert (chosen.import_path[0], chosen.script_directories) == (shop / "src", ())


def test_leftovers_of_setuptools(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """What setuptools left in `build` is not copied to the build; a package named `build` is."""
    (shop / "build" / "lib" / "shop").mkdir(parents=True)
    (shop / "src" / "build").mkdir()
    backend(shop, "sys.exit(str([os.path.exists('build'), os.path.exists('src/build')]))")
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    assert "[False, True]" in caught.value.found


def backend(directory: Path, code: str) -> None:
    """Give the project a build backend of its own that runs this code."""
    (directory / "backend.py").write_text(f"import os, sys\ndef build_wheel(*_):\n    {code}\n")
    text = PROJECT.partition("[build-system]")[0]
    text += '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (directory / "pyproject.toml").write_text(text)


def test_build_fails(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """The error for a failed build, word for word, with the tool's output."""
    backend(shop, "sys.exit('nothing here can be built')")
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    directory = re.search(r"\S+/prefect-uv-build-\w+", caught.value.found)
    assert directory
    copy = f"{directory[0]}/code/{str(shop).strip('/').replace('/', '-')}"
    command = f"build --wheel --out-dir {directory[0]}/wheels --python {environment.path}/bin/python"
    assert caught.value.render() == (
        "error[project-build-failed]: checkout could not be built.\n\n"
        f"`uv --no-progress --color never {command}` exited with code 2:\n"
        "    Building wheel...\n"
        "    nothing here can be built\n"
        f"    error: Failed to build `{copy}`\n"
        "      cause: The build backend returned an error\n"
        "      cause: Call to `backend.build_wheel` failed (exit status: 1)\n"
        "    \n"
        "    hint: Build failures usually indicate a problem with the package or the build environment\n\n"
        "hint: Run `uv build --wheel` in the package's directory to see the same failure."
    )


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            "error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'",
            "Build an image FROM this one with `apt-get install gcc libc6-dev python3-dev`.",
        ),
        (
            "Because frob was not found in the provided package locations",
            "Provide the build backend on the package index, in uv's cache on the volume, or in PREFECT_UV_WHEELS.",
        ),
    ],
)
def test_build_with_missing_tools(
    make_session: Callable[..., Session], shop: Path, environment: Environment, text: str, hint: str
) -> None:
    """A missing compiler or build backend has its own hint."""
    backend(shop, f"sys.exit({text!r})")
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    assert caught.value.hint == hint


def test_backend_offline(make_session: Callable[..., Session], shop: Path, environment: Environment) -> None:
    """A backend that uv cannot find offline has the hint for a missing backend."""
    (shop / "pyproject.toml").write_text(PROJECT.replace('"uv_build"', '"frob-builder"'))
    with pytest.raises(ProjectBuildError, match="checkout could not be built") as caught:
        importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    assert "PREFECT_UV_WHEELS" in caught.value.hint


def test_backend_from_a_directory_of_wheels(
    make_session: Callable[..., Session], shop: Path, environment: Environment, tmp_path: Path
) -> None:
    """Offline, the build backend may come from PREFECT_UV_WHEELS."""
    code = "import sys\ndef build_wheel(*_):\n    sys.exit('frob was here')\n"
    build_wheel(tmp_path / "wheels", "frob", "1.0", {"frob.py": code})
    text = PROJECT.partition("[build-system]")[0]
    (shop / "pyproject.toml").write_text(f'{text}[build-system]\nrequires = ["frob"]\nbuild-backend = "frob"\n')
    variables = {"PREFECT_UV_INSTALL_PROJECT": "true", "PREFECT_UV_WHEELS": str(tmp_path / "wheels")}
    with pytest.raises(ProjectBuildError) as caught:
        importable_code(make_session(**variables), locked_project(shop), environment)
    assert "frob was here" in caught.value.found


def test_several_packages(
    make_session: Callable[..., Session], shop: Path, environment: Environment, tmp_path: Path
) -> None:
    """A path dependency is installed with the project; the sources of a virtual one are imported."""
    lib = tmp_path / "lib"
    (lib / "src" / "lib").mkdir(parents=True)
    (lib / "src" / "lib" / "__init__.py").write_text("")
    (lib / "pyproject.toml").write_text(PROJECT.replace("My.Shop", "lib").replace('"shop"', '"lib"'))
    project = locked_project(shop, lib)
    code = importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), project, environment)
    assert {path.name for path in code.import_path[0].iterdir()} >= {"shop", "lib", "my_shop-1.2.dist-info"}
    assert len(code.import_path) == 1
    virtual = replace(
        project, local_packages=(project.local_packages[0], replace(project.local_packages[1], installable=False))
    )
    code = importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), virtual, environment)
    assert code.import_path[1:] == (lib / "src",)


def test_nothing_to_install(
    make_session: Callable[..., Session], shop: Path, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A virtual project runs from its sources, and the log says so."""
    session = make_session(PREFECT_UV_INSTALL_PROJECT="true")
    assert importable_code(session, locked_project(shop, installable=False), environment) == FlowCode((shop / "src",))
    assert "nothing to install: no package here has a build system" in capsys.readouterr().err


def test_history_is_found(
    make_session: Callable[..., Session], shop: Path, environment: Environment, tmp_path: Path
) -> None:
    """A backend that derives the version from a tag finds the repository from the copy, also that of a worktree."""
    (shop / ".git").rmdir()
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.invalid"]
    describe = "__import__('subprocess').check_output(['git', 'describe', '--tags', '--dirty'], text=True)"
    backend(shop, f"raise SystemExit('version ' + {describe})")
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "one"], ["tag", "v7"]):
        subprocess.run([*git, *arguments], cwd=shop, check=True, timeout=20)
    worktree = tmp_path / "worktree"
    subprocess.run([*git, "worktree", "add", "--quiet", str(worktree)], cwd=shop, check=True, timeout=20)
    for checkout in (shop, worktree):
        with pytest.raises(ProjectBuildError) as caught:
            importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(checkout), environment)
        assert "version v7\n" in f"{caught.value.found}\n"


def test_compiled_package_in_a_flat_layout(
    make_session: Callable[..., Session], shop: Path, environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    """A warning says that Prefect imports the uncompiled sources from the working directory first."""
    (shop / "src").rename(shop / "sources")
    (shop / "sources" / "shop").rename(shop / "shop")
    (shop / "shop" / "fast.so").touch()
    text = PROJECT.replace('module-name = "shop"', 'module-name = "shop"\nmodule-root = ""')
    (shop / "pyproject.toml").write_text(text)
    importable_code(make_session(PREFECT_UV_INSTALL_PROJECT="true"), locked_project(shop), environment)
    assert capsys.readouterr().err == (
        f"prefect-uv: warning: shop in {shop}: a flow with this working directory imports the sources, without"
        " the compiled modules; a src layout avoids this\n"
    )


def test_baked(
    make_session: Callable[..., Session],
    shop: Path,
    environment: Environment,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The image's installation is used for the same code and environment only, whatever the times and derived files."""
    session = make_session(PREFECT_UV_BAKED_DIR=str(tmp_path / "baked"))
    installation = baked_code_directory(session.settings.baked_dir, locked_project(shop), environment)
    installation.mkdir(parents=True)
    install_project(session.settings, session.log, locked_project(shop), environment, installation)
    for name in ("src/shop/__pycache__", "src/shop.egg-info", "build/lib/shop", ".venv/lib"):
        (shop / name).mkdir(parents=True)
        (shop / name / "derived").touch()
    os.utime(shop / "pyproject.toml", (0, 0))
    assert importable_code(session, locked_project(shop), environment) == FlowCode(
        (installation,), (installation / "bin",)
    )
    assert capsys.readouterr().err == ""
    other = replace(environment, key="def")
    assert importable_code(session, locked_project(shop), other).import_path[0] == shop / "src"
    write_code(shop, "goodbye")
    assert importable_code(session, locked_project(shop), environment).import_path[0] == shop / "src"
    write_code(shop, "hello")
    (shop / "src" / "shop" / "loop").symlink_to("..")
    (shop / "src" / "shop" / "build").mkdir()
    (shop / "src" / "shop" / "build" / "code.py").touch()
    assert importable_code(session, locked_project(shop), environment).import_path[0] == shop / "src"
    assert capsys.readouterr().err == 3 * (
        "prefect-uv: the code in the image was installed from other sources or for another environment: importing the"
        " sources\n"
    )
