"""Packages of every build backend, imported as after `uv sync`, which really makes the editable installations.

The build backends come from this machine's package index; uv's cache keeps them. A backend that compiles is covered by
the table of tests/unit/project/test_source_roots.py: it is never read, always run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from prefect_uv.environments import Environment
from prefect_uv.environments.import_path import add_hook, import_variables
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import find_project
from prefect_uv.project.lockfile.local_packages import LocalPackage
from prefect_uv.project_code import ProjectCode
from prefect_uv.session import Session
from prefect_uv.settings import Settings
from tests.stack.environment import index_environment

pytestmark = [pytest.mark.uv, pytest.mark.timeout(180)]

MACHINE = {
    name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "PYTHON", "PREFECT"))
}
MACHINE |= index_environment() | ({"UV_SYSTEM_CERTS": "1"} if "SSL_CERT_FILE" in MACHINE else {})
"""This machine's variables, before the fixtures of the unit tests remove them."""

HATCH_HOOK = """
from pathlib import Path
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class Hook(BuildHookInterface):
    def initialize(self, version, build_data):
        Path(self.root, "src/hatch_hook/made.py").write_text("PLACE = 'made'")
        build_data["artifacts"].append("src/hatch_hook/made.py")
"""
SETUP_PY = "from setuptools import find_packages, setup\nsetup(packages=find_packages({0}), package_dir={{'': {0}}})\n"
SETUP_CFG = "[options]\npackages = find:\npackage_dir =\n    = source\n[options.packages.find]\nwhere = source\n"
OWN_BACKEND = "from setuptools.build_meta import *\n"


@dataclass(frozen=True)
class Member:
    """A package of the workspace.

    Attributes:
        backend: what it requires to build, and its `build-backend`.
        files: modules, by path; each says where it is.
        names: what can be imported.
        settings: the end of its pyproject.toml.
        other_files: files with another content.
        is_built: whether the run has to build it.
    """

    backend: tuple[str, str]
    files: tuple[str, ...]
    names: tuple[str, ...]
    settings: str = ""
    other_files: tuple[tuple[str, str], ...] = ()
    is_built: bool = False

    def write(self, directory: Path) -> None:
        """Write its files."""
        texts = {path: f"PLACE = {f'{directory.name}/{path}'!r}\n" for path in self.files}
        requires, backend = self.backend
        texts |= dict(self.other_files) | {
            "pyproject.toml": f'[project]\nname = "{directory.name}"\nversion = "1"\ndescription = "for flit"\n'
            f'requires-python = ">=3.11"\n[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n'
            f"{self.settings}\n"
        }
        for path, text in texts.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)


UV = ("uv_build", "uv_build")
HATCHLING = ("hatchling", "hatchling.build")
SETUPTOOLS = ("setuptools>=77", "setuptools.build_meta")
FLIT = ("flit_core>=3.12", "flit_core.buildapi")
PDM = ("pdm-backend", "pdm.backend")
POETRY = ("poetry-core>=2", "poetry.core.masonry.api")
SCIKIT = ("scikit-build-core>=0.11", "scikit_build_core.build")

MEMBERS = {
    "uv-src": Member(UV, ("src/uv_src/__init__.py",), ("uv_src",)),
    "uv-root": Member(
        UV,
        ("python/rooted/__init__.py", "src/no.py"),
        ("rooted",),
        '[tool.uv.build-backend]\nmodule-root = "python"\nmodule-name = "rooted"',
    ),
    "hatch-flat": Member(HATCHLING, ("hatch_flat/__init__.py", "src/no.py"), ("hatch_flat",)),
    "hatch-packages": Member(
        HATCHLING,
        ("lib/hatch_a/__init__.py", "acme/hatch_b/__init__.py"),
        ("hatch_a", "hatch_b"),
        '[tool.hatch.build.targets.wheel]\npackages = ["lib/hatch_a", "acme/hatch_b"]',
    ),
    "hatch-force": Member(
        HATCHLING,
        ("src/hatch_force/__init__.py", "vendor/code/__init__.py"),
        ("hatch_force", "hatch_vendored"),
        '[tool.hatch.build.targets.wheel]\nforce-include = { "vendor/code" = "hatch_vendored" }',
        is_built=True,
    ),
    "hatch-hook": Member(
        HATCHLING,
        ("src/hatch_hook/__init__.py",),
        ("hatch_hook", "hatch_hook.made"),
        "[tool.hatch.build.hooks.custom]",
        (("hatch_build.py", HATCH_HOOK),),
        is_built=True,
    ),
    "setuptools-renamed": Member(
        SETUPTOOLS,
        ("python/code/__init__.py",),
        ("set_renamed",),
        '[tool.setuptools]\npackages = ["set_renamed"]\npackage-dir = { set_renamed = "python/code" }',
        is_built=True,
    ),
    "setuptools-cfg": Member(
        SETUPTOOLS, ("source/set_cfg/__init__.py", "src/no.py"), ("set_cfg",), "", (("setup.cfg", SETUP_CFG),)
    ),
    "setuptools-py": Member(
        SETUPTOOLS,
        ("code/set_py/__init__.py",),
        ("set_py",),
        "",
        (("setup.py", SETUP_PY.format("'code'")),),
    ),
    "own-backend": Member(
        ("setuptools>=77", "backend"),
        ("src/own_backend/__init__.py",),
        ("own_backend",),
        'backend-path = ["build_tools"]',
        (("build_tools/backend.py", OWN_BACKEND),),
        is_built=True,
    ),
    "flit-module": Member(FLIT, ("src/flit_other.py",), ("flit_other",), '[tool.flit.module]\nname = "flit_other"'),
    "pdm-src": Member(PDM, ("src/pdm_src/__init__.py",), ("pdm_src",)),
    "pdm-lib": Member(PDM, ("lib/pdm_lib/__init__.py",), ("pdm_lib",), '[tool.pdm.build]\npackage-dir = "lib"'),
    "poetry-from": Member(
        POETRY,
        ("lib/poetry_from/__init__.py", "src/no.py"),
        ("poetry_from",),
        '[tool.poetry]\npackages = [{ include = "poetry_from", from = "lib" }]',
    ),
    "scikit": Member(
        SCIKIT,
        ("python/scikit_code/__init__.py",),
        ("scikit_code",),
        '[tool.scikit-build.wheel]\ncmake = false\npackages = ["python/scikit_code"]',
        is_built=True,
    ),
}
NOT_EDITABLE = {
    "hatch-renamed": Member(
        HATCHLING,
        ("lib/code/__init__.py",),
        ("hatch_renamed",),
        '[tool.hatch.build.targets.wheel]\nonly-include = ["lib/code"]\nsources = { "lib/code" = "hatch_renamed" }',
        is_built=True,
    ),
    "poetry-to": Member(
        POETRY,
        ("poetry_code/__init__.py",),
        ("poetry_to.poetry_code",),
        '[tool.poetry]\npackages = [{ include = "poetry_code", to = "poetry_to" }]',
        is_built=True,
    ),
}
"""What an editable installation cannot do: hatchling refuses, and poetry-core leaves the module its own name.

Here a run gets what the wheel contains.
"""

