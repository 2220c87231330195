"""The key: equal selections have equal keys, and any difference in what is installed changes it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache as remembered
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prefect_uv.cache_volume.cache_directory import CacheDirectory
from prefect_uv.environments import EnvironmentStore
from prefect_uv.environments.key.environment_contents import Contents
from prefect_uv.environments.plan.locked_source import LockedSource, planned_packages
from prefect_uv.environments.uv.uv_command import Uv
from prefect_uv.image_facts import Image
from prefect_uv.log.mask import Mask
from prefect_uv.log.run_log import RunLog
from prefect_uv.project import LockedProject, find_project
from prefect_uv.project.files.requirement_lines import parse_requirements
from prefect_uv.settings import Settings
from tests.unit.etl import Etl, sync
from tests.unit.http_server import Server
from tests.unit.wheels import build_wheel

FULL = bool(os.environ.get("PREFECT_UV_TEST_FULL"))
NAMES = ("ant", "bee", "cat")
Versions = Mapping[str, str]


@dataclass(frozen=True)
class Selection:
    """A project: what is installed here, what is not, and what does not matter."""

    installed: tuple[tuple[str, str], ...]
    elsewhere: tuple[tuple[str, str], ...]
    unselected: tuple[tuple[str, str], ...]
    no_binary: tuple[str, ...]
    noise: str
    reverse: bool

    def pyproject(self, wheels: Path) -> str:
        """The pyproject.toml that a user would write."""
        here = ["prefect==3.8.8", *(f"{name}=={version}" for name, version in self.installed)]
        other = [f"{name}=={version} ; sys_platform == 'win32'" for name, version in self.elsewhere]
        dependencies = sorted([*here, *other], reverse=self.reverse)
        dev = [f"{name}=={version}" for name, version in self.unselected]
        return f"""# {self.noise}
[project]
name = "etl"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = {dependencies}

[dependency-groups]
dev = {dev}

[tool.ruff]
line-length = {80 + len(self.noise)}