PROBE = """
import importlib, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        found[name] = importlib.import_module(name).PLACE
    except ImportError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def uv(command: str, directory: Path) -> str:
    """Run uv as a user of this machine does, and return what it prints."""
    words = ["uv", *command.split(), "--no-config"]
    environ = {**MACHINE, "PATH": os.environ["PATH"], "UV_PYTHON": sys.executable}
    done = subprocess.run(words, cwd=directory, env=environ, check=True, stdout=subprocess.PIPE, text=True, timeout=150)
    return done.stdout.strip()


def workspace(directory: Path, members: Mapping[str, Member]) -> Path:
    """A locked workspace of these members."""
    for name, member in members.items():
        member.write(directory / name)
    (directory / "pyproject.toml").write_text(f"[tool.uv.workspace]\nmembers = {json.dumps(list(members))}\n")
    uv("lock --quiet", directory)
    return directory


def imported(environment: Path, members: Mapping[str, Member], variables: Mapping[str, str]) -> dict[str, str]:
    """Where an environment imports the members' modules from, or why it cannot."""
    names = [name for member in members.values() for name in member.names]
    command = [str(environment / "bin" / "python"), "-c", PROBE, json.dumps(names)]
    done = subprocess.run(command, env=variables, cwd="/", check=True, stdout=subprocess.PIPE, timeout=30)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def imported_in_a_run(directory: Path, members: Mapping[str, Member], image: Image) -> dict[str, str]:
    """Where a run imports the members' modules from."""
    path = directory.with_name(f"{directory.name}-environment")
    uv(f"venv --quiet --no-project {path}", directory)
    add_hook(path)
    environment = Environment(
        path,
        "abc",
        hit=True,
        prefect="3.8.8",
        python_version=image.python_version,
        uv_cache=Path(uv("cache dir", directory)),
        run_cache=None,
        lease=0,
    )
    session = Session(Settings.from_environ({**MACHINE, "PATH": os.environ["PATH"]}), RunLog(Mask()))
    project = find_project(directory, None, session.settings)
    with session.cleanup, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "read", classmethod(lambda _: image))
        code = ProjectCode(session.settings, session.log, session.scratch).make_importable(project, environment)
        return imported(path, members, import_variables(path, code.import_path, ""))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, image: Image) -> tuple[dict[str, str], dict[str, str]]:
    """Where a run imports all modules from, and where plain uv does."""
    ours = workspace(tmp_path_factory.mktemp("workspace") / "ours", MEMBERS)
    theirs = ours.with_name("theirs")
    shutil.copytree(ours, theirs)
    uv("sync --quiet --locked --all-packages", theirs)
    return imported_in_a_run(ours, MEMBERS, image), imported(theirs / ".venv", MEMBERS, {})


@pytest.mark.parametrize("name", MEMBERS)
def test_same_names_as_after_uv_sync(places: tuple[dict[str, str], dict[str, str]], name: str) -> None:
    """Each module is imported, and it is the same file."""
    ours, theirs = ({module: found[module] for module in MEMBERS[name].names} for found in places)
    assert ours == theirs
    assert not [place for place in ours.values() if "No module" in place]


@pytest.mark.parametrize("name", [*MEMBERS, *NOT_EDITABLE])
def test_built_only_if_sources_do_not_suffice(tmp_path: Path, name: str) -> None:
    """What can be imported from its sources is not built."""
    member = {**MEMBERS, **NOT_EDITABLE}[name]
    member.write(tmp_path / name)
    assert bool(LocalPackage.of(tmp_path / name).build_reason) == member.is_built


def test_uv_sync_cannot_make_them_editable(tmp_path: Path, image: Image) -> None:
    """What the wheel contains is imported."""
    places = imported_in_a_run(workspace(tmp_path / "code", NOT_EDITABLE), NOT_EDITABLE, image)
    assert places == {
        "hatch_renamed": "hatch-renamed/lib/code/__init__.py",
        "poetry_to.poetry_code": "poetry-to/poetry_code/__init__.py",
    }