[tool.uv]
no-index = true
find-links = ["{wheels}"]
extra-build-variables = {{ {", ".join(f'{name} = {{ A = "1" }}' for name in self.no_binary)} }}
"""

    @property
    def meaning(self) -> object:
        """What decides the environment, for comparison."""
        return frozenset(self.installed), frozenset(self.no_binary)


def versions(names: tuple[str, ...]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    """Some of these packages, each in one of two versions."""
    dictionaries = st.dictionaries(st.sampled_from(names), st.sampled_from(("1.0", "2.0")))
    return dictionaries.map(lambda chosen: tuple(sorted(chosen.items())))


SELECTIONS = st.builds(
    Selection,
    installed=versions(NAMES),
    elsewhere=versions(("dog",)),
    unselected=versions(("eel",)),
    no_binary=st.lists(st.sampled_from(NAMES), unique=True, max_size=1).map(tuple),
    noise=st.text("abc", max_size=3),
    reverse=st.booleans(),
)


@pytest.fixture(scope="module")
def key_of(tmp_path_factory: pytest.TempPathFactory, image: Image) -> Callable[[Selection], str]:
    """The key of a selection, as uv itself locks and plans it, without a network."""
    parent = tmp_path_factory.mktemp("keys")
    for name in (*NAMES, "dog", "eel"):
        for version in ("1.0", "2.0"):
            build_wheel(parent / "wheels", name, version, {f"{name}.py": f"VERSION = '{version}'\n"})
    build_wheel(parent / "wheels", "prefect", "3.8.8", {"prefect/__init__.py": ""})
    environ = {"PATH": os.environ["PATH"], "HOME": str(parent)}

    @remembered
    def key(selection: Selection) -> str:
        project = parent / "project"
        (project / ".git").mkdir(parents=True, exist_ok=True)
        (project / "pyproject.toml").write_text(selection.pyproject(parent / "wheels"))
        (project / "uv.lock").unlink(missing_ok=True)
        lock = ["uv", "lock", "--quiet", "--python", sys.executable, "--cache-dir", str(parent / "uv-cache")]
        subprocess.run(lock, cwd=project, env=environ, check=True, timeout=30)
        locked = find_project(project, None, Settings())
        assert isinstance(locked, LockedProject)
        uv = Uv(Settings.from_environ(environ), image, CacheDirectory(parent, (), parent / "uv-cache"), RunLog(Mask()))
        return LockedSource(locked, "locked").plan(uv, RunLog(Mask())).contents.key

    return key


@settings(
    max_examples=300 if FULL else 20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(SELECTIONS, SELECTIONS)
@example(
    Selection((("ant", "1.0"),), (), (), (), "", reverse=False),
    Selection((("ant", "1.0"),), (("dog", "1.0"),), (("eel", "1.0"),), (), "abc", reverse=True),
)
@example(
    Selection((("ant", "1.0"), ("bee", "1.0")), (), (), (), "", reverse=False),
    Selection((("ant", "1.0"), ("bee", "2.0")), (), (), (), "", reverse=False),
)
def test_key_is_what_is_installed(key_of: Callable[[Selection], str], first: Selection, second: Selection) -> None:
    """Comments, other tools, unselected groups and other platforms change no key; any other difference does."""
    assert (key_of(first) == key_of(second)) == (first.meaning == second.meaning)


PACKAGES = st.dictionaries(st.text(min_size=1), st.tuples(st.text(), st.text()), max_size=3)


@given(PACKAGES, PACKAGES, st.lists(st.text(), max_size=2), st.lists(st.text(), max_size=2))
def test_different_contents_have_different_keys(
    first: dict[str, tuple[str, str]], second: dict[str, tuple[str, str]], flags: list[str], others: list[str]
) -> None:
    """Any names: where one ends and the next begins is part of the key."""

    def contents(packages: dict[str, tuple[str, str]], settings_: list[str]) -> Contents:
        value = {name: {"version": version, "source": source} for name, (version, source) in packages.items()}
        facts = {"uv": "0.13", "python": "/p", "python_version": "3", "platform": "x"}
        return Contents.from_json({**facts, "settings": settings_, "packages": value})

    assert (contents(first, flags).key == contents(second, others).key) == ((first, flags) == (second, others))


def test_same_version_from_different_files_gives_another_environment(
    etl: Etl, make_store: Callable[..., EnvironmentStore], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package rebuilt under its old version has other hashes, and the log names it."""
    etl.move_to(server)
    first = sync(make_store(), etl)
    build_wheel(etl.wheels, "prefect", "3.8.8", {"prefect/__init__.py": "NEW = True\n"})
    (etl.directory / "uv.lock").unlink()
    etl.move_to(server)
    second = sync(make_store(), etl)
    assert second.key != first.key
    assert "prefect 3.8.8 from different files" in capsys.readouterr().err
    assert next(second.path.glob("lib/*/site-packages/prefect/__init__.py")).read_text() == "NEW = True\n"


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("a==1 --hash=sha256:x --hash=sha256:y", "a==1 \\\n    --hash=sha256:y \\\n    --hash=sha256:x", True),
        ("a==1 ; sys_platform == 'linux'", "a==1", True),
        ("a @ git+https://bot:token@git.example/a@c0ffee", "a @ git+https://git.example/a@c0ffee", True),
        ("a @ git+https://git.example/a@c0ffee", "a @ git+https://git.example/a@beef", False),
        ("a[x]==1 --hash=sha256:x", "a==1 --hash=sha256:x", True),
        ("a==1 --hash=sha256:x", "a==1 --hash=sha256:y", False),
    ],
)
def test_source_of_a_package(first: str, second: str, *, same: bool) -> None:
    """Hashes and addresses count; their order, markers, extras and credentials do not."""
    planned = {"a": "1"}
    assert (
        planned_packages(parse_requirements(first), planned) == planned_packages(parse_requirements(second), planned)
    ) == same
